"""The InferenceServices of a deployment's revisions: one for each, with a copy of its runtime.

For routers that serve each revision by itself: who gets which requests is theirs.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from datetime import datetime

from mooring_operator.adapters.cluster import Cluster, Conflict, Kind, Ref
from mooring_operator.adapters.routers.inference_services.collecting import (
    collector,
    collector_name,
    others_logger,
    read_collection,
)
from mooring_operator.adapters.routers.inference_services.inquiry import Inquiry, now_utc
from mooring_operator.adapters.routers.inference_services.objects import (
    INFERENCE_SERVICE,
    SERVICE_LABEL,
    is_made_for,
    write_service,
)
from mooring_operator.adapters.routers.inference_services.restoring import undone
from mooring_operator.adapters.routers.inference_services.revision_manifest import (
    adopted_service,
    is_as_adopted,
    name_of,
    revision_service,
    scaler_class,
)
from mooring_operator.adapters.routers.inference_services.revision_reading import (
    components_of,
    entry_of,
    lags_behind,
    read_variant,
)
from mooring_operator.adapters.routers.inference_services.runtime_copy import copy_of
from mooring_operator.adapters.routers.owned import SERVICE, find_owned, write_owned, write_whole
from mooring_operator.api.names import (
    DEPLOYMENT_LABEL,
    MANAGED_BY,
    MANAGED_BY_VALUE,
    REVISION_LABEL,
    AdoptedService,
)
from mooring_operator.api.rollout_status import Revision
from mooring_operator.planning.manifests.workloads import Images
from mooring_operator.planning.objects import ownership
from mooring_operator.planning.objects.owner import Manifest, Owner
from mooring_operator.planning.rollout.capturing import collects
from mooring_operator.planning.routes import CollectorState, Variant
from mooring_operator.planning.routing import Routing

SERVING_RUNTIME = Kind("serving.kserve.io/v1alpha1", "ServingRuntime", "servingruntimes")
DEPLOYMENT = Kind("apps/v1", "Deployment", "deployments")


@dataclass(frozen=True)
class RevisionsSeen:
    """What was found of some revisions.

    variants: by revision, of those that have an InferenceService.
    services, runtimes, deployments: the objects, by the InferenceService's name; of Deployments the predictors'.
    beside: the Deployments of transformers and explainers.
    entries: the component that requests come in by.
    stale: the revisions whose pods were counted before they were asked for as they are now.
    collectors: the Deployments and Services that keep requests, by kind and name.
    """

    variants: Mapping[str, Variant] = field(default_factory=dict)
    services: Mapping[str, Manifest] = field(default_factory=dict)
    runtimes: Mapping[str, Manifest] = field(default_factory=dict)
    deployments: Mapping[str, Manifest] = field(default_factory=dict)
    beside: Mapping[str, list[Manifest]] = field(default_factory=dict)
    entries: Mapping[str, str] = field(default_factory=dict)
    collectors: Mapping[tuple[str, str], Manifest] = field(default_factory=dict)
    stale: Set[str] = frozenset()


class RevisionServices:
    """Runs revisions, and says how they do. Every call may be repeated; one that changes nothing writes nothing."""

    def __init__(
        self,
        cluster: Cluster,
        now: Callable[[], datetime] = now_utc,
        collector_image: str = Images.inference,
    ) -> None:
        """Make one; `collector_image` keeps the requests of revisions whose own server keeps none."""
        self._cluster = cluster
        self._collector_image = collector_image
        self._inquiry = Inquiry(cluster, now)

    async def observe(self, owner: Owner, revisions: Iterable[Revision]) -> RevisionsSeen:
        """Say how revisions do; their weights are for the router to add.

        Raises:
            ServiceNameTaken: an object that one of them needs is somebody else's.
        """
        variants: dict[str, Variant] = {}
        services: dict[str, Manifest] = {}
        runtimes: dict[str, Manifest] = {}
        predictors: dict[str, Manifest] = {}
        beside: dict[str, list[Manifest]] = {}
        entries: dict[str, str] = {}
        collectors: dict[tuple[str, str], Manifest] = {}
        stale: set[str] = set()
        for revision in revisions:
            name = name_of(owner, revision)
            if revision.runtime is not None:
                copy = await find_owned(self._cluster, SERVING_RUNTIME, owner, name)
                runtimes |= {name: copy} if copy is not None else {}
            service = await self._find(owner, revision)
            if service is None:
                continue
            services[name], entries[name] = service, entry_of(revision)
            deployments = await self._deployments(owner, service, revision)
            others = (made for part, made in deployments.items() if part != "predictor")
            beside[name] = [made for made in others if made is not None]
            if (predictor := deployments.get("predictor")) is not None:
                predictors[name] = predictor
            if lags_behind(deployments):
                stale.add(revision.revision)
            fresh = self._inquiry.is_fresh(service)
            variant = read_variant(revision, service, deployments, fresh=fresh)
            if not variant.ready and service["spec"]["predictor"].get("minReplicas", 1) > 0:
                labels = {DEPLOYMENT_LABEL: owner.name, REVISION_LABEL: revision.revision}
                if is_as_adopted(service, revision):
                    labels = {SERVICE_LABEL: name}
                cause = await self._inquiry.cause(service, labels)
                variant = read_variant(revision, service, deployments, cause, fresh=fresh)
            if collects(revision):
                state = await self._collector(owner, service, collectors)
                variant = replace(variant, collector=state)
            variants[revision.revision] = variant
        return RevisionsSeen(variants, services, runtimes, predictors, beside, entries, collectors, stale)

    async def run(
        self, owner: Owner, routing: Routing, seen: RevisionsSeen, *, exact: Collection[str] = ()
    ) -> None:
        """Have every arm run with the pods that it asks for.

        exact: the revisions that have no more pods than they ask for, beside those that say so themselves.
        """
        for arm in routing.arms:
            bounded = arm.exact or arm.revision.revision in exact
            await self._run(owner, arm.revision, arm.pods, seen, exact=bounded)

    async def begin(self, owner: Owner, routing: Routing, *, exact: Collection[str] = ()) -> bool:
        """Have the arms run where nothing of the deployment was found; False where something has to be looked at first.

        Nothing is read: what is there after all, as a crash leaves it, keeps its name, and is not written.
        """
        if routing.ended or any(arm.revision.adopted is not None for arm in routing.arms):
            return False
        try:
            await self.run(owner, routing, RevisionsSeen(), exact=exact)
        except Conflict:
            return False
        return True

    async def clear(self, owner: Owner, routing: Routing, seen: RevisionsSeen) -> None:
        """Take the pods of what is kept, and delete what was seen and is neither an arm nor kept.

        To be called when no request goes there any more. After a rollout, whatever else is left of ours goes too.
        """
        for revision in routing.kept:
            # What is not there any more is not brought back to do nothing.
            if name_of(owner, revision) in seen.services:
                await self._run(owner, revision, 0, seen, exact=False)
        named = [arm.revision for arm in routing.arms] + list(routing.kept)
        keep = {name_of(owner, revision) for revision in named}
        await self._delete(owner, keep, seen, everywhere=routing.ended)

    async def remove(self, owner: Owner, seen: RevisionsSeen) -> None:
        """Delete all of the deployment's."""
        await self._delete(owner, set(), seen, everywhere=True)

    # --- reading --------------------------------------------------------------------------------

    async def _find(self, owner: Owner, revision: Revision) -> Manifest | None:
        adopted = revision.adopted_service
        uid = adopted.uid if adopted is not None else ""
        return await find_owned(
            self._cluster, INFERENCE_SERVICE, owner, name_of(owner, revision), adopted=uid
        )

    async def _deployments(
        self, owner: Owner, service: Manifest, revision: Revision
    ) -> dict[str, Manifest | None]:
        found: dict[str, Manifest | None] = {}
        for component in components_of(revision):
            name = f"{service['metadata']['name']}-{component}"
            made = await self._cluster.get(Ref(DEPLOYMENT, owner.namespace, name))
            found[component] = made if made is not None and is_made_for(made, service) else None
        return found

    async def _collector(
        self, owner: Owner, service: Manifest, found: dict[tuple[str, str], Manifest]
    ) -> CollectorState:
        """Say how the collector of an InferenceService does, and add to `found` what there is of it."""
        name = collector_name(service["metadata"]["name"])
        for kind in (DEPLOYMENT, SERVICE):
            made = await self._cluster.get(Ref(kind, owner.namespace, name), recent=True)
            if made is None or "deletionTimestamp" in made["metadata"]:
                continue
            if not is_made_for(made, service):
                return CollectorState(
                    problem=f"{kind.kind} {name} exists and is not of this collector: delete it, or give this "
                    "resource another name",
                    blocked=True,
                )
            found[kind.kind, name] = made
        return read_collection(service, found.get((DEPLOYMENT.kind, name)), owner)

    # --- writing --------------------------------------------------------------------------------

    async def _run(
        self, owner: Owner, revision: Revision, pods: int | None, seen: RevisionsSeen, *, exact: bool
    ) -> None:
        name = name_of(owner, revision)
        if revision.runtime is not None:
            copy = copy_of(owner, revision, revision.runtime)
            await write_whole(self._cluster, copy, seen.runtimes.get(name))
        service = seen.services.get(name)
        if service is None and revision.adopted is not None:
            # What is taken over was there before anybody looked.
            service = await self._find(owner, revision)
        if service is not None and is_as_adopted(service, revision):
            if ownership.is_controlled_by(service, owner.uid) and (changed := undone(service, revision)):
                service = await self._cluster.change(service, {"spec": changed})
            wanted = adopted_service(owner, revision, service, pods=pods, exact=exact)
        else:
            others = others_logger(service, owner) if service is not None else None
            wanted = revision_service(owner, revision, pods=pods, exact=exact, logger=others)
        written = await write_service(self._cluster, wanted, service)
        if collects(revision):
            await self._collect(owner, revision, written, pods, seen)
        deployment = seen.deployments.get(name)
        if deployment is None or scaler_class(revision.serving_spec) == "none":
            # KServe passes a fixed number of pods on by itself.
            return
        there = _pods_of(deployment)
        if (asked := _replicas(there, pods, revision.serving_spec.min_replicas, exact=exact)) != there:
            await self._cluster.scale(deployment, asked)
        for made in seen.beside.get(name, ()):
            # An autoscaler leaves one that has none alone, and takes none down to none.
            there = _pods_of(made)
            if (asked := 0 if pods == 0 else max(there, 1)) != there:
                await self._cluster.scale(made, asked)

    async def _collect(
        self, owner: Owner, revision: Revision, service: Manifest, pods: int | None, seen: RevisionsSeen
    ) -> None:
        """Have the collector of an InferenceService run, unless there is nothing to collect."""
        idle = pods == 0 or others_logger(service, owner) is not None
        variant = seen.variants.get(revision.revision)
        if variant is not None and variant.collector is not None and variant.collector.blocked:
            return
        for wanted in collector(owner, revision, service, self._collector_image, pods=0 if idle else 1):
            there = seen.collectors.get((wanted["kind"], wanted["metadata"]["name"]))
            await write_owned(self._cluster, wanted, there)

    async def _delete(self, owner: Owner, keep: set[str], seen: RevisionsSeen, *, everywhere: bool) -> None:
        # A runtime goes last: without it KServe calls an InferenceService that is being deleted invalid.
        for kind, found in ((INFERENCE_SERVICE, seen.services), (SERVING_RUNTIME, seen.runtimes)):
            for name, manifest in found.items():
                if name not in keep:
                    await self._cluster.delete(manifest)
            if everywhere:
                await self._delete_others(kind, owner, keep | set(found))

    async def _delete_others(self, kind: Kind, owner: Owner, keep: set[str]) -> None:
        if kind is INFERENCE_SERVICE and (adopted := _adopted_by(owner)):
            # It has no label of ours.
            service = await self._cluster.get(Ref(kind, owner.namespace, adopted))
            if service is not None and adopted not in keep and ownership.is_controlled_by(service, owner.uid):
                await self._cluster.delete(service)
        labels = {MANAGED_BY: MANAGED_BY_VALUE, DEPLOYMENT_LABEL: owner.name}
        async for page in self._cluster.pages(kind, namespace=owner.namespace, labels=labels):
            for manifest in page:
                if (
                    ownership.is_controlled_by(manifest, owner.uid)
                    and manifest["metadata"]["name"] not in keep
                ):
                    await self._cluster.delete(manifest)


def _pods_of(deployment: Manifest) -> int:
    return int(deployment["spec"].get("replicas", 1))


def _adopted_by(owner: Owner) -> str:
    """Give the name of what the deployment was made to take over; empty for nothing."""
    try:
        return AdoptedService.parse(owner.adopts).name
    except ValueError:
        return ""


def _replicas(there: int, pods: int | None, least: int, *, exact: bool) -> int:
    """Give how many pods a Deployment is to have that an autoscaler scales.

    It would get there by itself, one step after the other; from no pods at all it never would.
    """
    if pods == 0 or (exact and pods is not None):
        return pods
    return max(there, pods or 0, 0 if there else least)
