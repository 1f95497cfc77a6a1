"""Every router before a real API server: its defaults, its field ownership and its schema of InferenceServices."""

from itertools import count
from pathlib import Path

import pytest
from mooring_operator.adapters.api_server import Connection, load_config
from mooring_operator.adapters.cluster import Manifest
from mooring_operator.adapters.kubernetes import KubernetesCluster
from mooring_operator.planning.objects.owner import Owner

from cluster.api import Api
from tests.cluster.rollout_steps import install
from tests.routers_contract import UID, RouterContract, Stage

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
    mode: str

    @pytest.fixture
    async def stage(self, control_plane):
        requests: list[str] = []
        connection = Connection(
            load_config(Path(control_plane.kubeconfig)), lambda verb, *_: requests.append(verb)
        )
        owner = Owner(NAMESPACE, f"m{next(NUMBERS)}", UID + "1", 1)
        yield Stage(
            KubernetesCluster(connection), owner, {"mode": self.mode}, Others(control_plane.api), requests
        )
        await connection.close()


class TestKServe(ClusterContract):
    mode = "Standard"


class TestKnative(ClusterContract):
    mode = "Knative"
