"""What the emulator keeps: objects, their versions, and what became of them.

As in a real API server: one counter gives every change its resourceVersion; a write that changes
nothing gets none; the spec and the status are written by different requests; metadata.generation
counts changes of all but metadata and status. Server-side apply knows fields of maps only: a list
is one value, and force is taken for granted.
"""

import asyncio
import itertools
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mooring_operator.adapters.checks.owned_jobs import JOB
from mooring_operator.adapters.cluster import Kind, Manifest, Ref
from mooring_operator.adapters.routers.gateway_classes import GATEWAY_CLASS
from mooring_operator.adapters.routers.gateways import GATEWAY
from mooring_operator.adapters.routers.http_routes import HTTP_ROUTE
from mooring_operator.adapters.routers.inference_services.inquiry import POD
from mooring_operator.adapters.routers.inference_services.objects import INFERENCE_SERVICE
from mooring_operator.adapters.routers.inference_services.revisions import SERVING_RUNTIME
from mooring_operator.adapters.routers.inference_services.runtimes import CLUSTER_SERVING_RUNTIME
from mooring_operator.adapters.routers.knative import KNATIVE_REVISION
from mooring_operator.adapters.routers.kserve import AUTOSCALER, DEPLOYMENT
from mooring_operator.adapters.routers.owned import ENDPOINT_SLICE, SERVICE
from mooring_operator.reconcile.kinds import (
    ANALYSIS_TEMPLATE,
    CLUSTER_ANALYSIS_TEMPLATE,
    CLUSTER_MODEL_POLICY,
    DRIFT_MONITOR,
    MODEL_DEPLOYMENT,
    MODEL_POLICY,
    NAMESPACE,
    WORKLOADS,
)

DEFINITION = Kind(
    "apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions", namespaced=False
)
EVENT = Kind("events.k8s.io/v1", "Event", "events")
LEASE = Kind("coordination.k8s.io/v1", "Lease", "leases")
WITH_STATUS = (
    MODEL_DEPLOYMENT,
    DRIFT_MONITOR,
    MODEL_POLICY,
    CLUSTER_MODEL_POLICY,
    ANALYSIS_TEMPLATE,
    CLUSTER_ANALYSIS_TEMPLATE,
    INFERENCE_SERVICE,
    HTTP_ROUTE,
    GATEWAY,
    GATEWAY_CLASS,
    DEPLOYMENT,
    AUTOSCALER,
    JOB,
)
WITH_SCALE = (DEPLOYMENT,)
MADE = (
    *WORKLOADS.values(),
    SERVING_RUNTIME,
    CLUSTER_SERVING_RUNTIME,
    SERVICE,
    ENDPOINT_SLICE,
    KNATIVE_REVISION,
)
KINDS = (*dict.fromkeys((*WITH_STATUS, NAMESPACE, EVENT, LEASE, POD, *MADE, DEFINITION)),)

_NESTED = frozenset({dict, list})


