"""Finds the serving runtime that a revision is to run on; where nobody names one, KServe is asked.

Source: KServe 0.21. An InferenceService that is stopped says in its status which runtime it would have, and starts
nothing; a namespace's own runtimes come before the cluster's. An explicit runtime has to support the format, not to
select it by itself.
"""

import json
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from mooring_operator.adapters.cluster import Cluster, Conflict, Forbidden, Kind, Ref
from mooring_operator.adapters.routers.inference_services.inquiry import now_utc
from mooring_operator.adapters.routers.inference_services.objects import INFERENCE_SERVICE
from mooring_operator.adapters.routers.inference_services.revision_manifest import (
    STOP_ANNOTATION,
    revision_service,
)
from mooring_operator.adapters.routers.inference_services.revisions import SERVING_RUNTIME
from mooring_operator.adapters.routers.inference_services.runtime_copy import RuntimeKind, pinned
from mooring_operator.adapters.routers.owned import find_owned
from mooring_operator.api import reasons
from mooring_operator.api.model_deployment import ModelSpec
from mooring_operator.api.rollout_status import Revision
from mooring_operator.api.runtimes import LARGEST_RUNTIME, PinnedRuntime
from mooring_operator.planning import identity
from mooring_operator.planning.objects import ownership
from mooring_operator.planning.objects.owner import Manifest, Owner
from mooring_operator.planning.rollout.runtimes import Chosen, Followed, Named, NoRuntime, Sought

CLUSTER_SERVING_RUNTIME = Kind(
    "serving.kserve.io/v1alpha1", "ClusterServingRuntime", "clusterservingruntimes", namespaced=False
)
_ANSWERS_IN = timedelta(seconds=10)
"""How long KServe may take to answer before it is asked whether it is there."""
_ANSWER_HOLDS = timedelta(seconds=60)
"""How long it holds that there is no runtime: one may have been installed since."""
_UNASKED_S = 10.0
"""How long it holds that there is no question. Less than a lease lasts: another replica may ask once it leads."""
_REFUSALS = frozenset(
    {"NoSupportingRuntime", "RuntimeDisabled", "RuntimeNotRecognized", "InvalidPredictorSpec"}
)


