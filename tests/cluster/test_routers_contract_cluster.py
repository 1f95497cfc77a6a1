"""Every router before a real API server: its defaults, its field ownership and its schema of InferenceServices."""

from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import pytest
from mooring_operator.adapters.api_server import Connection, load_config
from mooring_operator.adapters.cluster import Manifest
from mooring_operator.adapters.kubernetes import KubernetesCluster
from mooring_operator.api.routers import RouterName
from mooring_operator.planning.objects.owner import Owner

from cluster import gateway_api
from cluster.api import Api
from cluster.programs import ProgramUnavailableError
from tests.cluster.rollout_steps import DEFINITIONS, install, make_namespace, until
from tests.routers_contract import ENDPOINTS, GATEWAY, UID, RouterContract, Stage

NAMESPACE = "routers"
NUMBERS = count(1)


class Others:
    def __init__(self, api: Api) -> None:
        self._api = api

    def create(self, manifest: Manifest) -> None:
        self._api.apply(manifest)

    def merge(self, made: Manifest, fields: Manifest) -> None:
        self._api.merge(self._api.path(made), fields)


def define_gateways(api: Api) -> None:
    """Install the Gateway API's own definition of Gateways, and the namespace of the played one."""
    try:
        [file] = [file for file in gateway_api.definitions() if file.stem.endswith("_gateways")]
    except ProgramUnavailableError as error:
        pytest.skip(str(error))
    api.apply_text(f"{DEFINITIONS}/gateways.gateway.networking.k8s.io", file.read_bytes())
    until(lambda: api.get("/apis/gateway.networking.k8s.io/v1/gateways"), what="Gateways are not served")
    api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "gateways"}})


@pytest.fixture(scope="module", autouse=True)
def definitions(control_plane):
    install(control_plane.api)


@pytest.fixture(scope="module")
def gateways(control_plane):
    define_gateways(control_plane.api)


class ClusterContract(RouterContract):
    router: RouterName
    more: ClassVar[dict[str, Any]] = {}

    @pytest.fixture
    async def stage(self, control_plane):
        requests: list[str] = []
        connection = Connection(
            load_config(Path(control_plane.kubeconfig)), lambda verb, *_: requests.append(verb)
        )
        # Who plays KServe looks through all that lies in a namespace, again and again.
        owner = Owner(f"{NAMESPACE}-{next(NUMBERS)}", "m", UID + "1", 1)
        make_namespace(control_plane.api, owner.namespace)
        yield Stage(
            KubernetesCluster(connection),
            owner,
            self.router,
            Others(control_plane.api),
            requests,
            **self.more,
        )
        await connection.close()


class TestEndpoints(ClusterContract):
    router = "Endpoints"
    more = ENDPOINTS


class TestGateway(ClusterContract):
    router = "Gateway"
    more = GATEWAY

    @pytest.fixture(autouse=True)
    async def gateway(self, gateways, stage: Stage):
        await stage.kserve.open()


class TestKServe(ClusterContract):
    router = "KServe"


class TestKnative(ClusterContract):
    router = "Knative"