class Rejected(Exception):
    """A request that the API server answers with a Status of failure."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Change:
    """An object before and after a write; None where there was none."""

    version: int
    ref: Ref
    before: Manifest | None
    after: Manifest | None


class Objects:
    """All objects of the emulator, in memory."""

    def __init__(self) -> None:
        self.version = 1
        self.changes: list[Change] = []
        self.forgotten = 0
        """Changes up to this version are not remembered any more: watches and lists from there get 410."""
        self.changed = asyncio.Event()
        self._objects: dict[Ref, Manifest] = {}
        self._created: dict[tuple[Ref, str], Manifest] = {}
        self._applied: dict[tuple[Ref, str], Manifest] = {}
        self._names = itertools.count(1)

    # --- reading --------------------------------------------------------------------------------

    def find(self, ref: Ref) -> Manifest | None:
        return copied(self._objects.get(ref))

    def peek(self, ref: Ref) -> Manifest:
        """Give the object itself, to be looked at and not changed."""
        return self._objects.get(ref, {})

    def get(self, ref: Ref) -> Manifest:
        if ref not in self._objects:
            raise Rejected(404, f'{ref.kind.plural} "{ref.name}" not found')
        return copied(self._objects[ref])

    def list(self, kind: Kind, namespace: str | None = None) -> list[Manifest]:
        found = [ref for ref in self._objects if ref.kind == kind and namespace in (None, ref.namespace)]
        return [self.get(ref) for ref in sorted(found, key=lambda ref: (ref.namespace, ref.name))]

    # --- writing --------------------------------------------------------------------------------

    def create(self, kind: Kind, namespace: str, body: Manifest, manager: str = "") -> Manifest:
        metadata = body["metadata"]
        name = metadata.get("name") or f"{metadata['generateName']}{next(self._names):05}"
        ref = Ref(kind, namespace, name)
        if ref in self._objects:
            raise Rejected(409, f'{kind.plural} "{name}" already exists')
        named = {**body, "metadata": {**metadata, "name": name}}
        self._created[ref, manager] = copied(named)
        return self._write(ref, None, _managed(named, manager, "Update"))

    def replace(self, ref: Ref, body: Manifest, *, status: bool = False) -> Manifest:
        before, metadata = self.get(ref), body["metadata"]
        for field in ("uid", "resourceVersion"):
            if metadata.get(field, before["metadata"][field]) != before["metadata"][field]:
                raise Rejected(409, f"{ref.kind.plural} {ref.name!r}: the object has been modified ({field})")
        return self._write(ref, before, body, status=status)

    def change(self, ref: Ref, edit: Callable[[Manifest], Manifest]) -> Manifest:
        """Write what `edit` makes of a copy of the object."""
        before, after = self.get(ref), edit(self.get(ref))
        _check_uid(ref, before, after)
        for entry in after["metadata"].get("managedFields", []):
            if entry["operation"] == "Apply" and (made := self._created.pop((ref, entry["manager"]), None)):
                # Who created the object has its fields counted as applied.
                self._applied[ref, entry["manager"]] = made
        return self._write(ref, before, after)

    def apply(self, ref: Ref, body: Manifest, manager: str) -> Manifest:
        """Write the fields in `body`, and take away what `manager` applied before and left out now."""
        before = self.find(ref)
        body = {**body, "metadata": {**body["metadata"]}}
        version = body["metadata"].pop("resourceVersion", None)
        if before is not None:
            _check_uid(ref, before, body)
            if version not in (None, before["metadata"]["resourceVersion"]):
                raise Rejected(409, f"{ref.kind.plural} {ref.name!r}: the object has been modified")
        elif "uid" in body["metadata"]:
            raise Rejected(409, f"{ref.kind.plural} {ref.name!r}: uid mismatch: no existing object was found")
        kept = _without(before or {}, self._applied.get((ref, manager), {}), body)
        merged = _join_owners(before, merge(kept, body, keep_null=True))
        written = self._write(ref, before, _managed(merged, manager, "Apply"))
        self._applied[ref, manager] = copied(body)
        return written

    def set_status(self, ref: Ref, status: Manifest) -> Manifest:
        return self._write(ref, self.get(ref), {**self.get(ref), "status": status}, status=True)

    def delete(self, ref: Ref, uid: str | None = None, resourceVersion: str | None = None) -> Manifest:
        before = self.get(ref)
        for field, wanted in (("uid", uid), ("resourceVersion", resourceVersion)):
            if wanted is not None and before["metadata"][field] != wanted:
                raise Rejected(
                    409, f"{ref.kind.plural} {ref.name!r}: the {field} in the precondition is another"
                )
        self._keep(ref, before, None)
        return before

    def wake(self) -> None:
        """Have everybody look who waits for a change."""
        self.changed.set()
        self.changed = asyncio.Event()

    def forget(self) -> None:
        """Compact: who wants to go on from an earlier version has to list again."""
        self.forgotten = self.version
        self.changes.clear()

    # --- as a whole -----------------------------------------------------------------------------

    def save(self) -> Any:
        return copied(self._objects), copied(self._applied)

    def restore(self, saved: Any) -> None:
        """Go back to what was saved, as to a backup: versions go on, and nobody can watch across it."""
        self._objects, self._applied = map(copied, saved)
        self.forget()

    def _write(
        self, ref: Ref, before: Manifest | None, wanted: Manifest, *, status: bool = False
    ) -> Manifest:
        if before is None:
            after = copied(wanted)
            identity = {
                "uid": str(uuid.uuid4()),
                "creationTimestamp": "2026-03-01T12:00:00Z",
                "generation": 1,
            }
        elif status:
            after = {key: value for key, value in before.items() if key != "status"}
            after |= {key: copied(wanted[key]) for key in ("status",) if key in wanted}
            identity = before["metadata"]
        else:
            after = copied(wanted)
            names = ("uid", "creationTimestamp", "generation", "resourceVersion")
            identity = {name: before["metadata"][name] for name in names}
        if ref.kind in WITH_STATUS and not status:
            after.pop("status", None)
            if before is not None and "status" in before:
                after["status"] = before["status"]
        names = {"name": ref.name} | ({"namespace": ref.namespace} if ref.kind.namespaced else {})
        after["metadata"] = {**after["metadata"], **identity, **names}
        after |= {"apiVersion": ref.kind.api_version, "kind": ref.kind.kind}
        if after == before:
            return copied(after)
        if before is not None and _content(before) != _content(after):
            after["metadata"]["generation"] += 1
        return self._keep(ref, before, after)

    def _keep(self, ref: Ref, before: Manifest | None, after: Manifest | None) -> Manifest:
        self.version += 1
        if after is None:
            del self._objects[ref]
            for memory in (self._applied, self._created):
                for key in [key for key in memory if key[0] == ref]:
                    del memory[key]
        else:
            after["metadata"] = {**after["metadata"], "resourceVersion": str(self.version)}
            self._objects[ref] = after
        self.changes.append(Change(self.version, ref, before, copied(after)))
        self.wake()
        return copied(after or {})


def copied(value: Any) -> Any:
    """Copy plain data: copy.deepcopy, which keeps account of all that it meets, took a quarter of these tests' time."""
    if isinstance(value, dict):
        made = value.copy()
        for key, item in value.items():
            if type(item) in _NESTED:
                made[key] = copied(item)
        return made
    if isinstance(value, list):
        return [copied(item) if type(item) in _NESTED else item for item in value]
    return value


