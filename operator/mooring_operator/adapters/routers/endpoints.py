"""Traffic by a Service of the deployment's name, without any gateway: a revision's share is that of its ready pods.

The Service selects the pods of all revisions that have a share, or of the only one that has; Kubernetes keeps its
EndpointSlices right within .1 s. Source: Kubernetes 1.36, v1 Service, discovery.k8s.io/v1; KServe 0.21.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mooring_operator.adapters.cluster import Cluster, Ref
from mooring_operator.adapters.routers.endpoints_limits import (
    why_not_one_service,
    why_not_selected_together,
)
from mooring_operator.adapters.routers.inference_services.found import revisions_of, running_in
from mooring_operator.adapters.routers.inference_services.revision_manifest import (
    LONGEST_NAMES,
    is_as_adopted,
    name_of,
)
from mooring_operator.adapters.routers.inference_services.revision_reading import entry_of
from mooring_operator.adapters.routers.inference_services.revisions import RevisionServices, RevisionsSeen
from mooring_operator.adapters.routers.owned import (
    ENDPOINT_SLICE,
    SERVICE,
    SERVICE_NAME_LABEL,
    find_owned,
    preview_name,
    ready_endpoints,
    some_by_name,
    unless_untaken,
    untaken,
)
from mooring_operator.adapters.routers.port import ServiceNameTaken
from mooring_operator.api.names import DEPLOYMENT_LABEL, REVISION_LABEL
from mooring_operator.api.rollout_status import Revision
from mooring_operator.planning.manifests.workloads import Images
from mooring_operator.planning.objects import ownership
from mooring_operator.planning.objects.owner import Manifest, Owner
from mooring_operator.planning.routes import Beside, Running, Service, Traits, Variant
from mooring_operator.planning.routing import Arm, Routing

_COMPONENT = "component"
_STABLE = REVISION_LABEL
"""Annotation of the Service: a selector of all pods does not tell which revision they belong to."""
_LONGEST_BASE = 58
"""Characters that Kubernetes takes over into the name of a pod."""


class EndpointsRouter:
    """Implements `Traffic`."""

    traits = Traits(
        "KServe", LONGEST_NAMES, serves_each=True, weighs_by_pods=True, previews=True, adopts=True
    )

    def __init__(self, cluster: Cluster, collector_image: str = Images.inference) -> None:
        self._cluster = cluster
        self._revisions = RevisionServices(cluster, collector_image=collector_image)

    async def observe(self, owner: Owner, revisions: Sequence[Revision]) -> Service | None:
        """Read the revisions, the Service and its EndpointSlices: what is ready there gets requests."""
        labelled = await some_by_name(self._cluster, SERVICE, owner) if revisions else {}
        service = await find_owned(self._cluster, SERVICE, owner, owner.name, read=labelled)
        seen = await self._revisions.observe(owner, revisions)
        if service is None and not seen.services:
            return None
        preview, taken = await self._preview(owner, labelled)
        ready = await self._ready(owner, service)
        names = {revision.revision: name_of(owner, revision) for revision in revisions}
        pods = {name: _pods_of(name, seen.entries.get(name)) for name in names.values()}
        made = {name: await self._made(owner, name, entry, labelled) for name, entry in seen.entries.items()}
        ports = {name: _ports(found) for name, found in made.items()}
        selectors = _selectors(owner, revisions, seen, made)
        variants = {
            revision: replace(
                await self._with_endpoints(
                    owner,
                    variant,
                    made.get(names[revision]),
                    weight := _share(ready, pods[names[revision]]),
                    unanswered=revision in seen.stale
                    or (not ready and _sends_to(service, selectors.get(names[revision]))),
                ),
                weight=weight,
                beside=Beside(
                    previewed=variant.ready and _selects(preview, selectors.get(names[revision])),
                    unpreviewed=taken,
                ),
            )
            for revision, variant in seen.variants.items()
        }
        first = names[revisions[0].revision] if revisions else ""
        return Service(
            f"http://{owner.name}.{owner.namespace}.svc",
            variants,
            shared=_is_shared(service, selectors.get(first), ready, pods.get(first, "")),
            problem=why_not_one_service(seen.entries, ports) or why_not_selected_together(revisions, seen),
            manifest={
                "service": service,
                "preview": preview,
                "preview_taken": taken,
                "revisions": seen,
                "ports": ports,
                "selectors": selectors,
            },
        )

    async def serving(self, owner: Owner, seen: Service) -> list[Running]:
        """Read it from the Service: it selects one revision's pods, or those of all."""
        service = seen.manifest["service"]
        if service is None:
            return []
        selector, revisions = service["spec"].get("selector") or {}, await revisions_of(self._cluster, owner)
        if (only := selector.get(REVISION_LABEL)) is not None:
            return [running_in(owner, revisions[only], 100)] if only in revisions else []
        stable = (service["metadata"].get("annotations") or {}).get(_STABLE)
        if DEPLOYMENT_LABEL not in selector:
            # The pods of what was taken over; or of what was handed over, which was not made here.
            return [Running("", 100, f"selected by Service {owner.name}")] if stable else []
        ready = await self._ready(owner, service)
        shares = {
            name: _share(ready, _pods_of(made["metadata"]["name"], "")) for name, made in revisions.items()
        }
        named = sorted(
            (name for name in shares if shares[name]), key=lambda name: (name != stable, -shares[name])
        )
        return [running_in(owner, revisions[name], shares[name]) for name in named]

    async def route(self, owner: Owner, routing: Routing, seen: Service | None) -> None:
        """Start pods before the Service selects them, and end none that it selects."""
        found = seen.manifest if seen is not None else {}
        routing = _unshared(routing) if seen is not None and seen.problem else routing
        weighing = [arm for arm in routing.arms if arm.weight] or [routing.arms[0]]
        shared = len(weighing) > 1
        arms = tuple(_unselected(arm) if shared else arm for arm in routing.arms)
        exact = [arm.revision.revision for arm in arms if shared or _comes_along(arm, routing)]
        if seen is None and await self._revisions.begin(owner, replace(routing, arms=arms), exact=exact):
            # KServe has made no Service yet that tells of ports.
            return
        revisions: RevisionsSeen = found.get("revisions") or await self._revisions.observe(
            owner, [*(arm.revision for arm in routing.arms), *routing.kept]
        )
        await self._revisions.run(owner, replace(routing, arms=arms), revisions, exact=exact)
        name = name_of(owner, weighing[0].revision)
        if ports := found.get("ports", {}).get(name):
            selector = _selector(owner, revisions.entries[name]) if shared else found["selectors"][name]
            wanted = _manifest(owner, owner.name, selector, ports, stable=routing.stable.revision)
            await self._write(wanted, found.get("service"))
        await self._show(owner, routing, found)
        await self._revisions.clear(owner, routing, revisions)

    async def remove(self, owner: Owner, seen: Service | None) -> None:
        """Delete the Service, then the revisions."""
        if seen is None:
            return
        for service in (seen.manifest["service"], seen.manifest["preview"]):
            if service is not None:
                await self._cluster.delete(service)
        await self._revisions.remove(owner, seen.manifest["revisions"])

    async def _preview(self, owner: Owner, labelled: Mapping[str, Manifest]) -> tuple[Manifest | None, str]:
        """Give the preview's Service, or whose it is where it is somebody else's: who asks for none needs none."""
        try:
            name = preview_name(owner)
            return await find_owned(self._cluster, SERVICE, owner, name, read=labelled), ""
        except ServiceNameTaken as taken:
            return None, str(taken)

    async def _show(self, owner: Owner, routing: Routing, found: Mapping[str, Any]) -> None:
        """Have the preview's Service select the revision that is previewed, and be gone where none is."""
        there = found.get("preview")
        previewed = next(
            (arm.revision for arm in routing.arms if arm.revision.revision == routing.preview), None
        )
        if previewed is None:
            if there is not None:
                await self._cluster.delete(there)
            return
        name = name_of(owner, previewed)
        ports = found.get("ports", {}).get(name)
        if ports and not found["preview_taken"]:
            wanted = _manifest(owner, preview_name(owner), found["selectors"][name], ports)
            await self._write(wanted, there)

    async def _ready(self, owner: Owner, service: Manifest | None) -> list[str]:
        """Give the names of the pods that get requests."""
        if service is None:
            return []
        slices = await self._cluster.list(
            ENDPOINT_SLICE, namespace=owner.namespace, labels={SERVICE_NAME_LABEL: owner.name}
        )
        return [
            str((endpoint.get("targetRef") or {}).get("name", ""))
            for found in slices
            if ownership.controller_of(found) is None
            or ownership.is_controlled_by(found, service["metadata"]["uid"])
            for endpoint in ready_endpoints(found)
        ]

    async def _with_endpoints(
        self, owner: Owner, variant: Variant, made: Manifest | None, weight: int, *, unanswered: bool
    ) -> Variant:
        """Have a revision wait whose pods are ready and get no requests: a Service of them alone answers nobody.

        unanswered: whether the deployment's Service selects them, and sends requests to no pod at all; or they
            may be on their way out, as there were to be none.
        """
        if not variant.ready or weight:
            return variant
        if unanswered:
            return untaken(variant)
        service = made["metadata"]["name"] if made is not None else None
        return await unless_untaken(self._cluster, owner, variant, service)

    async def _made(
        self, owner: Owner, name: str, entry: str, labelled: Mapping[str, Manifest]
    ) -> Manifest | None:
        """Give the Service that KServe made for a revision; None where it has made none yet."""
        ref = Ref(SERVICE, owner.namespace, f"{name}-{entry}")
        return labelled.get(ref.name) or await self._cluster.get(ref)

    async def _write(self, wanted: Manifest, seen: Manifest | None) -> None:
        if seen is None:
            await self._cluster.create(wanted)
        elif not _says_exactly(seen, wanted):
            await self._cluster.apply(wanted, seen)


