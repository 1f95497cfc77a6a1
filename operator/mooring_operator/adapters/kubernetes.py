"""The Kubernetes API over HTTP: lightkube's configuration and credentials, plain JSON.

docs/kubernetes-client.md compares this with other clients, and lists what each answer means.
"""

import builtins
import socket
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from mooring_operator.adapters.api_server import (
    Connection,
    NotFound,
    collection_path,
    group_path,
    label_selector,
    object_path,
)
from mooring_operator.adapters.cluster import (
    Conflict,
    Event,
    Kind,
    Manifest,
    Ref,
    Refused,
    Unavailable,
)
from mooring_operator.adapters.recent import RecentObjects
from mooring_operator.api.names import FIELD_MANAGER

REPORTING_CONTROLLER = "mooring.dev/operator"
PAGE = 10
"""Objects that are read at a time. Of the largest that etcd takes they are 15 MB of JSON, and five times that here."""
_MAX_NOTE = 1024
_AS_US = {"fieldManager": FIELD_MANAGER}
# How the API server says that an object of this name is not the one that was read, or has another controller.
_ANOTHER_OBJECT = (
    "metadata.uid: Invalid value",
    "metadata.ownerReferences: Invalid value",
    # The last is how a failed test of a JSON patch reads.
    "the server rejected our request",
)
_OF_THE_CLUSTER = "default"
"""Where the API server wants Events about objects that have no namespace."""
_EVENT = Kind("events.k8s.io/v1", "Event", "events")
_POD = Kind("v1", "Pod", "pods")
_REVIEW = Kind("authentication.k8s.io/v1", "SelfSubjectReview", "selfsubjectreviews")


