"""Traffic by KServe: ``spec.canary`` in Standard mode, ``canaryTrafficPercent`` in Knative mode.

Source: KServe 0.21. ``status.observedGeneration`` is that of the child Deployment and says nothing
about the spec, so readiness is read from what names a revision: the canary's status entry, the
Deployment's revision label, Knative's revision names.
"""

from collections.abc import Mapping
from typing import Any

from mooring_operator.adapters.cluster import Cluster, InvalidName, Kind, Ref
from mooring_operator.adapters.traffic import ServiceNameTaken
from mooring_operator.api.names import REVISION_LABEL
from mooring_operator.api.rollout_status import Candidate, Revision
from mooring_operator.planning.manifests import inference_service
from mooring_operator.planning.objects import ownership
from mooring_operator.planning.objects.owner import Manifest, Owner
from mooring_operator.planning.rollout.situation import Service, Variant

INFERENCE_SERVICE = Kind("serving.kserve.io/v1beta1", "InferenceService", "inferenceservices")
DEPLOYMENT = Kind("apps/v1", "Deployment", "deployments")
AUTOSCALER = Kind("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")

_FAILED_TRANSITIONS = frozenset({"BlockedByFailedLoad", "InvalidSpec"})


class KServeTraffic:
    """Implements `Traffic` with one InferenceService per ModelDeployment."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def observe(
        self, owner: Owner, stable: Revision | None, candidate: Candidate | None
    ) -> Service | None:
        """Read the InferenceService and, in Standard mode, the Deployments behind it."""
        manifest = await self._cluster.get(Ref(INFERENCE_SERVICE, owner.namespace, owner.name))
        if manifest is None:
            return None
        match ownership.whose(manifest, owner):
            case "foreign":
                raise ServiceNameTaken(ownership.name_taken(manifest, owner))
            case "leaving":
                raise ServiceNameTaken(ownership.name_leaving(manifest), leaving=True)
        if "deletionTimestamp" in manifest["metadata"]:
            return None
        shown = stable or candidate
        if shown is not None and shown.serving_spec.mode == "Knative":
            return _knative(manifest, stable, candidate)
        names = [_predictor_name(manifest), candidate.workload if stable is not None and candidate else None]
        deployments = [
            await self._deployment(owner, name, manifest) if name is not None else None for name in names
        ]
        return _standard(manifest, stable, candidate, *deployments)

    async def reconcile(self, owner: Owner, stable: Revision, seen: Service | None) -> None:
        """Apply the service of one revision."""
        await self._apply(inference_service.serve(owner, stable), seen)

    async def split(self, owner: Owner, stable: Revision, candidate: Candidate, seen: Service | None) -> None:
        """Apply the service of two revisions."""
        await self._apply(inference_service.split(owner, stable, candidate), seen)

    async def reject(self, owner: Owner, stable: Revision, rejected: Revision, seen: Service | None) -> None:
        """Apply the service without traffic for the rejected revision."""
        wanted = inference_service.serve(owner, stable)
        if seen is not None:
            wanted = inference_service.reject(owner, stable, rejected)
        await self._apply(wanted, seen)

    async def finalize(self, owner: Owner, stable: Revision, seen: Service | None) -> None:
        """Delete the autoscalers of predictors that are gone, which KServe leaves behind."""
        if stable.serving_spec.mode != "Standard" or seen is None:
            return
        labels = {"serving.kserve.io/inferenceservice": owner.name, "component": "predictor"}
        keep = _workload_name(owner.name, stable.workload or "")
        for autoscaler in await self._cluster.list(AUTOSCALER, namespace=owner.namespace, labels=labels):
            if autoscaler["metadata"]["name"] != keep and _made_for(autoscaler, seen.manifest):
                await self._cluster.delete(autoscaler)

    async def remove(self, owner: Owner, seen: Service | None) -> None:
        """Delete the InferenceService."""
        if seen is not None:
            await self._cluster.delete(dict(seen.manifest))

    async def _deployment(self, owner: Owner, predictor: str, service: Manifest) -> Manifest | None:
        name = _workload_name(owner.name, predictor)
        try:
            found = await self._cluster.get(Ref(DEPLOYMENT, owner.namespace, name))
        except InvalidName:
            # Somebody has written the predictor's name: there is no such Deployment, and the next apply mends it.
            return None
        return found if found is not None and _made_for(found, service) else None

    async def _apply(self, wanted: Manifest, seen: Service | None) -> None:
        if seen is None:
            await self._cluster.create(wanted)
        elif not ownership.already_says(seen.manifest, wanted):
            await self._cluster.apply(wanted, dict(seen.manifest))


def _made_for(manifest: Manifest, service: Mapping[str, Any]) -> bool:
    """Whether KServe made an object for this very InferenceService."""
    controller = ownership.controller_of(manifest)
    return controller is not None and controller.get("uid") == service["metadata"]["uid"]


def _standard(
    manifest: Manifest,
    stable: Revision | None,
    candidate: Candidate | None,
    deployment: Manifest | None,
    canary_deployment: Manifest | None,
) -> Service:
    status = manifest.get("status", {})
    shown = stable or candidate
    ready, why = _condition(status, "Ready")
    if shown is not None and deployment is not None:
        rolled_out, progress = _rolled_out(deployment, shown.revision)
        ready, why = ready and rolled_out, progress or why
    main = Variant(
        ready=ready and _predictor_name(manifest) == (shown.workload if shown is not None else None),
        weight=100 if ready and not manifest["spec"].get("canary") else None,
        workload=_predictor_name(manifest),
        message=why,
        blocked=_load_failure(status),
    )
    second = None
    if stable is not None and manifest["spec"].get("canary"):
        second = _canary(manifest, candidate, canary_deployment)
    return Service(status.get("url", ""), main, second, manifest)


def _canary(manifest: Manifest, candidate: Candidate | None, deployment: Manifest | None) -> Variant:
    status = manifest.get("status", {})
    name = candidate.workload if candidate is not None else None
    seen = next((entry for entry in status.get("canaryStatuses", []) if entry["name"] == name), None)
    wanted = next(
        (entry for entry in manifest["spec"]["canary"] if entry["predictor"].get("name") == name), None
    )
    if seen is None or wanted is None or candidate is None:
        return Variant(ready=False, workload=name)
    ready, blocked, why = bool(seen["ready"]), None, _condition(status, "CanaryPredictorReady")[1]
    if deployment is not None:
        available = deployment.get("status", {}).get("availableReplicas", 0)
        ready = ready and available >= wanted["predictor"].get("minReplicas", 1)
        _, why = _rolled_out(deployment, candidate.revision)
        blocked = _deadline_exceeded(deployment)
    return Variant(ready, int(seen.get("trafficPercent", 0)) if ready else 0, name, why, blocked)


def _knative(manifest: Manifest, stable: Revision | None, candidate: Candidate | None) -> Service:
    status = manifest.get("status", {})
    predictor = status.get("components", {}).get("predictor", {})
    created, latest_ready = predictor.get("latestCreatedRevision"), predictor.get("latestReadyRevision")
    weights: dict[str, int] = {}
    for entry in predictor.get("traffic", []):
        name = entry.get("revisionName", "")
        weights[name] = weights.get(name, 0) + int(entry.get("percent", 0))
    ready, why = _condition(status, "Ready")
    failure = _load_failure(status)
    newest = Variant(
        ready=created is not None and created == latest_ready,
        weight=weights.get(created or "", 0),
        workload=created,
        message=why,
        blocked=failure,
    )
    if stable is None:
        return Service(status.get("url", ""), newest, None, manifest)
    split = "canaryTrafficPercent" in manifest["spec"]["predictor"]
    serving = stable.workload if split and stable.workload else created
    main = Variant(ready and weights.get(serving or "", 0) > 0, weights.get(serving or ""), serving, why)
    if candidate is None or created == stable.workload:
        return Service(status.get("url", ""), main, None, manifest)
    return Service(status.get("url", ""), main, newest, manifest)


def _rolled_out(deployment: Manifest, revision: str) -> tuple[bool, str]:
    """Whether all pods of a Deployment run `revision`, and what the Deployment says about it."""
    spec, status = deployment.get("spec", {}), deployment.get("status", {})
    template = spec.get("template", {}).get("metadata", {}).get("labels", {})
    replicas = status.get("replicas", 0)
    done = (
        template.get(REVISION_LABEL) == revision
        and status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
        and status.get("availableReplicas", 0) >= 1
        and status.get("updatedReplicas", replicas) >= replicas
    )
    for kind in ("ReplicaFailure", "Progressing", "Available"):
        good = "False" if kind == "ReplicaFailure" else "True"
        entry = next((c for c in status.get("conditions", []) if c["type"] == kind), None)
        if entry is not None and entry["status"] != good:
            return done, str(entry.get("message", ""))
    return done, ""


def _deadline_exceeded(deployment: Manifest) -> str | None:
    for entry in deployment.get("status", {}).get("conditions", []):
        if entry["type"] == "Progressing" and entry.get("reason") == "ProgressDeadlineExceeded":
            return str(entry.get("message", "its Deployment exceeded the progress deadline"))
    return None


def _load_failure(status: Mapping[str, Any]) -> str | None:
    model = status.get("modelStatus", {})
    if model.get("transitionStatus") not in _FAILED_TRANSITIONS:
        return None
    failure = model.get("lastFailureInfo", {})
    return f"KServe reports {failure.get('reason', model['transitionStatus'])}: {failure.get('message', '')}".strip(
        ": "
    )


def _condition(status: Mapping[str, Any], kind: str) -> tuple[bool, str]:
    """Whether a condition is True, and its message where it is not."""
    entry = next((c for c in status.get("conditions", []) if c["type"] == kind), None)
    if entry is None:
        return False, ""
    good = entry["status"] == "True"
    return good, "" if good else str(entry.get("message") or entry.get("reason") or "")


def _predictor_name(manifest: Manifest) -> str | None:
    name = manifest["spec"]["predictor"].get("name")
    return str(name) if name else None


def _workload_name(service: str, predictor: str) -> str:
    return f"{service}-{predictor}-predictor" if predictor else f"{service}-predictor"
