"""Traffic by KServe in Standard mode: ``spec.canary`` of one InferenceService per ModelDeployment.

Source: KServe 0.21, serving.kserve.io/v1beta1. Readiness is read from the canary's status entry and from the
Deployments' revision labels; a weight from the HTTPRoute that KServe writes, for ``canaryStatuses.trafficPercent`` is
what the spec asks, whether anything routes it or not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mooring_operator.adapters.cluster import Cluster, InvalidName, Kind, Ref
from mooring_operator.adapters.routers.http_routes import HTTP_ROUTE, lags_behind, share_of, why_not_taken_up
from mooring_operator.adapters.routers.inference_services import manifest as manifests
from mooring_operator.adapters.routers.inference_services.found import predicted_in
from mooring_operator.adapters.routers.inference_services.inquiry import Inquiry
from mooring_operator.adapters.routers.inference_services.objects import (
    SERVICE_LABEL,
    InferenceServices,
    is_made_for,
)
from mooring_operator.adapters.routers.inference_services.status import (
    not_taken_up,
    read_condition,
    with_cause,
)
from mooring_operator.api.names import REVISION_LABEL
from mooring_operator.api.rollout_status import Revision
from mooring_operator.planning.objects import ownership
from mooring_operator.planning.objects.owner import Manifest, Owner
from mooring_operator.planning.routes import Running, Service, Traits, Variant
from mooring_operator.planning.routing import Arm, Routing

DEPLOYMENT = Kind("apps/v1", "Deployment", "deployments")
AUTOSCALER = Kind("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")

_SCALER = "serving.kserve.io/autoscalerClass"
_SCALER_CLASSES = {None: "hpa", "HPA": "hpa", "KEDA": "keda", "None": "none"}


class KServeRouter:
    """Implements `Traffic`."""

    traits = Traits("KServe", manifests.LONGEST_NAMES, renames_for_files_only=True, splits_components=False)

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._services = InferenceServices(cluster)
        self._inquiry = Inquiry(cluster)

    async def observe(self, owner: Owner, revisions: Sequence[Revision]) -> Service | None:
        """Read the InferenceService, the Deployments behind it and, where there are two revisions, their route."""
        manifest = await self._services.find(owner)
        if manifest is None:
            return None
        first = revisions[0] if revisions else None
        name = _predictor_name(manifest)
        deployment = await self._deployment(owner, name, manifest) if name is not None else None
        variants = {}
        if first is not None:
            stable = _read_stable(manifest, first, deployment)
            variants = {first.revision: await self._explained(stable, manifest, first)}
        url, shared = manifest.get("status", {}).get("url", ""), bool(manifest["spec"].get("canary"))
        if len(revisions) < 2:
            return Service(url, variants, shared, manifest=manifest)
        route = await self._route(owner, manifest)
        problem = _why_not_routed(owner.name, route)
        unsettled, lagging = bool(problem) and route is not None, route is not None and lags_behind(route)
        if not shared:
            return Service(url, variants, shared, problem, unsettled, lagging, manifest=manifest)
        candidate = revisions[1]
        canary = await self._canary(owner, manifest, candidate, route)
        problem = problem or _why_not_shared(canary, manifest, route)
        if problem and canary.weight:
            # Of what no gateway has taken up nobody knows what it does.
            canary = replace(canary, weight=0)
        both = {**variants, candidate.revision: canary}
        return Service(url, both, shared, problem, unsettled, lagging, manifest=manifest)

    async def serving(self, owner: Owner, seen: Service) -> list[Running]:
        """Read it from the InferenceService: its predictor, and its canary."""
        manifest, found = dict(seen.manifest), []
        if not ownership.was_made_for(manifest, owner):
            return []
        for canary in manifest["spec"].get("canary") or []:
            weight = int(canary.get("trafficPercent") or 0)
            found.append(predicted_in(manifest, canary["predictor"], weight, named=True))
        main = 100 - sum(canary.weight for canary in found)
        stable = predicted_in(manifest, manifest["spec"]["predictor"], main, named=True)
        # What names no revision was not made here, whoever controls it.
        return [running for running in (stable, *found) if running.weight] if stable.revision else []

    async def route(self, owner: Owner, routing: Routing, seen: Service | None) -> None:
        """Apply the service of the one or two revisions, and remove what a rollout has left behind."""
        stable = routing.stable
        wanted = split(owner, stable, routing.arms[1]) if len(routing.arms) > 1 else serve(owner, stable)
        await self._services.write(wanted, seen)
        if routing.ended and seen is not None:
            await self._delete_autoscalers(owner, stable, seen.manifest)

    async def remove(self, owner: Owner, seen: Service | None) -> None:
        """Delete the InferenceService."""
        await self._services.delete(seen)

    async def _canary(
        self, owner: Owner, service: Manifest, candidate: Revision, route: Manifest | None
    ) -> Variant:
        workload = candidate.workload
        behind = await self._deployment(owner, workload, service) if workload is not None else None
        share = None if route is None else share_of(route, _workload_name(owner.name, workload or ""))
        return await self._explained(_read_canary(service, candidate, behind, share), service, candidate)

    async def _explained(self, variant: Variant, service: Manifest, revision: Revision) -> Variant:
        """Add why a variant is not ready, as its pods and the Events tell."""
        if variant.ready:
            return variant
        labels = {SERVICE_LABEL: service["metadata"]["name"], REVISION_LABEL: revision.revision}
        cause = await self._inquiry.cause(service, labels)
        # Whoever has told a cause is not away.
        silent = cause is None and not self._inquiry.is_fresh(service)
        waiting = not_taken_up(service, _canary_name(service, revision)) if silent else ""
        return replace(with_cause(variant, service.get("status") or {}, cause), waiting=waiting)

    async def _delete_autoscalers(self, owner: Owner, stable: Revision, service: Mapping[str, Any]) -> None:
        """Delete the autoscalers of predictors that are gone, which KServe leaves behind."""
        labels = {SERVICE_LABEL: owner.name, "component": "predictor"}
        keep = _workload_name(owner.name, stable.workload or "")
        async for page in self._cluster.pages(AUTOSCALER, namespace=owner.namespace, labels=labels):
            for autoscaler in page:
                if autoscaler["metadata"]["name"] != keep and is_made_for(autoscaler, service):
                    await self._cluster.delete(autoscaler)

    async def _route(self, owner: Owner, service: Manifest) -> Manifest | None:
        found = await self._cluster.get(Ref(HTTP_ROUTE, owner.namespace, owner.name))
        return found if found is not None and is_made_for(found, service) else None

    async def _deployment(self, owner: Owner, predictor: str, service: Manifest) -> Manifest | None:
        name = _workload_name(owner.name, predictor)
        try:
            found = await self._cluster.get(Ref(DEPLOYMENT, owner.namespace, name))
        except InvalidName:
            # Somebody has written the predictor's name: there is no such Deployment, and the next apply mends it.
            return None
        return found if found is not None and is_made_for(found, service) else None


# --- what is written ----------------------------------------------------------------------------


def serve(owner: Owner, stable: Revision) -> Manifest:
    """Give the service in which one revision has all traffic."""
    return _service(owner, stable, {"predictor": _stable_predictor(stable), **manifests.components(stable)})


def split(owner: Owner, stable: Revision, arm: Arm) -> Manifest:
    """Give the service in which the candidate's arm has its weight of the traffic, and `stable` the rest.

    The candidate is not scaled: its replicas follow its share.
    """
    candidate, canary = arm.revision, _named(arm.revision)
    # KServe's schema demands a name in a canary's model, and its webhook demands that it is empty.
    if "model" in canary:
        canary["model"]["name"] = ""
    if arm.weight == 100:
        # As many replicas as stable has, so that the promotion moves no pod.
        canary["minReplicas"] = min(candidate.serving_spec.min_replicas, stable.serving_spec.min_replicas)
    canaries = [{"trafficPercent": arm.weight, "predictor": canary}]
    spec = {"predictor": _stable_predictor(stable), "canary": canaries, **manifests.components(stable)}
    return _service(owner, stable, spec)


def _service(owner: Owner, stable: Revision, spec: dict[str, Any]) -> Manifest:
    scaling = stable.serving_spec.autoscaling
    annotations = {_SCALER: _SCALER_CLASSES[scaling.scaler if scaling else None]}
    return manifests.service(owner, "Standard", spec, annotations)


def _stable_predictor(stable: Revision) -> dict[str, Any]:
    return {**_named(stable), **manifests.scaling(stable.serving_spec)}


def _named(revision: Revision) -> dict[str, Any]:
    name = {"name": revision.workload} if revision.workload else {}
    return {**manifests.predictor(revision), **name}


# --- what is read -------------------------------------------------------------------------------


def _read_stable(manifest: Manifest, shown: Revision, deployment: Manifest | None) -> Variant:
    status = manifest.get("status", {})
    ready, why = read_condition(status, "Ready")
    if deployment is not None:
        rolled_out, progress = _rolled_out(deployment, shown.revision)
        ready, why = ready and rolled_out, progress or why
    return Variant(
        ready=ready and _predictor_name(manifest) == shown.workload,
        weight=100 if ready and not manifest["spec"].get("canary") else None,
        workload=_predictor_name(manifest),
        message=why,
        pods=None if deployment is None else _ready_pods(deployment, shown.revision),
    )


def _read_canary(
    manifest: Manifest, candidate: Revision, deployment: Manifest | None, share: int | None
) -> Variant:
    """Read how the candidate does; `share` is what it gets by the route, None where there is none."""
    status, name = manifest.get("status", {}), candidate.workload
    seen = next((entry for entry in status.get("canaryStatuses", []) if entry["name"] == name), None)
    wanted = next(
        (entry for entry in manifest["spec"]["canary"] if entry["predictor"].get("name") == name), None
    )
    if seen is None or wanted is None:
        return Variant(ready=False, workload=name)
    ready, why = bool(seen["ready"]), read_condition(status, "CanaryPredictorReady")[1]
    if deployment is not None:
        available = deployment.get("status", {}).get("availableReplicas", 0)
        ready = ready and available >= wanted["predictor"].get("minReplicas", 1)
        _, why = _rolled_out(deployment, candidate.revision)
    metadata = manifest["metadata"]
    address = f"http://{_workload_name(metadata['name'], name or '')}.{metadata['namespace']}.svc"
    return Variant(ready, share if ready else 0, name, why, address=address)


def _why_not_routed(name: str, route: Manifest | None) -> str:
    """Say why traffic cannot be split; nothing where a gateway has taken up KServe's route."""
    if route is None:
        return (
            f"KServe has made no HTTPRoute {name}, so it splits no traffic: it needs KServe 0.21 or newer, "
            "enableGatewayApi: true and no disableIngressCreation in its ConfigMap inferenceservice-config"
        )
    return why_not_taken_up(route)


