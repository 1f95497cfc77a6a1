"""Traffic by KServe in Knative mode: ``predictor.canaryTrafficPercent``, between the revisions that Knative makes.

The percent is the share of Knative's latest revision that is ready, whatever that is: one that was rejected, or that
nobody wants any more, has all that its successor is promised, and until that is ready. So who is to follow starts
with nothing, and gets its share when Knative's latest is the one that was asked for, and ready.

Source: KServe 0.21, serving.kserve.io/v1beta1, and Knative Serving, serving.knative.dev/v1, both as they run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mooring_operator.adapters.cluster import Cluster, Kind, Ref
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
from mooring_operator.planning.status.wording import because

KNATIVE_REVISION = Kind("serving.knative.dev/v1", "Revision", "revisions")

_REVISION = "serving.knative.dev/revision"
"""Which revision of Knative's a pod is of."""
_ROUTE_READY = "PredictorRouteReady"


@dataclass(frozen=True)
class Latest:
    """The revision that Knative made last, and that the percent is about.

    revision: which of ours it runs; empty where there is none, or nobody can tell.
    ready: whether it has become ready.
    replaces: whether another one had all traffic before, and has what is not given to this one.
    """

    revision: str = ""
    ready: bool = False
    replaces: bool = False

    def may_have(self, wanted: Revision) -> bool:
        """Whether traffic that is given to the latest is given to `wanted`."""
        return not self.replaces or (self.ready and self.revision == wanted.revision)


class KnativeRouter:
    """Implements `Traffic`."""

    traits = Traits(
        "KServe", manifests.LONGEST_NAMES, names_workloads=False, holds_rejected=True, scales_in_place=False
    )

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._services = InferenceServices(cluster)
        self._inquiry = Inquiry(cluster)

    async def observe(self, owner: Owner, revisions: Sequence[Revision]) -> Service | None:
        """Read the InferenceService, and of which revision Knative's latest is."""
        manifest = await self._services.find(owner)
        if manifest is None:
            return None
        latest = await self._latest(manifest, revisions)
        service, status = _read(manifest, latest, revisions), manifest.get("status") or {}
        variants = dict(service.variants)
        for name, variant in variants.items():
            if not variant.ready:
                labels = {_REVISION: variant.workload} if variant.workload else {REVISION_LABEL: name}
                variants[name] = with_cause(variant, status, await self._inquiry.cause(manifest, labels))
        return replace(service, variants=variants, manifest={"service": manifest, "latest": latest})

    async def serving(self, owner: Owner, seen: Service) -> list[Running]:
        """Read it from the InferenceService, which says what is latest; what had traffic before only Knative knows."""
        manifest = dict(seen.manifest["service"])
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
        if seen is None:
            await self._services.write(_wanted(owner, routing, Latest(), held=False), None)
            return
        wanted = _wanted(owner, routing, seen.manifest["latest"], held=True)
        await self._services.write(wanted, _as_read(seen))

    async def remove(self, owner: Owner, seen: Service | None) -> None:
        """Delete the InferenceService."""
        await self._services.delete(_as_read(seen) if seen is not None else None)

    async def _latest(self, manifest: Manifest, revisions: Sequence[Revision]) -> Latest:
        predictor = _predictor_status(manifest)
        created, replaces = (
            predictor.get("latestCreatedRevision"),
            bool(predictor.get("latestRolledoutRevision")),
        )
        if not created:
            return Latest(replaces=replaces)
        ready = created == predictor.get("latestReadyRevision")
        if [created] == [revision.workload for revision in revisions]:
            # At rest there is nobody else, and what was promoted is known by its workload.
            return Latest(revisions[0].revision, ready, replaces)
        made = await self._cluster.get(Ref(KNATIVE_REVISION, manifest["metadata"]["namespace"], created))
        labels = (made or {}).get("metadata", {}).get("labels") or {}
        return Latest(labels.get(REVISION_LABEL, ""), ready, replaces)


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


