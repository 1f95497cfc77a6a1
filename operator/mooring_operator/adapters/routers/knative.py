"""Traffic by KServe in Knative mode: ``predictor.canaryTrafficPercent``, between the revisions that Knative makes.

Source: KServe 0.21, serving.kserve.io/v1beta1. Readiness is read from the names of Knative's revisions.
"""

from mooring_operator.adapters.cluster import Cluster
from mooring_operator.adapters.routers.inference_services import manifest as manifests
from mooring_operator.adapters.routers.inference_services.objects import InferenceServices
from mooring_operator.adapters.routers.inference_services.status import load_failure, read_condition
from mooring_operator.api.rollout_status import Candidate, Revision
from mooring_operator.planning.objects.owner import Manifest, Owner
from mooring_operator.planning.routes import Service, Traits, Variant


class KnativeRouter:
    """Implements `Traffic`."""

    traits = Traits("KServe", manifests.LONGEST_NAMES, names_workloads=False, holds_rejected=True)

    def __init__(self, cluster: Cluster) -> None:
        self._services = InferenceServices(cluster)

    async def observe(
        self, owner: Owner, stable: Revision | None, candidate: Candidate | None
    ) -> Service | None:
        """Read the InferenceService."""
        manifest = await self._services.find(owner)
        return None if manifest is None else _read(manifest, stable, candidate)

    async def reconcile(self, owner: Owner, stable: Revision, seen: Service | None) -> None:
        """Apply the service of one revision."""
        await self._services.write(serve(owner, stable), seen)

    async def split(self, owner: Owner, stable: Revision, candidate: Candidate, seen: Service | None) -> None:
        """Apply the service of two revisions."""
        await self._services.write(split(owner, candidate), seen)

    async def reject(self, owner: Owner, stable: Revision, rejected: Revision, seen: Service | None) -> None:
        """Apply the service without traffic for the rejected revision."""
        await self._services.write(serve(owner, stable) if seen is None else reject(owner, rejected), seen)

    async def finalize(self, owner: Owner, stable: Revision, seen: Service | None) -> None:
        """Leave it to Knative, which collects its revisions itself."""

    async def remove(self, owner: Owner, seen: Service | None) -> None:
        """Delete the InferenceService."""
        await self._services.delete(seen)


# --- what is written ----------------------------------------------------------------------------


def serve(owner: Owner, stable: Revision) -> Manifest:
    """Give the service in which one revision has all traffic."""
    return _service(owner, stable)


def split(owner: Owner, candidate: Candidate) -> Manifest:
    """Give the service in which `candidate` has its weight of the traffic, and what was promoted last the rest."""
    return _service(owner, candidate, percent=candidate.weight)


def reject(owner: Owner, rejected: Revision) -> Manifest:
    """Give the service in which `rejected` has no traffic any more.

    It stays the latest, at 0 percent: writing the stable one again would start a third revision while the rejected
    one still answers.
    """
    return _service(owner, rejected, percent=0)


def _service(owner: Owner, latest: Revision, percent: int | None = None) -> Manifest:
    predictor = {**manifests.predictor(latest), **manifests.scaling(latest.serving_spec)}
    if percent is not None:
        predictor["canaryTrafficPercent"] = percent
    return manifests.service(owner, "Knative", {"predictor": predictor})


# --- what is read -------------------------------------------------------------------------------


def _read(manifest: Manifest, stable: Revision | None, candidate: Candidate | None) -> Service:
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
        blocked=load_failure(status),
    )
    if stable is None:
        return Service(status.get("url", ""), newest, manifest=manifest)
    shared = "canaryTrafficPercent" in manifest["spec"]["predictor"]
    serving = stable.workload if shared and stable.workload else created
    main = Variant(ready and weights.get(serving or "", 0) > 0, weights.get(serving or ""), serving, why)
    if candidate is None or created == stable.workload:
        return Service(status.get("url", ""), main, manifest=manifest)
    return Service(status.get("url", ""), main, newest, manifest=manifest)
