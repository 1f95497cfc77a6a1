"""The routers, by what a spec asks for: a new one is a file here, a line below, and a run of the contract test."""

from mooring_operator.adapters.cluster import Cluster
from mooring_operator.adapters.outages import Outages
from mooring_operator.adapters.routers.choice import DefaultGateway, choose, entrance_of, traits_behind
from mooring_operator.adapters.routers.endpoints import EndpointsRouter
from mooring_operator.adapters.routers.gateway import GatewayRouter
from mooring_operator.adapters.routers.gateway_routes import Entrance
from mooring_operator.adapters.routers.host_names import HostNames
from mooring_operator.adapters.routers.inference_services import adoption
from mooring_operator.adapters.routers.inference_services.runtimes import ServingRuntimes
from mooring_operator.adapters.routers.inference_services.under_test import InstancesUnderTest
from mooring_operator.adapters.routers.knative import KnativeRouter
from mooring_operator.adapters.routers.kserve import KServeRouter
from mooring_operator.adapters.routers.port import ServiceNameTaken, Traffic
from mooring_operator.adapters.routers.route_writer import RouteWriter
from mooring_operator.api.model_deployment import ModelDeploymentSpec
from mooring_operator.api.names import ADOPT_ANNOTATION
from mooring_operator.api.rollout_status import ModelDeploymentStatus, Revision
from mooring_operator.api.routers import RouterName
from mooring_operator.planning.manifests.workloads import Images
from mooring_operator.planning.objects.owner import Owner
from mooring_operator.planning.routes import Adoption, RouterChoice, Traits
from mooring_operator.planning.strategies.demands import unmet

__all__ = ["ROUTERS", "DefaultGateway", "Routers", "ServiceNameTaken", "Traffic", "likely_router"]

ROUTERS: dict[RouterName, type[Traffic]] = {
    "Gateway": GatewayRouter,
    "Endpoints": EndpointsRouter,
    "KServe": KServeRouter,
    "Knative": KnativeRouter,
}
"""By ``spec.rollout.router``, but for Auto."""


class Routers:
    """Gives the router of each deployment, the runtimes of those that serve each revision by itself, and what runs
    for tests.
    """

    def __init__(
        self,
        cluster: Cluster,
        gateway: DefaultGateway | None = None,
        writer: RouteWriter | None = None,
        outages: Outages | None = None,
        collector_image: str = Images.inference,
    ) -> None:
        """Make one; `collector_image` runs beside what keeps no requests itself."""
        self._cluster = cluster
        self._collector_image = collector_image
        self._outages = outages or Outages()
        self._writer = writer or RouteWriter(cluster)
        self._hosts = HostNames(cluster)
        self._gateway = gateway or DefaultGateway()
        self.runtimes = ServingRuntimes(cluster)
        self.under_test = InstancesUnderTest(cluster)
        self._routers: dict[RouterName, Traffic] = {
            "Endpoints": EndpointsRouter(cluster, collector_image),
            "KServe": KServeRouter(cluster),
            "Knative": KnativeRouter(cluster),
        }

    async def choose(
        self, owner: Owner, spec: ModelDeploymentSpec, status: ModelDeploymentStatus
    ) -> RouterChoice:
        """Say which router a deployment has, and why."""
        traits = {name: router.traits for name, router in ROUTERS.items()}
        return await choose(self._cluster, owner, spec, status, self._gateway, traits)

    async def traits(self, owner: Owner, spec: ModelDeploymentSpec, name: RouterName) -> Traits:
        """Give what the router of this name says of itself, for the deployment and in this cluster."""
        entrance = entrance_of(spec, owner, self._gateway) if name == "Gateway" else None
        return await traits_behind(self._cluster, entrance, spec, ROUTERS[name].traits)

    async def adoption(self, owner: Owner, revision: Revision, choice: RouterChoice) -> Adoption:
        """Say whether the service that the deployment is to take over can become `revision`, as it runs."""
        if ROUTERS[choice.name].traits.adopts:
            return await adoption.look(self._cluster, owner, revision)
        away = f"take annotation {ADOPT_ANNOTATION} away to start pods from the spec"
        if revision.serving_spec.mode != "Knative":
            able = " or ".join(name for name, router in ROUTERS.items() if router.traits.adopts)
            away = f"write {able}, or {away}"
        return Adoption(
            "",
            f"spec.rollout.router {choice.name}: it would start the pods of what is taken over anew; {away}",
        )

    def of(self, owner: Owner, spec: ModelDeploymentSpec, name: RouterName) -> Traffic:
        """Give the router of this name, as the deployment has it."""
        if name != "Gateway":
            return self._routers[name]
        entrance = entrance_of(spec, owner, self._gateway)
        named = (self._gateway.name, self._gateway.namespace)
        ours = entrance is not None and (entrance.gateway, entrance.namespace) == named
        front = self._gateway.front if ours else ""
        door = entrance or Entrance("", "")
        return GatewayRouter(
            self._cluster, door, front, self._writer, self._hosts, self._outages, self._collector_image
        )


def likely_router(spec: ModelDeploymentSpec) -> RouterName:
    """Give the router that a deployment asks for; for Auto, the one that is likely, and can what the spec asks for."""
    if spec.rollout.router != "Auto":
        return spec.rollout.router
    if spec.serving.mode == "Knative":
        return "Knative"
    if spec.rollout.gateway is not None:
        return "Gateway"
    likely: tuple[RouterName, ...] = ("KServe", "Gateway", "Endpoints")
    return next((name for name in likely if not unmet(spec, ROUTERS[name].traits)), likely[0])
