"""The routers, by what a spec asks for: a new one is a file here, a line below, and a run of the contract test."""

from mooring_operator.adapters.cluster import Cluster
from mooring_operator.adapters.routers.knative import KnativeRouter
from mooring_operator.adapters.routers.kserve import KServeRouter
from mooring_operator.adapters.routers.port import ServiceNameTaken, Traffic
from mooring_operator.api.serving import ServingSpec
from mooring_operator.planning.routes import Traits

__all__ = ["ROUTERS", "Routers", "ServiceNameTaken", "Traffic", "traits_of"]

ROUTERS: dict[str, type[KServeRouter] | type[KnativeRouter]] = {
    "Standard": KServeRouter,
    "Knative": KnativeRouter,
}
"""By ``spec.serving.mode``."""


class Routers:
    """Gives the router of each deployment."""

    def __init__(self, cluster: Cluster) -> None:
        self._routers: dict[str, Traffic] = {mode: make(cluster) for mode, make in ROUTERS.items()}

    def of(self, serving: ServingSpec) -> Traffic:
        """Give the router that `serving` asks for."""
        return self._routers[serving.mode]


def traits_of(serving: ServingSpec) -> Traits:
    """Give what the router that `serving` asks for says of itself."""
    return ROUTERS[serving.mode].traits