class ServingRuntimes:
    """The runtimes that a namespace's models can have. Every call may be repeated."""

    def __init__(
        self,
        cluster: Cluster,
        now: Callable[[], datetime] = now_utc,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cluster = cluster
        self._now = now
        self._clock = clock
        self._unasked: dict[str, float] = {}
        """By the uid of a deployment: when there was no question of its."""

    async def find(self, owner: Owner, model: ModelSpec, sought: Sought) -> PinnedRuntime | NoRuntime:
        """Give the runtime as it is now, or why a revision of `model` cannot have it.

        Raises:
            ServiceNameTaken: what KServe has to be asked with is somebody else's.
        """
        match sought:
            case Named(name, field):
                return await self._named(owner, model, name, f"{field}: ")
            case Followed(runtime, name):
                now = await self._named(
                    owner, model, name or runtime.name, "", None if name else runtime.kind
                )
                # What a revision runs on stays, whatever has become of it.
                return runtime if isinstance(now, NoRuntime) else now
            case Chosen(revision):
                return await self._chosen(owner, model, revision)

    async def ask(self, owner: Owner, revision: Revision) -> None:
        """Have KServe say which runtime it would choose for a revision; what it was asked before is forgotten."""
        self._unasked.pop(owner.uid, None)
        try:
            await self._cluster.create(question(owner, revision))
        except Conflict:
            await self.forget(owner)

    async def is_asked(self, owner: Owner) -> bool:
        """Whether a question is there; what has its name and is somebody else's is none."""
        if self._clock() - self._unasked.get(owner.uid, float("-inf")) < _UNASKED_S:
            # Nobody else asks.
            return False
        seen = await self._cluster.get(Ref(INFERENCE_SERVICE, owner.namespace, question_name(owner)))
        if seen is not None and ownership.whose(seen, owner) == "ours":
            return True
        self._note_unasked(owner)
        return False

    async def forget(self, owner: Owner) -> None:
        """Remove the question; what is somebody else's stays."""
        ref = Ref(INFERENCE_SERVICE, owner.namespace, question_name(owner))
        try:
            await self._remove(owner, await self._cluster.get(ref, recent=True))
        except Conflict:
            # KServe has written to it since.
            await self._remove(owner, await self._cluster.get(ref))
        self._note_unasked(owner)

    def _note_unasked(self, owner: Owner) -> None:
        now = self._clock()
        self._unasked.pop(owner.uid, None)
        self._unasked[owner.uid] = now
        while now - next(iter(self._unasked.values())) >= _UNASKED_S:
            del self._unasked[next(iter(self._unasked))]

    async def _remove(self, owner: Owner, seen: Manifest | None) -> None:
        if seen is not None and ownership.whose(seen, owner) == "ours":
            await self._cluster.delete(seen)

    async def _named(
        self, owner: Owner, model: ModelSpec, name: str, said: str, kind: RuntimeKind | None = None
    ) -> PinnedRuntime | NoRuntime:
        if kind != "ClusterServingRuntime":
            found = await self._cluster.get(Ref(SERVING_RUNTIME, owner.namespace, name), recent=True)
            if found is not None:
                return _as_pinned("ServingRuntime", found, model, said)
        if kind != "ServingRuntime":
            try:
                found = await self._cluster.get(Ref(CLUSTER_SERVING_RUNTIME, "", name), recent=True)
            except Forbidden:
                return NoRuntime(
                    reasons.RUNTIME_UNREADABLE,
                    f"{said}there is no ServingRuntime {name} in namespace {owner.namespace}, and the operator may "
                    "not read ClusterServingRuntimes; grant it that, or name a ServingRuntime of the namespace in "
                    "spec.serving.runtime",
                )
            if found is not None:
                return _as_pinned("ClusterServingRuntime", found, model, said)
        return NoRuntime(
            reasons.RUNTIME_NOT_FOUND,
            f"{said}there is no ServingRuntime {name} in namespace {owner.namespace}, and no ClusterServingRuntime "
            "of this name; name one that exists (kubectl get servingruntimes,clusterservingruntimes)",
        )

    async def _chosen(self, owner: Owner, model: ModelSpec, revision: Revision) -> PinnedRuntime | NoRuntime:
        seen = await find_owned(self._cluster, INFERENCE_SERVICE, owner, question_name(owner))
        if seen is None or not ownership.already_says(seen, question(owner, revision)):
            return _asking(revision, "KServe is asked which runtime it chooses")
        status, age = seen.get("status") or {}, self._now() - _made(seen)
        own, clusters = status.get("servingRuntimeName"), status.get("clusterServingRuntimeName")
        said = f"spec.serving names no runtime, and KServe chooses {own or clusters}: "
        if own:
            return await self._named(owner, model, own, said, "ServingRuntime")
        if clusters:
            return await self._named(owner, model, clusters, said, "ClusterServingRuntime")
        failure = (status.get("modelStatus") or {}).get("lastFailureInfo") or {}
        if failure.get("reason") in _REFUSALS:
            return NoRuntime(
                reasons.RUNTIME_UNSUITABLE,
                f"spec.serving names no runtime, and KServe finds none for format {_format(model)}: "
                f"{failure.get('message') or failure['reason']}; name one in spec.serving.runtime, or install one",
                ask=revision if age >= _ANSWER_HOLDS else None,
            )
        if age < _ANSWERS_IN:
            return _asking(None, "KServe is asked which runtime it chooses")
        return _asking(
            None,
            f"KServe has not said which runtime it chooses (InferenceService {question_name(owner)}); is its "
            "controller running? A runtime that is named in spec.serving.runtime needs no asking",
            overdue=True,
        )


def question_name(owner: Owner) -> str:
    """Give the name of the InferenceService that asks: as long as a revision's, and no revision's."""
    return f"{owner.name}-p{identity.fingerprint(owner.uid, 8)}"


def question(owner: Owner, revision: Revision) -> Manifest:
    """Give the InferenceService that asks which runtime KServe would choose for a revision; it runs nothing."""
    made = revision_service(owner, revision.model_copy(update={"runtime": None}), pods=None)
    metadata = {
        **made["metadata"],
        "name": question_name(owner),
        "annotations": {**made["metadata"]["annotations"], STOP_ANNOTATION: "true"},
    }
    predictor = dict(made["spec"]["predictor"])
    # KServe looks at where the model is before it looks for a runtime.
    predictor["model"] = {
        field: value
        for field, value in predictor["model"].items()
        if field not in ("storageUri", "storage", "runtime")
    }
    return {**made, "metadata": metadata, "spec": {"predictor": predictor}}


def _asking(revision: Revision | None, message: str, *, overdue: bool = False) -> NoRuntime:
    return NoRuntime(reasons.CHOOSING_RUNTIME, message, temporary=True, ask=revision, overdue=overdue)


def _made(manifest: Manifest) -> datetime:
    return datetime.fromisoformat(manifest["metadata"]["creationTimestamp"])


def _as_pinned(
    kind: RuntimeKind, found: Mapping[str, Any], model: ModelSpec, said: str
) -> PinnedRuntime | NoRuntime:
    problem = _why_unsuitable(found["spec"], model)
    if problem:
        return NoRuntime(reasons.RUNTIME_UNSUITABLE, f"{said}{kind} {found['metadata']['name']} {problem}")
    return pinned(kind, found)


def _why_unsuitable(spec: Mapping[str, Any], model: ModelSpec) -> str:
    if spec.get("disabled"):
        return "is disabled; name another one in spec.serving.runtime, or take spec.disabled from it"
    formats = spec.get("supportedModelFormats") or []
    # As KServe compares them: a model that has no version takes any.
    wanted = model.format_version
    if not any(
        entry.get("name") == model.format and wanted in (None, entry.get("version")) for entry in formats
    ):
        names = sorted({_as_text(entry.get("name", ""), entry.get("version")) for entry in formats})
        listed = ", ".join(names[:10]) or "none"
        return (
            f"does not support format {_format(model)} of spec.model, but {listed}; name another one in "
            "spec.serving.runtime, or add the format to its supportedModelFormats"
        )
    text = json.dumps(spec, ensure_ascii=False)
    size = len(text.encode()) + 5 * sum(map(text.count, "<>&"))
    if size > LARGEST_RUNTIME:
        return (
            f"has {size} bytes as JSON, and a revision keeps at most {LARGEST_RUNTIME} of it; move what is long in it "
            "to its image or a ConfigMap"
        )
    return ""


def _format(model: ModelSpec) -> str:
    return _as_text(model.format, model.format_version)


def _as_text(name: str, version: str | None) -> str:
    return f"{name} {version}" if version else name
