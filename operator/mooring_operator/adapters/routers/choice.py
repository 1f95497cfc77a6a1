"""Chooses the router of a deployment: the one that its spec asks for, or what this cluster can do best."""

from collections.abc import Mapping
from dataclasses import dataclass

from mooring_operator.adapters.cluster import Cluster, Forbidden, Kind, Ref
from mooring_operator.adapters.routers import gateways
from mooring_operator.adapters.routers.gateway_classes import GATEWAY_CLASS, limited
from mooring_operator.adapters.routers.gateway_routes import Entrance, in_cluster_hosts
from mooring_operator.api.model_deployment import ModelDeploymentSpec
from mooring_operator.api.rollout_status import ModelDeploymentStatus
from mooring_operator.api.routers import RouterName
from mooring_operator.planning.objects.owner import Owner
from mooring_operator.planning.routes import RouterChoice, Traits
from mooring_operator.planning.strategies.demands import unmet

_DEFINITION = Kind(
    "apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions", namespaced=False
)
_ASKED = "spec.rollout.router"
_HTTP_ROUTES = Ref(_DEFINITION, "", "httproutes.gateway.networking.k8s.io")


@dataclass(frozen=True)
class DefaultGateway:
    """The Gateway of deployments that name none, and its own Service; empty where there is none."""

    name: str = ""
    namespace: str = ""
    front: str = ""


def entrance_of(spec: ModelDeploymentSpec, owner: Owner, default: DefaultGateway) -> Entrance | None:
    """Give the Gateway that a deployment is reached through, and its host name; None where nobody names one."""
    asked, host = spec.rollout.gateway, spec.rollout.host or ""
    if asked is not None:
        return Entrance(asked.name, asked.namespace or owner.namespace, host)
    return Entrance(default.name, default.namespace, host) if default.name else None


async def choose(
    cluster: Cluster,
    owner: Owner,
    spec: ModelDeploymentSpec,
    status: ModelDeploymentStatus,
    default: DefaultGateway,
    traits: Mapping[RouterName, Traits],
) -> RouterChoice:
    """Say which router a deployment has, by what each says of itself.

    What is served stays with its router: others serve by other objects, some of the same names.
    """
    asked, running = spec.rollout.router, _running(spec, status)
    if running is not None and asked == "Auto":
        return RouterChoice(running, _why_still(status))
    if running is not None and asked != running:
        held = (
            f"{_ASKED} {asked}: what is served stays with router {running}, for pods and addresses "
            f"cannot be handed over; write {running} or Auto, or make another ModelDeployment with {asked}"
        )
        return RouterChoice(running, held, held)
    if asked != "Auto":
        return RouterChoice(asked, f"{_ASKED} asks for it")
    return await _best(cluster, owner, spec, default, traits)


async def traits_behind(
    cluster: Cluster, entrance: Entrance | None, spec: ModelDeploymentSpec, traits: Traits
) -> Traits:
    """Give what a router can do behind this Gateway; its class is asked about what only some have."""
    test = spec.rollout.ab_test
    asks = spec.rollout.strategy == "Shadow" or (test is not None and test.sticky is not None)
    if entrance is None or not asks:
        return traits
    gateway = await cluster.get(Ref(gateways.GATEWAY, entrance.namespace, entrance.gateway))
    if gateway is None:
        return traits
    name = str(gateway["spec"].get("gatewayClassName", ""))
    try:
        return limited(traits, name, await cluster.get(Ref(GATEWAY_CLASS, "", name)))
    except Forbidden:
        # An operator of some namespaces sees nothing of the cluster.
        return limited(traits, name, None)


def _running(spec: ModelDeploymentSpec, status: ModelDeploymentStatus) -> RouterName | None:
    """Give the router that serves now; None while nothing is served."""
    if status.stable is None and (status.candidate is None or status.candidate.weight == 0):
        return None
    if status.router is not None:
        return status.router.name
    return "Knative" if spec.serving.mode == "Knative" else "KServe"


def _why_still(status: ModelDeploymentStatus) -> str:
    """Say why what is served has its router, where nobody asks for one: by what it was chosen for, if that was told."""
    if status.router is None:
        return "it ran on it before there was a choice"
    told = status.router.message
    # An earlier spec asked for one; this one does not.
    return "what is served stays with it" if told.startswith(_ASKED) else told


async def _best(
    cluster: Cluster,
    owner: Owner,
    spec: ModelDeploymentSpec,
    default: DefaultGateway,
    traits: Mapping[RouterName, Traits],
) -> RouterChoice:
    if spec.serving.mode == "Knative":
        return RouterChoice("Knative", "spec.serving.mode is Knative")
    entrance = entrance_of(spec, owner, default)
    lacking = await _why_no_gateway(cluster, owner, entrance)
    if not lacking:
        return RouterChoice("Gateway", f"{entrance} works and takes the deployment's host names")
    if owner.adopts:
        return RouterChoice(
            "Endpoints", f"not Gateway: {lacking}; not KServe: it takes over nothing that runs"
        )
    cannot = unmet(spec, traits["KServe"])
    if cannot and not unmet(spec, traits["Endpoints"]):
        return RouterChoice(
            "Endpoints", f"not Gateway: {lacking}; not KServe: it cannot {', and not '.join(cannot)}"
        )
    try:
        installed = await cluster.get(_HTTP_ROUTES) is not None
    except Forbidden:
        # An operator of some namespaces sees nothing of the cluster. KServe's router says what it lacks.
        return RouterChoice("KServe", f"not Gateway: {lacking}; what is installed in the cluster is hidden")
    if installed:
        return RouterChoice("KServe", f"not Gateway: {lacking}")
    return RouterChoice("Endpoints", f"not Gateway: {lacking}; not KServe: the Gateway API is not installed")


async def _why_no_gateway(cluster: Cluster, owner: Owner, entrance: Entrance | None) -> str:
    if entrance is None:
        return "no Gateway is named, by spec.rollout.gateway or the operator's MOORING_GATEWAY"
    try:
        gateway = await cluster.get(Ref(gateways.GATEWAY, entrance.namespace, entrance.gateway))
    except Forbidden:
        return f"the operator may not read {entrance}"
    if gateway is None:
        return f"there is no {entrance}"
    hosts = [entrance.host] if entrance.host else in_cluster_hosts(owner.name, owner.namespace)
    if gateways.is_closed_to(gateway, owner.namespace):
        return f"no listener of {entrance} takes HTTPRoutes of namespace {owner.namespace}"
    if not gateways.heard(gateway, hosts, owner.namespace):
        taken = gateways.host_names(gateway, owner.namespace)
        return f"no listener of {entrance} takes {hosts[-1]}, they take {taken}"
    return gateways.why_unusable(gateway)
