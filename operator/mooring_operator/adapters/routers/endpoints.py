"""Traffic by a Service of the deployment's name, without any gateway: a revision's share is that of its ready pods.

The Service selects the pods of all revisions that have a share, or of the only one that has; Kubernetes keeps its
EndpointSlices right within .1 s. Source: Kubernetes 1.36, v1 Service, discovery.k8s.io/v1; KServe 0.21.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mooring_operator.adapters.cluster import Cluster, Ref
from mooring_operator.adapters.routers.inference_services.revision_manifest import LONGEST_NAMES, name_of
from mooring_operator.adapters.routers.inference_services.revision_reading import entry_of
from mooring_operator.adapters.routers.inference_services.revisions import RevisionServices, RevisionsSeen
from mooring_operator.adapters.routers.owned import (
    ENDPOINT_SLICE,
    SERVICE,
    find_owned,
    preview_name,
    ready_endpoints,
)
from mooring_operator.adapters.routers.port import ServiceNameTaken
from mooring_operator.api.names import DEPLOYMENT_LABEL, MANAGED_BY, MANAGED_BY_VALUE, REVISION_LABEL
from mooring_operator.api.rollout_status import Revision
from mooring_operator.planning.objects import ownership
from mooring_operator.planning.objects.owner import Manifest, Owner
from mooring_operator.planning.routes import Beside, Service, Traits
from mooring_operator.planning.routing import Arm, Routing

_OF_SERVICE = "kubernetes.io/service-name"
_COMPONENT = "component"
_AT_ONCE = (
    "; have the new one take over at once, by spec.rollout.strategy BlueGreen or a single step setWeight 100"
)


class EndpointsRouter:
    """Implements `Traffic`."""

    traits = Traits("KServe", LONGEST_NAMES, serves_each=True, weighs_by_pods=True, previews=True)

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._revisions = RevisionServices(cluster)

    async def observe(self, owner: Owner, revisions: Sequence[Revision]) -> Service | None:
        """Read the revisions, the Service and its EndpointSlices: what is ready there gets requests."""
        service = await find_owned(self._cluster, SERVICE, owner, owner.name)
        seen = await self._revisions.observe(owner, revisions)
        if service is None and not seen.services:
            return None
        preview, taken = await self._preview(owner)
        ready = await self._ready(owner, service)
        names = {revision.revision: name_of(owner, revision) for revision in revisions}
        variants = {
            revision: replace(
                variant,
                weight=_share(ready, names[revision]),
                beside=Beside(previewed=variant.ready and _selects(preview, revision), unpreviewed=taken),
            )
            for revision, variant in seen.variants.items()
        }
        ports = {name: await self._ports(owner, manifest) for name, manifest in seen.services.items()}
        first = names[revisions[0].revision] if revisions else ""
        return Service(
            f"http://{owner.name}.{owner.namespace}.svc",
            variants,
            shared=_is_shared(service, revisions[0].revision if revisions else "", ready, first),
            problem=_why_not_one_service(seen.services, ports),
            manifest={
                "service": service,
                "preview": preview,
                "preview_taken": taken,
                "revisions": seen,
                "ports": ports,
            },
        )

    async def route(self, owner: Owner, routing: Routing, seen: Service | None) -> None:
        """Start pods before the Service selects them, and end none that it selects."""
        found = seen.manifest if seen is not None else {}
        revisions: RevisionsSeen = found.get("revisions") or RevisionsSeen()
        routing = _unshared(routing) if seen is not None and seen.problem else routing
        weighing = [arm for arm in routing.arms if arm.weight] or [routing.arms[0]]
        shared = len(weighing) > 1
        arms = tuple(_unselected(arm) if shared else arm for arm in routing.arms)
        await self._revisions.run(owner, replace(routing, arms=arms), revisions, exact=shared)
        name = name_of(owner, weighing[0].revision)
        if ports := found.get("ports", {}).get(name):
            selected = None if shared else weighing[0].revision
            wanted = _manifest(owner, owner.name, selected, entry_of(revisions.services[name]), ports)
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

    async def _preview(self, owner: Owner) -> tuple[Manifest | None, str]:
        """Give the preview's Service, or whose it is where it is somebody else's: who asks for none needs none."""
        try:
            return await find_owned(self._cluster, SERVICE, owner, preview_name(owner)), ""
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
            entry = entry_of(found["revisions"].services[name])
            await self._write(_manifest(owner, preview_name(owner), previewed, entry, ports), there)

    async def _ready(self, owner: Owner, service: Manifest | None) -> list[str]:
        """Give the names of the pods that get requests."""
        if service is None:
            return []
        slices = await self._cluster.list(
            ENDPOINT_SLICE, namespace=owner.namespace, labels={_OF_SERVICE: owner.name}
        )
        return [
            str((endpoint.get("targetRef") or {}).get("name", ""))
            for found in slices
            if ownership.controller_of(found) is None or _is_of(found, service)
            for endpoint in ready_endpoints(found)
        ]

    async def _ports(self, owner: Owner, service: Manifest) -> list[Manifest]:
        """Give the ports of the Service that KServe made for a revision; none where it has made none yet."""
        name = f"{service['metadata']['name']}-{entry_of(service)}"
        made = await self._cluster.get(Ref(SERVICE, owner.namespace, name))
        ports = (made or {"spec": {}})["spec"].get("ports") or []
        return [_port(index, port) for index, port in enumerate(ports)]

    async def _write(self, wanted: Manifest, seen: Manifest | None) -> None:
        if seen is None:
            await self._cluster.create(wanted)
        elif not _says_exactly(seen, wanted):
            await self._cluster.apply(wanted, seen)


def _manifest(
    owner: Owner, name: str, selected: Revision | None, entry: str, ports: list[Manifest]
) -> Manifest:
    """Give a Service: of one revision's pods, or of all that the deployment has."""
    one = {REVISION_LABEL: selected.revision} if selected is not None else {}
    return {
        "apiVersion": SERVICE.api_version,
        "kind": SERVICE.kind,
        "metadata": {
            "name": name,
            "namespace": owner.namespace,
            "labels": {
                MANAGED_BY: MANAGED_BY_VALUE,
                "app.kubernetes.io/part-of": "mooring",
                DEPLOYMENT_LABEL: owner.name,
            },
            "ownerReferences": [ownership.owner_reference(owner)],
        },
        "spec": {"ports": ports, "selector": {DEPLOYMENT_LABEL: owner.name, _COMPONENT: entry, **one}},
    }


