"""The routers, by what a spec asks for: a new one is a file here, a line below, and a run of the contract test."""

from mooring_operator.adapters.cluster import Cluster
from mooring_operator.adapters.routers.choice import DefaultGateway, choose, entrance_of
from mooring_operator.adapters.routers.endpoints import EndpointsRouter
from mooring_operator.adapters.routers.gateway import GatewayRouter
from mooring_operator.adapters.routers.gateway_routes import Entrance
from mooring_operator.adapters.routers.knative import KnativeRouter
from mooring_operator.adapters.routers.kserve import KServeRouter
from mooring_operator.adapters.routers.port import ServiceNameTaken, Traffic
from mooring_operator.adapters.routers.route_writer import RouteWriter
from mooring_operator.api.model_deployment import ModelDeploymentSpec
from mooring_operator.api.rollout_status import ModelDeploymentStatus
from mooring_operator.api.routers import RouterName
from mooring_operator.planning.objects.owner import Owner
from mooring_operator.planning.routes import RouterChoice, Traits

__all__ = ["ROUTERS", "DefaultGateway", "Routers", "ServiceNameTaken", "Traffic", "traits_of"]

ROUTERS: dict[RouterName, type[Traffic]] = {
    "Gateway": GatewayRouter,
    "Endpoints": EndpointsRouter,
    "KServe": KServeRouter,
    "Knative": KnativeRouter,
}
"""By ``spec.rollout.router``, but for Auto."""


class Routers:
    """Gives the router of each deployment."""

    def __init__(
        self, cluster: Cluster, gateway: DefaultGateway | None = None, writer: RouteWriter | None = None
    ) -> None:
        self._cluster = cluster
        self._writer = writer or RouteWriter(cluster)
        self._gateway = gateway or DefaultGateway()
        self._routers: dict[RouterName, Traffic] = {
            "Endpoints": EndpointsRouter(cluster),
            "KServe": KServeRouter(cluster),
            "Knative": KnativeRouter(cluster),
        }

    async def choose(
        self, owner: Owner, spec: ModelDeploymentSpec, status: ModelDeploymentStatus
    ) -> RouterChoice:
        """Say which router a deployment has, and why."""
        return await choose(self._cluster, owner, spec, status, self._gateway)

    def of(self, owner: Owner, spec: ModelDeploymentSpec, name: RouterName) -> Traffic:
        """Give the router of this name, as the deployment has it."""
        if name != "Gateway":
            return self._routers[name]
        entrance = entrance_of(spec, owner, self._gateway)
        named = (self._gateway.name, self._gateway.namespace)
        ours = entrance is not None and (entrance.gateway, entrance.namespace) == named
        front = self._gateway.front if ours else ""
        return GatewayRouter(self._cluster, entrance or Entrance("", ""), front, self._writer)


def traits_of(spec: ModelDeploymentSpec) -> Traits:
    """Give what the router that a deployment asks for says of itself; for Auto, the one that is likely."""
    asked = spec.rollout.router
    if asked != "Auto":
        return ROUTERS[asked].traits
    if spec.serving.mode == "Knative":
        return KnativeRouter.traits
    return GatewayRouter.traits if spec.rollout.gateway is not None else KServeRouter.traits
