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

from cluster.api import Api
from tests.cluster.rollout_steps import install
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


@pytest.fixture(scope="module", autouse=True)
def definitions(control_plane):
    install(control_plane.api, NAMESPACE)


class ClusterContract(RouterContract):
    router: RouterName
    more: ClassVar[dict[str, Any]] = {}

    @pytest.fixture
    async def stage(self, control_plane):
        requests: list[str] = []
        connection = Connection(
            load_config(Path(control_plane.kubeconfig)), lambda verb, *_: requests.append(verb)
        )
        owner = Owner(NAMESPACE, f"m{next(NUMBERS)}", UID + "1", 1)
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
    async def gateway(self, stage: Stage):
        await stage.kserve.open()


class TestKServe(ClusterContract):
    router = "KServe"


class TestKnative(ClusterContract):
    router = "Knative"