class KubernetesCluster:
    """`Cluster` on a real API server.

    recent: what somebody has a watch tell; where nobody does, every read goes to the API server.
    """

    def __init__(
        self, connection: Connection, *, page: int = PAGE, recent: RecentObjects | None = None
    ) -> None:
        self._connection = connection
        self._recent = recent or RecentObjects()
        self._page = page
        self._plurals: dict[tuple[str, str], str] = {}
        self._user: str | None = None
        self._instance = socket.gethostname()[:128]

    async def get(self, ref: Ref, *, recent: bool = False) -> Manifest | None:
        """Read one object; None where there is none, or no such kind.

        recent: it may be as it was a moment ago. Not for what gives somebody a right, or takes it.
        """
        self._plurals[ref.kind.api_version, ref.kind.kind] = ref.kind.plural
        if recent and (known := self._recent.recall(ref)) is not None:
            return known
        if recent and (said := self._recent.answers.recall(ref)) is not None:
            return said.manifest
        asked = self._recent.answers.ask(ref)
        try:
            found = await self._connection.send("get", "GET", object_path(ref), resource=ref.kind.plural)
        except NotFound:
            self._recent.answers.answered(asked, None)
            self._recent.forget(ref)
            return None
        self._recent.answers.answered(asked, found)
        self._recent.answered(ref, found)
        return found

    async def list(
        self,
        kind: Kind,
        *,
        namespace: str | None = None,
        labels: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> list[Manifest]:
        """Read all objects of a kind, page by page; in every namespace when none is named.

        `fields` are of those that the API server selects objects of the kind by.
        """
        pages = self.pages(kind, namespace=namespace, labels=labels, fields=fields)
        return [item async for page in pages for item in page]

    async def pages(
        self,
        kind: Kind,
        *,
        namespace: str | None = None,
        labels: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> AsyncIterator[builtins.list[Manifest]]:
        """Yield what `list` gives, a few objects at a time: an object may have a megabyte."""
        params = {"limit": str(self._page)}
        if labels:
            params["labelSelector"] = label_selector(labels)
        if fields:
            params["fieldSelector"] = ",".join(f"{name}={value}" for name, value in fields.items())
        path = collection_path(kind.api_version, kind.plural, namespace)
        while True:
            try:
                page = await self._connection.send("list", "GET", path, resource=kind.plural, params=params)
            except NotFound:
                return
            except Refused as refusal:
                # 410: the pages' snapshot has been compacted away while they were read.
                raise Unavailable(str(refusal)) if "continue" in params else refusal from refusal
            following = page["metadata"].get("continue")
            # Items of built-in kinds do not say what they are.
            yield [{"apiVersion": kind.api_version, "kind": kind.kind, **item} for item in page["items"]]
            # Or two pages would be in memory.
            del page
            if not following:
                return
            params["continue"] = following

    async def read_pod(
        self, namespace: str, name: str, port: int, largest: int, *, tls: bool = False
    ) -> tuple[int, bytes]:
        """Read what a pod shows at ``/metrics`` of a port, by the API server's proxy: status code and text."""
        # The API server does not hand our credentials on. Source: Kubernetes, WithAuthentication.
        pod = object_path(Ref(_POD, namespace, name))
        base, _, segment = pod.rpartition("/")
        path = f"{base}/{'https:' if tls else ''}{segment}:{port}/proxy/metrics"
        return await self._connection.text(path, resource="pods/proxy", largest=largest)

    async def create(self, manifest: Manifest) -> Manifest:
        """Make an object.

        Raises:
            Conflict: there is one of that name already; it is left as it is.
        """
        ref = await self._ref(manifest)
        try:
            return await self._write(
                ref,
                "create",
                "POST",
                collection_path(ref.kind.api_version, ref.kind.plural, ref.namespace),
                resource=ref.kind.plural,
                body=manifest,
            )
        except NotFound as error:
            if error.kind_unknown:
                raise _unknown(ref.kind.api_version, ref.kind.kind) from error
            raise

    async def apply(self, manifest: Manifest, seen: Manifest) -> Manifest:
        """Make the object that was read as `seen` say what `manifest` says.

        Server-side apply, forced, by field manager mooring.

        Raises:
            Conflict: another object has the name by now, or another controller has taken the object.
        """
        ref = await self._ref(manifest)
        # The API server refuses an apply that names another uid than the object has.
        body = {**manifest, "metadata": {**manifest["metadata"], "uid": seen["metadata"]["uid"]}}
        params = {"force": "true", **_AS_US}
        try:
            await self._count_as_applied(ref, seen)
            return await self._patch(ref, body, "application/apply-patch+yaml", params)
        except Refused as refusal:
            raise _conflict(refusal) or refusal from refusal

    async def change(self, seen: Manifest, fields: Manifest) -> Manifest:
        """Change some fields of the object that was read as `seen`, and leave the others; null removes one.

        Source: RFC 7396, JSON merge patch.

        Raises:
            Conflict: another object has the name by now.
        """
        patch = {**fields, "metadata": {**fields.get("metadata", {}), "uid": seen["metadata"]["uid"]}}
        try:
            return await self._patch(await self._ref(seen), patch, "application/merge-patch+json", _AS_US)
        except Refused as refusal:
            raise _conflict(refusal) or refusal from refusal

    async def scale(self, seen: Manifest, replicas: int) -> None:
        """Say how many pods the workload that was read as `seen` should have, and leave all else of it alone.

        Raises:
            Conflict: another object has the name by now.
        """
        ref = await self._ref(seen)
        patch = {"metadata": {"uid": seen["metadata"]["uid"]}, "spec": {"replicas": replicas}}
        try:
            await self._connection.send(
                "patch",
                "PATCH",
                f"{object_path(ref)}/scale",
                resource=f"{ref.kind.plural}/scale",
                body=patch,
                content_type="application/merge-patch+json",
                params=_AS_US,
            )
        except Refused as refusal:
            raise _conflict(refusal) or refusal from refusal

    async def delete(self, seen: Manifest) -> None:
        """Delete the object that was read as `seen`, and what it controls; one that is gone is a success.

        Raises:
            Conflict: it has changed since it was read.
        """
        ref, metadata = await self._ref(seen), seen["metadata"]
        read = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
        # Of a Job, the pods would stay otherwise.
        options = {"preconditions": read, "propagationPolicy": "Background"}
        try:
            self._recent.forget(ref)
            with self._recent.answers.changing(ref):
                await self._connection.send(
                    "delete", "DELETE", object_path(ref), resource=ref.kind.plural, body=options
                )
        except NotFound:
            return
        except Conflict:
            current = await self.get(ref)
            if current is not None and current["metadata"]["uid"] == metadata["uid"]:
                raise

    async def write_status(self, resource: Manifest, status: Manifest) -> Manifest:
        """Replace the status of `resource` as it was read.

        Raises:
            Conflict: somebody has written the object since, or deleted it.
        """
        ref = await self._ref(resource)
        try:
            return await self._write(
                ref,
                "update",
                "PUT",
                f"{object_path(ref)}/status",
                resource=f"{ref.kind.plural}/status",
                body={**resource, "status": status},
            )
        except NotFound as error:
            raise Conflict(str(error)) from error

    async def set_annotations(self, seen: Manifest, annotations: Mapping[str, str]) -> None:
        """Set annotations of the object that was read as `seen`, whatever their values were.

        Raises:
            Conflict: another object has the name by now.
        """
        await self.change(seen, {"metadata": {"annotations": dict(annotations)}})

    async def remove_annotation(
        self, resource: Manifest, name: str, value: str, *, along: Iterable[str] = ()
    ) -> None:
        """Remove an annotation and those `along` with it, if it still has `value`; else leave all alone."""
        ref = await self._ref(resource)
        path = _annotation_path(name)
        patch: list[Manifest] = [{"op": "test", "path": path, "value": value}, {"op": "remove", "path": path}]
        for other in map(_annotation_path, along):
            # What is not there cannot be removed: have it there first.
            patch += [{"op": "add", "path": other, "value": ""}, {"op": "remove", "path": other}]
        try:
            await self._patch(ref, patch, "application/json-patch+json", _AS_US)
        except NotFound:
            return
        except Refused:
            # A failed test looks like any other invalid object, so look whether it was the test.
            current = await self.get(ref)
            annotations = ((current or {}).get("metadata") or {}).get("annotations") or {}
            if annotations.get(name) == value:
                raise

    async def user(self) -> str:
        """Give the name that the API server knows us by; empty where it does not say."""
        if self._user is None:
            review = {"apiVersion": _REVIEW.api_version, "kind": _REVIEW.kind}
            path = collection_path(_REVIEW.api_version, _REVIEW.plural, None)
            try:
                answer = await self._connection.send(
                    "create", "POST", path, resource=_REVIEW.plural, body=review
                )
                self._user = str(answer["status"]["userInfo"]["username"])
            except Refused:
                self._user = ""
        return self._user

    async def emit(self, event: Event) -> None:
        """Record an Event."""
        await self._connection.send(
            "create",
            "POST",
            collection_path(_EVENT.api_version, _EVENT.plural, event.namespace or _OF_THE_CLUSTER),
            resource=_EVENT.plural,
            body=_event_manifest(event, self._instance, datetime.now(UTC)),
            params=_AS_US,
        )

    async def _count_as_applied(self, ref: Ref, seen: Manifest) -> None:
        """Have what Mooring wrote when it made the object count as applied, wherever that stands by now."""
        try:
            await self._turn_into_applied(ref, seen)
        except Refused:
            # Somebody else wrote it meanwhile, as KServe does, and the entry may be at another place.
            latest = await self.get(ref)
            if latest is None or latest["metadata"]["uid"] != seen["metadata"]["uid"]:
                raise
            await self._turn_into_applied(ref, latest)

    async def _turn_into_applied(self, ref: Ref, seen: Manifest) -> None:
        """Have the entry of the creation among an object's managers count as applied, where there is one.

        Else a field that an apply leaves out would stay: who created an object and who applies it are two owners
        of a field, even under one name. Source: Kubernetes, server-side apply, "Upgrading from client-side apply".
        """
        entries = seen["metadata"].get("managedFields") or []
        place = next((index for index, entry in enumerate(entries) if _created_by_us(entry)), None)
        if place is None:
            return
        entry = f"/metadata/managedFields/{place}"
        patch = [
            {"op": "test", "path": "/metadata/uid", "value": seen["metadata"]["uid"]},
            {"op": "test", "path": f"{entry}/manager", "value": FIELD_MANAGER},
            {"op": "test", "path": f"{entry}/operation", "value": "Update"},
            {"op": "replace", "path": f"{entry}/operation", "value": "Apply"},
        ]
        await self._patch(ref, patch, "application/json-patch+json", _AS_US)

    async def _patch(self, ref: Ref, patch: Any, content_type: str, params: Mapping[str, str]) -> Manifest:
        try:
            return await self._write(
                ref,
                "patch",
                "PATCH",
                object_path(ref),
                resource=ref.kind.plural,
                body=patch,
                content_type=content_type,
                params=params,
            )
        except NotFound as error:
            if error.kind_unknown:
                raise _unknown(ref.kind.api_version, ref.kind.kind) from error
            raise

    async def _write(
        self,
        ref: Ref,
        verb: str,
        method: str,
        path: str,
        *,
        resource: str,
        body: Any,
        content_type: str = "application/json",
        params: Mapping[str, str] = _AS_US,
    ) -> Manifest:
        """Write an object and give it as it is then; whatever was known of it is known no more."""
        sent_at = self._recent.forget(ref)
        with self._recent.answers.changing(ref):
            written = await self._connection.send(
                verb, method, path, resource=resource, body=body, content_type=content_type, params=params
            )
        made = verb == "create" or _is_changed(body, written)
        self._recent.answered(ref, written, sent_at=sent_at if made else None)
        return written

    async def _ref(self, manifest: Manifest) -> Ref:
        api_version, kind, metadata = manifest["apiVersion"], manifest["kind"], manifest["metadata"]
        if (api_version, kind) not in self._plurals:
            await self._discover(api_version)
        plural = self._plurals.get((api_version, kind))
        if plural is None:
            raise _unknown(api_version, kind)
        namespace = metadata.get("namespace", "")
        return Ref(Kind(api_version, kind, plural, namespaced=bool(namespace)), namespace, metadata["name"])

    async def _discover(self, api_version: str) -> None:
        """Learn the plurals of one API group's kinds."""
        try:
            found = await self._connection.send(
                "get", "GET", group_path(api_version), resource="apiresources"
            )
        except NotFound:
            return
        for entry in found["resources"]:
            if "/" not in entry["name"]:
                self._plurals[api_version, entry["kind"]] = entry["name"]


def _is_changed(body: Any, written: Manifest) -> bool:
    """Whether a write that was bound to a version has made another one; of any other write this is not known."""
    read = body["metadata"].get("resourceVersion") if isinstance(body, dict) else None
    return read is not None and read != written["metadata"].get("resourceVersion")


def _created_by_us(entry: Manifest) -> bool:
    return (
        entry.get("manager") == FIELD_MANAGER
        and entry.get("operation") == "Update"
        and not entry.get("subresource")
    )


def _conflict(refusal: Refused) -> Conflict | None:
    """Give the conflict that a refusal amounts to: the object is gone, another one, or another controller's."""
    text = str(refusal)
    gone = isinstance(refusal, NotFound)
    return Conflict(text) if gone or any(sign in text for sign in _ANOTHER_OBJECT) else None


def _annotation_path(name: str) -> str:
    """Where an annotation is, in a JSON patch."""
    return "/metadata/annotations/" + name.replace("~", "~0").replace("/", "~1")


def _unknown(api_version: str, kind: str) -> Unavailable:
    # Not a refusal: the definition may be about to be installed, and nothing is wrong with the object.
    return Unavailable(f"the cluster has no kind {kind} in {api_version}; is its definition installed?")


def _event_manifest(event: Event, instance: str, now: datetime) -> Manifest:
    return {
        "apiVersion": _EVENT.api_version,
        "kind": _EVENT.kind,
        # A name that grows with time: it is all that kubectl describe sorts the Events of one second by.
        "metadata": {
            "name": f"{event.name}.{time.time_ns():x}",
            "namespace": event.namespace or _OF_THE_CLUSTER,
        },
        "eventTime": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "regarding": {
            "apiVersion": event.about_api_version,
            "kind": event.about_kind,
            **({"namespace": event.namespace} if event.namespace else {}),
            "name": event.name,
            "uid": event.uid,
        },
        "type": event.type,
        "reason": event.reason,
        "note": event.message.encode()[:_MAX_NOTE].decode(errors="ignore"),
        "action": event.reason,
        "reportingController": REPORTING_CONTROLLER,
        "reportingInstance": instance,
    }
