"""Traffic by KServe in Knative mode: ``predictor.canaryTrafficPercent``, between the revisions that Knative makes.

Source: KServe 0.21, serving.kserve.io/v1beta1. Readiness is read from the names of Knative's revisions.
"""

from collections.abc import Sequence
from dataclasses import replace

from mooring_operator.adapters.cluster import Cluster
from mooring_operator.adapters.routers.inference_services import manifest as manifests
from mooring_operator.adapters.routers.inference_services.found import predicted_in
from mooring_operator.adapters.routers.inference_services.inquiry import Inquiry
from mooring_operator.adapters.routers.inference_services.objects import InferenceServices
from mooring_operator.adapters.routers.inference_services.status import read_condition, with_cause
from mooring_operator.api.names import REVISION_LABEL
from mooring_operator.api.rollout_status import Revision
from mooring_operator.planning.objects import ownership
from mooring_operator.planning.objects.owner import Manifest, Owner
from mooring_operator.planning.routes import Running, Service, Traits, Variant
from mooring_operator.planning.routing import Arm, Routing

_REVISION = "serving.knative.dev/revision"
"""Which revision of Knative's a pod is of."""


class KnativeRouter:
    """Implements `Traffic`."""

    traits = Traits(
        "KServe", manifests.LONGEST_NAMES, names_workloads=False, holds_rejected=True, scales_in_place=False
    )

    def __init__(self, cluster: Cluster) -> None:
        self._services = InferenceServices(cluster)
        self._inquiry = Inquiry(cluster)

    async def observe(self, owner: Owner, revisions: Sequence[Revision]) -> Service | None:
        """Read the InferenceService."""
        manifest = await self._services.find(owner)
        if manifest is None:
            return None
        service, status = _read(manifest, revisions), manifest.get("status") or {}
        variants = dict(service.variants)
        for name, variant in variants.items():
            if not variant.ready:
                labels = {_REVISION: variant.workload} if variant.workload else {REVISION_LABEL: name}
                variants[name] = with_cause(variant, status, await self._inquiry.cause(manifest, labels))
        return replace(service, variants=variants)

    async def serving(self, owner: Owner, seen: Service) -> list[Running]:
        """Read it from the InferenceService, which says what is latest; what had traffic before only Knative knows."""
        manifest = dict(seen.manifest)
        if not ownership.was_made_for(manifest, owner):
            return []
        predictor = manifest["spec"]["predictor"]
        weight = int(predictor.get("canaryTrafficPercent", 100))
        before = Running("", 100 - weight, f"Knative's own of InferenceService {owner.name}")
        latest = predicted_in(manifest, predictor, weight, named=False)
        # What names no revision was not made here, whoever controls it.
        return [running for running in (before, latest) if running.weight] if latest.revision else []

    async def route(self, owner: Owner, routing: Routing, seen: Service | None) -> None:
        """Apply the service of the latest revision; what is left behind, Knative collects itself."""
        await self._services.write(_wanted(owner, routing, held=seen is not None), seen)

    async def remove(self, owner: Owner, seen: Service | None) -> None:
        """Delete the InferenceService."""
        await self._services.delete(seen)


# --- what is written ----------------------------------------------------------------------------


def serve(owner: Owner, stable: Revision) -> Manifest:
    """Give the service in which one revision has all traffic."""
    return _service(owner, stable)


def split(owner: Owner, arm: Arm) -> Manifest:
    """Give the service in which the candidate's arm has its weight, and what was promoted last the rest."""
    return _service(owner, arm.revision, percent=arm.weight)


def reject(owner: Owner, rejected: Revision) -> Manifest:
    """Give the service in which `rejected` has no traffic any more.

    It stays the latest, at 0 percent: writing the stable one again would start a third revision while the rejected
    one still answers.
    """
    return _service(owner, rejected, percent=0)


def _wanted(owner: Owner, routing: Routing, *, held: bool) -> Manifest:
    if len(routing.arms) > 1:
        return split(owner, routing.arms[1])
    if routing.rejected is not None and held:
        return reject(owner, routing.rejected)
    return serve(owner, routing.stable)


def _service(owner: Owner, latest: Revision, percent: int | None = None) -> Manifest:
    predictor = {**manifests.predictor(latest), **manifests.scaling(latest.serving_spec)}
    if percent is not None:
        predictor["canaryTrafficPercent"] = percent
    return manifests.service(owner, "Knative", {"predictor": predictor, **manifests.components(latest)})


# --- what is read -------------------------------------------------------------------------------


def _read(manifest: Manifest, revisions: Sequence[Revision]) -> Service:
    status = manifest.get("status", {})
    predictor = status.get("components", {}).get("predictor", {})
    created, latest_ready = predictor.get("latestCreatedRevision"), predictor.get("latestReadyRevision")
    weights: dict[str, int] = {}
    for entry in predictor.get("traffic", []):
        name = entry.get("revisionName", "")
        weights[name] = weights.get(name, 0) + int(entry.get("percent", 0))
    ready, why = read_condition(status, "Ready")
    newest = Variant(
        ready=created is not None and created == latest_ready,
        weight=weights.get(created or "", 0),
        workload=created,
        message=why,
    )
    url = status.get("url", "")
    if not revisions:
        return Service(url, {}, manifest=manifest)
    first, *others = revisions
    if first.workload is None:
        # Nothing of it was promoted yet: it is the newest, whatever that does.
        return Service(url, {first.revision: newest}, manifest=manifest)
    shared = "canaryTrafficPercent" in manifest["spec"]["predictor"]
    serving = first.workload if shared and first.workload else created
    main = Variant(ready and weights.get(serving or "", 0) > 0, weights.get(serving or ""), serving, why)
    if not others or created == first.workload:
        return Service(url, {first.revision: main}, manifest=manifest)
    return Service(url, {first.revision: main, others[0].revision: newest}, shared=True, manifest=manifest)