def _wanted(owner: Owner, routing: Routing, latest: Latest, *, held: bool) -> Manifest:
    if len(routing.arms) > 1:
        arm = routing.arms[1]
        return split(owner, arm if latest.may_have(arm.revision) else replace(arm, weight=0))
    if routing.rejected is not None and held:
        return reject(owner, routing.rejected)
    return _service(owner, routing.stable, percent=None if latest.may_have(routing.stable) else 0)


def _service(owner: Owner, latest: Revision, percent: int | None = None) -> Manifest:
    predictor = {**manifests.predictor(latest), **manifests.scaling(latest.serving_spec)}
    if percent is not None:
        predictor["canaryTrafficPercent"] = percent
    return manifests.service(owner, "Knative", {"predictor": predictor, **manifests.components(latest)})


# --- what is read -------------------------------------------------------------------------------


def _read(manifest: Manifest, latest: Latest, revisions: Sequence[Revision]) -> Service:
    status, predictor = manifest.get("status", {}), _predictor_status(manifest)
    created, weights = predictor.get("latestCreatedRevision"), _weights(predictor)
    ready, why = read_condition(status, "Ready")
    problem, lagging = _why_not_in_effect(manifest, weights)
    # Of what no ingress has taken up nobody knows what it does.
    weight = 0 if problem else weights.get(created or "", 0)
    newest = Variant(ready=latest.ready, weight=weight, workload=created, message=why)
    url = status.get("url", "")
    if not revisions:
        return Service(url, {})
    first, *others = revisions
    if first.workload is None:
        # Nothing of it was promoted yet: it is the newest, whatever that does.
        return Service(url, {first.revision: newest}, False, problem, bool(problem), lagging)
    shared = "canaryTrafficPercent" in manifest["spec"]["predictor"]
    # What was asked for alone has no place of its own before it has the traffic.
    serving = created if not shared and weights.get(created or "") else first.workload
    main = Variant(ready and weights.get(serving or "", 0) > 0, weights.get(serving or ""), serving, why)
    service = Service(url, {first.revision: main}, False, problem, bool(problem), lagging)
    if not others or latest.revision != others[0].revision:
        return service
    return replace(service, variants={first.revision: main, others[0].revision: newest}, shared=True)


def _as_read(seen: Service) -> Service:
    return replace(seen, manifest=seen.manifest["service"])


def _predictor_status(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (manifest.get("status") or {}).get("components", {}).get("predictor", {})
    return found


def _weights(predictor: Mapping[str, Any]) -> dict[str, int]:
    weights: dict[str, int] = {}
    for entry in predictor.get("traffic", []):
        name = entry.get("revisionName", "")
        weights[name] = weights.get(name, 0) + int(entry.get("percent", 0))
    return weights


def _why_not_in_effect(manifest: Mapping[str, Any], weights: Mapping[str, int]) -> tuple[str, bool]:
    """Say why requests may go another way than the status says, and whether that comes with every change.

    Knative tells the new split as soon as it has asked its ingress for it.
    """
    status, predictor = manifest.get("status") or {}, _predictor_status(manifest)
    if not predictor.get("latestReadyRevision"):
        return "", False
    known = next((c for c in status.get("conditions", []) if c["type"] == _ROUTE_READY), None)
    name, asked = manifest["metadata"]["name"], manifest["spec"]["predictor"].get("canaryTrafficPercent")
    taken = weights.get(predictor.get("latestCreatedRevision", ""), 0)
    if known is None or known["status"] != "True":
        _, why = read_condition(status, _ROUTE_READY)
        told = because(why) or because("KServe does not say that its route is ready")
        return f"Knative has not put the traffic of InferenceService {name} into effect{told}", (
            known is not None and known["status"] == "Unknown"
        )
    if asked == 0 and taken:
        return f"KServe has not taken the last {taken}% from what InferenceService {name} ran last", True
    return "", False