def _selectors(
    owner: Owner,
    revisions: Iterable[Revision],
    seen: RevisionsSeen,
    made: Mapping[str, Manifest | None],
) -> dict[str, dict[str, str]]:
    """Give by which labels the pods of each revision alone are selected, by the InferenceService's name.

    Those of one that was taken over have none of Mooring's: KServe's own Service selects them.
    """
    out = {}
    for revision in revisions:
        name = name_of(owner, revision)
        service, found = seen.services.get(name), made.get(name)
        if service is None or found is None:
            continue
        own = {**_selector(owner, entry_of(revision)), REVISION_LABEL: revision.revision}
        out[name] = found["spec"].get("selector") or own if is_as_adopted(service, revision) else own
    return out


def _selector(owner: Owner, entry: str) -> dict[str, str]:
    """Give by which labels the pods of all revisions are selected."""
    return {DEPLOYMENT_LABEL: owner.name, _COMPONENT: entry}


def _manifest(
    owner: Owner, name: str, selector: Mapping[str, str], ports: list[Manifest], stable: str = ""
) -> Manifest:
    """Give a Service of the pods that have some labels; `stable` is the revision that traffic belongs to."""
    return {
        "apiVersion": SERVICE.api_version,
        "kind": SERVICE.kind,
        "metadata": {
            "name": name,
            "namespace": owner.namespace,
            "labels": ownership.owned_labels(owner.name),
            # Not a label: Kubernetes would write the slices of the Service anew.
            **({"annotations": {_STABLE: stable}} if stable else {}),
            "ownerReferences": [ownership.owner_reference(owner)],
        },
        "spec": {"ports": ports, "selector": dict(selector)},
    }


