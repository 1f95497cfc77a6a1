"""Traffic by a Gateway: an HTTPRoute of ours over one InferenceService for each revision.

Source: Gateway API 1.6, gateway.networking.k8s.io/v1; KServe 0.21. A weight is in effect where the Gateway has taken
the route up as it is, listens to its host names, and the revision has pods that are ready.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import replace

from mooring_operator.adapters.cluster import Cluster, Manifest, Ref
from mooring_operator.adapters.outages import Outages
from mooring_operator.adapters.routers import gateway_routes as routes
from mooring_operator.adapters.routers import gateways
from mooring_operator.adapters.routers.gateway_routes import Address, Backend, Entrance
from mooring_operator.adapters.routers.gateway_seen import (
    Seen,
    backend_of,
    beside,
    can_carry,
    reachable,
    reached,
    unless_ending,
    weight,
    without_weight,
)
from mooring_operator.adapters.routers.host_names import HostNames
from mooring_operator.adapters.routers.http_routes import HTTP_ROUTE, lags_behind, why_not_taken_up
from mooring_operator.adapters.routers.inference_services.found import is_there, running_in
from mooring_operator.adapters.routers.inference_services.objects import INFERENCE_SERVICE
from mooring_operator.adapters.routers.inference_services.revision_manifest import LONGEST_NAMES, name_of
from mooring_operator.adapters.routers.inference_services.revision_reading import COMPONENTS, entry_of
from mooring_operator.adapters.routers.inference_services.revisions import RevisionServices, RevisionsSeen
from mooring_operator.adapters.routers.owned import (
    ENDPOINT_SLICE,
    SERVICE,
    find_owned,
    preview_name,
    ready_endpoints,
    service_of,
    some_by_name,
    some_labelled,
    unless_untaken,
    write_owned,
)
from mooring_operator.adapters.routers.port import ServiceNameTaken
from mooring_operator.adapters.routers.route_writer import RouteWriter
from mooring_operator.api.rollout_status import Revision
from mooring_operator.planning.manifests.workloads import Images
from mooring_operator.planning.objects.owner import Owner
from mooring_operator.planning.routes import Running, Service, Traits
from mooring_operator.planning.routing import Arm, Routing


class GatewayRouter:
    """Implements `Traffic` for the deployments behind one Gateway.

    front: the Gateway's own Service, as `NAME.NAMESPACE.svc.cluster.local`; empty where nobody has named it: then there
    is no address inside of the cluster.
    outages: of the API server; after one the Gateway's controller hears late of the pods of a new revision.
    """

    traits = Traits(
        "KServe",
        LONGEST_NAMES,
        serves_each=True,
        adopts=True,
        mirrors=True,
        matches=True,
        sticks=True,
        previews=True,
        splits_many=True,
        hears_hosts=True,
    )

    def __init__(
        self,
        cluster: Cluster,
        entrance: Entrance,
        front: str = "",
        writer: RouteWriter | None = None,
        hosts: HostNames | None = None,
        outages: Outages | None = None,
        collector_image: str = Images.inference,
    ) -> None:
        self._cluster = cluster
        self._entrance = entrance
        self._front = front
        self._revisions = RevisionServices(cluster, collector_image=collector_image)
        self._writer = writer or RouteWriter(cluster)
        self._hosts = hosts or HostNames(cluster)
        self._outages = outages or Outages()

    async def observe(self, owner: Owner, revisions: Sequence[Revision]) -> Service | None:
        """Read the revisions, their Services, the route and the Gateway."""
        seen = await self._look(owner, revisions)
        route = seen.routes.get(owner.name)
        if not seen.revisions.services and route is None:
            return None
        problem = seen.problem or (why_not_taken_up(route) if route is not None else "")
        weights = {} if route is None or problem else routes.weights_of(route)
        variants = {
            name: replace(
                variant,
                weight=weight(seen.backends.get(name), weights) if variant.ready else 0,
                beside=beside(owner, seen, seen.backends.get(name), None if problem else route),
            )
            for name, variant in seen.revisions.variants.items()
        }
        first = revisions[0].revision if revisions else ""
        for name in self._strangers(owner, seen) & (variants.keys() - {first}):
            why = f"the API server was away a moment ago, and {self._entrance} may not know its pods yet"
            variants[name] = replace(variants[name], waiting=variants[name].waiting or why)
        if first in variants:
            variants[first] = reached(variants[first], seen.problem, route)
        others = set(routes.weights_of(route) if route is not None else ())
        shared = bool(others - {backend.service for name, backend in seen.backends.items() if name == first})
        unsettled = bool(problem) and route is not None
        lagging = not seen.problem and route is not None and lags_behind(route)
        return Service(
            self._url(seen), variants, shared, problem, unsettled, lagging, manifest={"seen": seen}
        )

    async def serving(self, owner: Owner, seen: Service) -> list[Running]:
        """Read it from the route, whose first backend is the stable revision's."""
        route, found = seen.manifest["seen"].routes[owner.name], []
        weights = routes.weights_of(route) if route is not None else {}
        for backend in (name for name in weights if weights[name]):
            name, _, entry = backend.rpartition("-")
            if entry not in COMPONENTS:
                continue
            service = await self._cluster.get(Ref(INFERENCE_SERVICE, owner.namespace, name))
            if service is not None and is_there(service, owner):
                found.append(running_in(owner, service, weights[backend]))
        return found

    async def route(self, owner: Owner, routing: Routing, seen: Service | None) -> None:
        """Have the revisions run, then have the route say who gets what, then remove what nobody needs any more."""
        if seen is None and await self._revisions.begin(owner, routing):
            # KServe has made no Service yet that a route could name.
            return
        known = seen.manifest["seen"] if seen is not None else await self._look(owner, _all(routing))
        await self._revisions.run(owner, routing, known.revisions)
        if not can_carry(routing, known.backends) or (known.barred and known.routes[owner.name] is None):
            return
        await self._write(owner, reachable(routing, known, self._strangers(owner, known)), known)
        # Only now does nobody send them requests any more.
        await self._revisions.clear(owner, routing, known.revisions)

    async def remove(self, owner: Owner, seen: Service | None) -> None:
        """Delete the routes first, so that nobody is sent to what goes."""
        known = await self._look(owner, ())
        await self._take_away(owner, known, keep=())
        await self._revisions.remove(
            owner, known.revisions if seen is None else seen.manifest["seen"].revisions
        )

    # --- reading --------------------------------------------------------------------------------

    async def _look(self, owner: Owner, revisions: Iterable[Revision]) -> Seen:
        revisions = list(revisions)
        running = await self._revisions.observe(owner, revisions)
        several = len(running.services) + bool(self._front) > 1
        made = await some_by_name(self._cluster, SERVICE, owner) if several else {}
        alive = await self._alive(owner, running)
        backends: dict[str, Backend] = {}
        for revision in revisions:
            service = running.services.get(name_of(owner, revision))
            backend = await self._backend(owner, service, revision, made) if service is not None else None
            if backend is not None:
                backends[revision.revision] = backend
            running = await self._with_endpoints(owner, running, revision, backend, alive)
        found, services = await self._objects(owner, owner.name, made)
        preview_taken = ""
        try:
            more_routes, more_services = await self._objects(owner, preview_name(owner), made)
        except ServiceNameTaken as taken:
            # Another deployment may be called so; who asks for no preview needs none of it.
            preview_taken = str(taken)
        else:
            found, services = found | more_routes, services | more_services
        running = unless_ending(running, backends, found[owner.name])
        gateway = await self._gateway()
        addresses = self._addresses(owner, gateway)
        barred = self._why_barred(owner, gateway, addresses) or await self._hosts.why_taken(
            self._entrance, found[owner.name]
        )
        problem = barred or ("" if gateway is None else gateways.why_unusable(gateway))
        secure = gateway is not None and gateways.is_secure(gateway, self._entrance.host)
        return Seen(running, backends, addresses, found, services, barred, problem, secure, preview_taken)

    def _strangers(self, owner: Owner, known: Seen) -> set[str]:
        """Give the revisions whose pods the Gateway's controller may not have heard of, where it may lag behind."""
        return without_weight(known.backends, known.routes.get(owner.name)) if self._outages.linger else set()

    async def _gateway(self) -> Manifest | None:
        entrance = self._entrance
        if not entrance.gateway:
            return None
        return await self._cluster.get(Ref(gateways.GATEWAY, entrance.namespace, entrance.gateway))

    async def _objects(
        self, owner: Owner, name: str, made: Mapping[str, Manifest]
    ) -> tuple[dict[str, Manifest | None], dict[str, Manifest | None]]:
        """Give the route and the Service of an address, each by the address."""
        route = await find_owned(self._cluster, HTTP_ROUTE, owner, routes.route_name(name))
        if not self._front:
            return {name: route}, {}
        return {name: route}, {name: await find_owned(self._cluster, SERVICE, owner, name, read=made)}

    async def _backend(
        self, owner: Owner, service: Manifest, revision: Revision, made: Mapping[str, Manifest]
    ) -> Backend | None:
        """Give the Service that KServe has made for a revision: the transformer's where it has one."""
        name = f"{service['metadata']['name']}-{entry_of(revision)}"
        found = made.get(name) or await self._cluster.get(Ref(SERVICE, owner.namespace, name))
        if found is None:
            return None
        return backend_of(found)

    async def _alive(self, owner: Owner, running: RevisionsSeen) -> set[str]:
        """Give Services that have a pod that gets requests: some of them, where more than one is asked about."""
        if sum(variant.ready for variant in running.variants.values()) < 2:
            return set()
        slices = await some_labelled(self._cluster, ENDPOINT_SLICE, owner)
        return {service_of(found) for found in slices if ready_endpoints(found)}

    async def _with_endpoints(
        self,
        owner: Owner,
        running: RevisionsSeen,
        revision: Revision,
        backend: Backend | None,
        alive: Set[str],
    ) -> RevisionsSeen:
        """Have a revision wait whose pods are ready and get no requests yet: a weight would be answered with 503."""
        variant = running.variants.get(revision.revision)
        if variant is None or not variant.ready or (backend is not None and backend.service in alive):
            return running
        service = backend.service if backend is not None else None
        seen = await unless_untaken(self._cluster, owner, variant, service)
        return replace(running, variants={**running.variants, revision.revision: seen})

    def _addresses(self, owner: Owner, gateway: Manifest | None) -> tuple[Address, ...]:
        """Give the deployment's address and its preview's, with the host names that the Gateway takes."""
        if gateway is None:
            return ()
        found = []
        host = self._entrance.host
        for name, outside in ((owner.name, host), (preview_name(owner), routes.preview_host(host))):
            hosts = [*routes.in_cluster_hosts(name, owner.namespace), *([outside] if outside else [])]
            found.append(Address(name, tuple(gateways.heard(gateway, hosts, owner.namespace)), outside))
        return tuple(found)

    def _why_barred(self, owner: Owner, gateway: Manifest | None, addresses: Sequence[Address]) -> str:
        if not self._entrance.gateway:
            return (
                "no Gateway is named: name one in spec.rollout.gateway, or in the operator's MOORING_GATEWAY"
            )
        if gateway is None:
            return f"there is no {self._entrance}: make it, or name one that exists in spec.rollout.gateway"
        if gateways.is_closed_to(gateway, owner.namespace):
            return (
                f"no listener of {self._entrance} takes HTTPRoutes of namespace {owner.namespace}: have the "
                "allowedRoutes of one take them (namespaces, kinds), or name another Gateway in spec.rollout.gateway"
            )
        hosts, host = addresses[0].hosts, self._entrance.host
        if host and host not in hosts:
            asked, way_out = f"spec.rollout.host {host}", "give one"
        elif not hosts:
            asked, way_out = f"{owner.name}.{owner.namespace}", "give a spec.rollout.host"
        else:
            return ""
        taken = gateways.host_names(gateway, owner.namespace)
        return f"no listener of {self._entrance} takes {asked}, they take {taken}: {way_out} that a listener takes"

    def _url(self, seen: Seen) -> str:
        if seen.barred:
            # What answers there may be another's; the address that was given before is kept.
            return ""
        hosts = seen.addresses[0].hosts if seen.addresses else ()
        if self._entrance.host in hosts:
            return f"{'https' if seen.secure else 'http'}://{self._entrance.host}"
        return f"http://{hosts[0]}" if hosts else ""

    # --- writing --------------------------------------------------------------------------------

    async def _write(self, owner: Owner, routing: Routing, known: Seen) -> None:
        wanted = {owner.name: routing}
        previewed = [arm.revision for arm in routing.arms if arm.revision.revision == routing.preview]
        if previewed and not known.barred and not known.preview_taken and known.addresses[1].hosts:
            wanted[preview_name(owner)] = Routing((Arm(previewed[0], 100),))
        addresses = {address.name: address for address in known.addresses}
        for name, asked in wanted.items():
            address, present = addresses.get(name, Address(name, ())), known.routes[name]
            manifest = routes.route(owner, asked, known.backends, self._entrance, address)
            if known.barred and present is not None:
                manifest = routes.at_the_same_door(manifest, present)
            await self._writer.write(manifest, present)
            if self._front and set(address.hosts) & set(routes.in_cluster_hosts(name, owner.namespace)):
                await self._expose(owner, name, known.services[name])
        await self._take_away(owner, known, keep=wanted)

    async def _expose(self, owner: Owner, name: str, seen: Manifest | None) -> None:
        await write_owned(self._cluster, routes.front_service(owner, name, self._front), seen)

    async def _take_away(self, owner: Owner, known: Seen, keep: Iterable[str]) -> None:
        for found in (known.routes, known.services):
            for name, manifest in found.items():
                if manifest is not None and name not in keep:
                    await self._cluster.delete(manifest)


def _all(routing: Routing) -> list[Revision]:
    return [*(arm.revision for arm in routing.arms), *routing.kept]