def _why_not_shared(canary: Variant, service: Manifest, route: Manifest | None) -> str:
    """Say that KServe has made the candidate ready and gives it no traffic, as before version 0.21."""
    asked = any(entry["trafficPercent"] for entry in service["spec"]["canary"])
    if not canary.ready or canary.weight or not asked or route is None:
        return ""
    return f"HTTPRoute {route['metadata']['name']} sends nothing to the candidate yet; KServe before 0.21 never does"


def _ready_pods(deployment: Manifest, revision: str) -> int:
    """Give the ready pods of a Deployment that is to run `revision`; none where it runs another one."""
    template = deployment["spec"].get("template", {}).get("metadata", {}).get("labels", {})
    ready = (deployment.get("status") or {}).get("readyReplicas") or 0
    return int(ready) if template.get(REVISION_LABEL) == revision else 0


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


def _canary_name(service: Mapping[str, Any], revision: Revision) -> str | None:
    """Give the name of the canary that a revision is; None where it is none."""
    names = [entry["predictor"].get("name") for entry in service["spec"].get("canary") or []]
    return revision.workload if revision.workload in names else None


def _predictor_name(manifest: Mapping[str, Any]) -> str | None:
    name = manifest["spec"]["predictor"].get("name")
    return str(name) if name else None


def _workload_name(service: str, predictor: str) -> str:
    return f"{service}-{predictor}-predictor" if predictor else f"{service}-predictor"
