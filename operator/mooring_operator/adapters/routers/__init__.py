"""The routers, by what a spec asks for: a new one is a file here, a line below, and a run of the contract test."""

from mooring_operator.adapters.cluster import Cluster
from mooring_operator.adapters.routers.endpoints import EndpointsRouter
from mooring_operator.adapters.routers.knative import KnativeRouter
from mooring_operator.adapters.routers.kserve import KServeRouter
from mooring_operator.adapters.routers.port import ServiceNameTaken, Traffic
from mooring_operator.api.model_deployment import ModelDeploymentSpec
from mooring_operator.api.routers import RouterName
from mooring_operator.planning.routes import Traits

__all__ = ["ROUTERS", "Routers", "ServiceNameTaken", "Traffic", "traits_of"]

ROUTERS: dict[RouterName, type[EndpointsRouter] | type[KServeRouter] | type[KnativeRouter]] = {
    "Endpoints": EndpointsRouter,
    "KServe": KServeRouter,
    "Knative": KnativeRouter,
}
"""By ``spec.rollout.router``, but for Auto."""


class Routers:
    """Gives the router of each deployment."""

    def __init__(self, cluster: Cluster) -> None:
        self._routers: dict[RouterName, Traffic] = {name: make(cluster) for name, make in ROUTERS.items()}

    def of(self, spec: ModelDeploymentSpec) -> Traffic:
        """Give the router that a deployment asks for."""
        return self._routers[_chosen(spec)]


def traits_of(spec: ModelDeploymentSpec) -> Traits:
    """Give what the router that a deployment asks for says of itself."""
    return ROUTERS[_chosen(spec)].traits


def _chosen(spec: ModelDeploymentSpec) -> RouterName:
    if spec.rollout.router != "Auto":
        return spec.rollout.router
    return "Knative" if spec.serving.mode == "Knative" else "KServe"