def _port(index: int, port: Mapping[str, Any]) -> Manifest:
    """Give a port as it is for every revision: KServe calls it by the InferenceService where a container does not."""
    fields = ("port", "targetPort", "protocol", "appProtocol")
    grpc = any(sign in str(port.get("name", "")) for sign in ("grpc", "h2c"))
    name = "grpc" if grpc else "http" if index == 0 else f"port-{port['port']}"
    return {"name": name, **{name: port[name] for name in fields if name in port}}


def _unselected(arm: Arm) -> Arm:
    """A Service that selects all pods selects those of a revision without a share too: it has none then."""
    return arm if arm.weight else replace(arm, pods=0)


def _unshared(routing: Routing) -> Routing:
    """Give the stable revision all traffic, where one Service cannot send requests to another as well."""
    stable, *others = routing.arms
    arms = (replace(stable, weight=100, pods=None), *(replace(arm, weight=0) for arm in others))
    # All at once is possible: the Service moves from one to the other, ports and all.
    return replace(routing, arms=arms) if stable.weight else routing


def _says_exactly(seen: Manifest, wanted: Manifest) -> bool:
    """Whether the Service selects what is wanted and no less: one label more, and pods are left out."""
    return ownership.already_says(seen, wanted) and seen["spec"].get("selector") == wanted["spec"]["selector"]


def _share(ready: Sequence[str], name: str) -> int:
    """Give the percent of the ready pods that are of one InferenceService's."""
    own = sum(_is_pod_of(pod, name) for pod in ready)
    return round(100 * own / len(ready)) if ready else 0


def _is_shared(service: Manifest | None, revision: str, ready: Iterable[str], name: str) -> bool:
    if service is None:
        return False
    selector = service["spec"].get("selector") or {}
    return selector.get(REVISION_LABEL) != revision or any(not _is_pod_of(pod, name) for pod in ready)


def _is_pod_of(pod: str, name: str) -> bool:
    """Whether a Deployment of the InferenceService made a pod: Kubernetes names it by that."""
    return pod.startswith(f"{name}-")


def _is_of(found: Mapping[str, Any], service: Mapping[str, Any]) -> bool:
    controller = ownership.controller_of(found) or {}
    return bool(controller.get("uid") == service["metadata"]["uid"])


def _why_not_one_service(services: Mapping[str, Manifest], ports: Mapping[str, list[Manifest]]) -> str:
    """Say why one Service cannot send requests to all revisions; nothing where it can."""
    known = {name: found for name, found in ports.items() if found}
    names = sorted(known)
    entries = {name: entry_of(services[name]) for name in names}
    if len(set(entries.values())) > 1:
        said = "; ".join(f"{name} at its {entry}" for name, entry in entries.items())
        return f"revisions take requests at different components, which one Service cannot select: {said}{_AT_ONCE}"
    if all(known[name] == known[names[0]] for name in names):
        return ""
    said = "; ".join(f"{name} on {_listed(known[name])}" for name in names)
    return f"revisions listen on different ports, which one Service cannot send requests to: {said}{_AT_ONCE}"


def _selects(service: Manifest | None, revision: str) -> bool:
    """Whether a Service selects the pods of this revision alone."""
    selector = ((service or {}).get("spec") or {}).get("selector") or {}
    return bool(selector.get(REVISION_LABEL) == revision)


def _listed(ports: Iterable[Mapping[str, Any]]) -> str:
    return ", ".join(str(port.get("targetPort", port.get("port"))) for port in ports)
