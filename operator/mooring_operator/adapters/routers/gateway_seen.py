"""What was found of a deployment behind a Gateway: what is in effect of it, and what can be asked of it next."""

from collections.abc import Mapping, Set
from dataclasses import dataclass, replace

from mooring_operator.adapters.cluster import Manifest
from mooring_operator.adapters.routers import gateway_routes as routes
from mooring_operator.adapters.routers.gateway_routes import Address, Backend
from mooring_operator.adapters.routers.http_routes import copied_to, leads_to, why_not_taken_up, why_refused
from mooring_operator.adapters.routers.inference_services.revisions import RevisionsSeen
from mooring_operator.adapters.routers.owned import preview_name, untaken
from mooring_operator.planning.objects.owner import Owner
from mooring_operator.planning.routes import Beside, Variant
from mooring_operator.planning.routing import Routing


@dataclass(frozen=True)
class Seen:
    """What was found, for the next write.

    revisions: they count as ready when Kubernetes sends requests to one of their pods.
    backends: of the revisions that have a Service, by revision.
    addresses: the deployment's and its preview's, with the host names that the Gateway takes; none without a Gateway.
    barred: why no route may ask for these host names of this Gateway; one that is there keeps those that it has.
    problem: that, or why the Gateway does not work.
    preview_taken: whose the names of the preview's objects are, where they are somebody else's.
    """

    revisions: RevisionsSeen
    backends: Mapping[str, Backend]
    addresses: tuple[Address, ...]
    routes: Mapping[str, Manifest | None]
    services: Mapping[str, Manifest | None]
    barred: str = ""
    problem: str = ""
    secure: bool = False
    preview_taken: str = ""


def backend_of(service: Manifest) -> Backend:
    """Read which of a Service's ports are for HTTP and for gRPC, as KServe tells it: by the names of the container's.

    A container without ports has one whose name is the Service's own, which tells nothing.
    """
    name = service["metadata"]["name"]
    ports = service["spec"].get("ports") or [{"port": 80}]
    grpc = [port["port"] for port in ports if port.get("name") != name and _speaks_grpc(port)]
    http = [port["port"] for port in ports if port["port"] not in grpc]
    return Backend(name, (http or grpc)[0], grpc[0] if grpc else None)


def weight(backend: Backend | None, weights: Mapping[str, int]) -> int:
    """Give the percent of requests that a revision's Service gets."""
    return weights.get(backend.service, 0) if backend is not None else 0


def beside(owner: Owner, seen: Seen, backend: Backend | None, route: Manifest | None) -> Beside:
    """Read what a revision gets beside its weight; nothing by a route that no gateway has taken up."""
    service = backend.service if backend is not None else ""
    previewed = None
    if len(seen.addresses) > 1 and seen.addresses[1].hosts and not seen.barred:
        preview = seen.routes.get(preview_name(owner))
        previewed = (
            preview is not None and not why_not_taken_up(preview) and service in routes.weights_of(preview)
        )
    if route is None:
        return Beside(previewed=previewed, unpreviewed=seen.preview_taken)
    return Beside(copied_to(route, service), leads_to(route, service), previewed, seen.preview_taken)


def reached(variant: Variant, problem: str, route: Manifest | None) -> Variant:
    """Say that a first revision which runs is not served yet, where no request can reach it."""
    away = problem or (why_refused(route) if route is not None else "")
    # A route that is missing is for Mooring to write: nobody is waited for.
    why = away or ("it has no HTTPRoute yet" if route is None else "")
    if not variant.ready or not why:
        return variant
    return replace(variant, ready=False, weight=0, message=why, waiting=away)


def without_weight(backends: Mapping[str, Backend], route: Manifest | None) -> set[str]:
    """Give the revisions to which no requests were sent so far."""
    weights = routes.weights_of(route) if route is not None else {}
    return {name for name, backend in backends.items() if not weight(backend, weights)}


def unless_ending(
    running: RevisionsSeen, backends: Mapping[str, Backend], route: Manifest | None
) -> RevisionsSeen:
    """Have a revision wait that gets no requests and whose pods may be on their way out, as it was to have none."""
    ending = running.stale & without_weight(backends, route)
    waiting = {name: untaken(running.variants[name]) for name in ending if running.variants[name].ready}
    return replace(running, variants={**running.variants, **waiting})


def can_carry(routing: Routing, backends: Mapping[str, Backend]) -> bool:
    """Whether all that is to get requests has a Service; KServe makes it in a moment."""
    named = {rule.revision for rule in routing.rules} | (
        {routing.mirror.revision} if routing.mirror else set()
    )
    return (named | {arm.revision.revision for arm in routing.arms if arm.weight}) <= set(backends)


def reachable(routing: Routing, known: Seen, strangers: Set[str]) -> Routing:
    """Leave out what has no Service yet, and have the stable revision answer for what has no pod that is ready.

    A route that names a missing Service is refused. What runs unexposed may be without pods. `strangers` are revisions
    whose pods a gateway may not know yet: they wait for their weight in the route.
    """
    ready = {name for name, variant in known.revisions.variants.items() if variant.ready}
    stable, *others = (arm for arm in routing.arms if arm.revision.revision in known.backends)
    if stable.revision.revision in ready:
        answers = ready - strangers
        others = [arm if arm.revision.revision in answers else replace(arm, weight=0) for arm in others]
        stable = replace(stable, weight=100 - sum(arm.weight for arm in others))
    return replace(routing, arms=(stable, *others))


def _speaks_grpc(port: Mapping[str, object]) -> bool:
    said = f"{port.get('name', '')} {port.get('appProtocol', '')}"
    return "grpc" in said or "h2c" in said