def _check_uid(ref: Ref, before: Manifest, wanted: Manifest) -> None:
    if wanted["metadata"].get("uid", before["metadata"]["uid"]) != before["metadata"]["uid"]:
        raise Rejected(
            422, f"{ref.kind.kind} {ref.name!r} is invalid: metadata.uid: Invalid value: field is immutable"
        )


def _join_owners(before: Manifest | None, after: Manifest) -> Manifest:
    """Owner references are merged by uid, and one of them at the most is the controller."""
    theirs = ((before or {}).get("metadata") or {}).get("ownerReferences") or []
    ours = after["metadata"].get("ownerReferences") or []
    joined = {reference["uid"]: reference for reference in (*theirs, *ours)}
    if sum(bool(reference.get("controller")) for reference in joined.values()) > 1:
        raise Rejected(
            422, "metadata.ownerReferences: Invalid value: Only one reference can have Controller set to true"
        )
    return (
        {**after, "metadata": {**after["metadata"], "ownerReferences": list(joined.values())}}
        if joined
        else after
    )


def _managed(manifest: Manifest, manager: str, operation: str) -> Manifest:
    """Note who wrote the object; of the fields only whether the spec is among them."""
    others = [entry for entry in manifest["metadata"].get("managedFields", []) if entry["manager"] != manager]
    fields = {"f:spec": {}} if "spec" in manifest else {}
    entry = {"manager": manager, "operation": operation, "fieldsType": "FieldsV1", "fieldsV1": fields}
    return {**manifest, "metadata": {**manifest["metadata"], "managedFields": [*others, entry]}}


def merge(target: Any, patch: Any, *, keep_null: bool = False) -> Any:
    """Merge as RFC 7396 says: maps are merged, all else is replaced, null removes."""
    if not isinstance(patch, dict):
        return copied(patch)
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None and not keep_null:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), value, keep_null=keep_null)
    return merged


def json_patch(target: Manifest, operations: list[Mapping[str, Any]]) -> Manifest:
    """Carry out the operations test, add, replace and remove of RFC 6902 on members of maps, also of maps in lists."""
    result = copied(target)
    for operation in operations:
        *parents, last = [
            part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]
        ]
        place = result
        for part in parents:
            place = place[int(part)] if isinstance(place, list) else place.get(part, {})
        kind = operation["op"]
        if kind != "add" and last not in place:
            raise Rejected(422, f"the server rejected our request: {operation['path']} is missing")
        if kind == "test" and place[last] != operation["value"]:
            raise Rejected(422, f"the server rejected our request: testing {operation['path']} failed")
        if kind == "remove":
            del place[last]
        elif kind in ("add", "replace"):
            place[last] = operation["value"]
    return result


def matches(labels: Mapping[str, str] | None, selector: str | None) -> bool:
    """Whether labels fit a selector of equalities."""
    wanted = dict(part.split("=", 1) for part in (selector or "").replace("==", "=").split(",") if part)
    return all((labels or {}).get(name) == value for name, value in wanted.items())


def _without(target: Manifest, old: Manifest, new: Manifest) -> Manifest:
    """Give `target` less the fields that are in `old` and not in `new`."""
    kept = {}
    for key, value in target.items():
        if key not in old or (key in new and not isinstance(value, dict)):
            kept[key] = value
        elif isinstance(value, dict) and isinstance(old[key], dict):
            inner = _without(value, old[key], new[key] if isinstance(new.get(key), dict) else {})
            if inner or key in new:
                kept[key] = inner
    return kept


def _content(manifest: Manifest) -> Manifest:
    return {key: value for key, value in manifest.items() if key not in ("metadata", "status")}