def _ports(made: Manifest | None) -> list[Manifest]:
    ports = (made or {"spec": {}})["spec"].get("ports") or []
    return [_port(index, port) for index, port in enumerate(ports)]


def _port(index: int, port: Mapping[str, Any]) -> Manifest:
    """Give a port as it is for every revision: KServe calls it by the InferenceService where a container does not."""
    fields = ("port", "targetPort", "protocol", "appProtocol")
    grpc = any(sign in str(port.get("name", "")) for sign in ("grpc", "h2c"))
    name = "grpc" if grpc else "http" if index == 0 else f"port-{port['port']}"
    return {"name": name, **{name: port[name] for name in fields if name in port}}


def _unselected(arm: Arm) -> Arm:
    """A Service that selects all pods selects those of a revision without a share too: it has none then."""
    return arm if arm.weight else replace(arm, pods=0)


def _comes_along(arm: Arm, routing: Routing) -> bool:
    """Whether a revision has yet to get its part of the requests: by more pods it would be too large from the start."""
    return arm is not routing.arms[0] and not arm.weight


def _unshared(routing: Routing) -> Routing:
    """Give the stable revision all traffic, where one Service cannot send requests to another as well."""
    stable, *others = routing.arms
    arms = (replace(stable, weight=100, pods=None), *(replace(arm, weight=0) for arm in others))
    # All at once is possible: the Service moves from one to the other, ports and all.
    return replace(routing, arms=arms) if stable.weight else routing


def _says_exactly(seen: Manifest, wanted: Manifest) -> bool:
    """Whether the Service selects what is wanted and no less: one label more, and pods are left out."""
    return ownership.already_says(seen, wanted) and seen["spec"].get("selector") == wanted["spec"]["selector"]


def _share(ready: Sequence[str], pods: str) -> int:
    """Give the percent of the ready pods whose names begin with `pods`."""
    own = sum(pod.startswith(pods) for pod in ready)
    return round(100 * own / len(ready)) if ready else 0


def _is_shared(
    service: Manifest | None, selector: Mapping[str, str] | None, ready: Iterable[str], pods: str
) -> bool:
    if service is None:
        return False
    others = any(not pod.startswith(pods) for pod in ready)
    return others or (service["spec"].get("selector") or {}) != (selector or {})


def _pods_of(name: str, entry: str | None) -> str:
    """Give how the names of an InferenceService's pods begin: Kubernetes takes the Deployment's, and cuts it."""
    return f"{name}-{entry}"[:_LONGEST_BASE] if entry is not None else f"{name}-"


def _sends_to(service: Manifest | None, selector: Mapping[str, str] | None) -> bool:
    """Whether a Service selects the pods of a revision, which have these labels, alone or beside others."""
    asked = ((service or {}).get("spec") or {}).get("selector") or {}
    return bool(asked) and selector is not None and asked.items() <= selector.items()


def _selects(service: Manifest | None, selector: Mapping[str, str] | None) -> bool:
    """Whether a Service selects the pods of one revision alone, which have these labels."""
    return selector is not None and ((service or {}).get("spec") or {}).get("selector") == selector
