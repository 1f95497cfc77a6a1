"""Every router before the API emulator."""

import pytest
from mooring_operator.adapters import routers
from mooring_operator.adapters.api_server import Connection, load_config
from mooring_operator.adapters.cluster import Manifest, Ref
from mooring_operator.adapters.kubernetes import KubernetesCluster
from mooring_operator.adapters.routers.inference_services.objects import INFERENCE_SERVICE
from mooring_operator.planning.objects.owner import Owner

from tests.operator.emulator import Emulator
from tests.operator.objects import Objects, merge
from tests.routers_contract import UID, RouterContract, Stage


class Others:
    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def create(self, manifest: Manifest) -> None:
        self._objects.create(INFERENCE_SERVICE, "ns", manifest, "somebody")

    def merge(self, made: Manifest, fields: Manifest) -> None:
        ref = Ref(INFERENCE_SERVICE, "ns", made["metadata"]["name"])
        self._objects.change(ref, lambda before: merge(before, fields))


class EmulatedContract(RouterContract):
    mode: str

    @pytest.fixture
    async def stage(self, emulator: Emulator, tmp_path):
        requests: list[str] = []
        connection = Connection(
            load_config(emulator.kubeconfig(tmp_path / "kubeconfig")), lambda verb, *_: requests.append(verb)
        )
        owner = Owner("ns", "digits", UID + "1", 1)
        yield Stage(
            KubernetesCluster(connection), owner, {"mode": self.mode}, Others(emulator.objects), requests
        )
        await connection.close()


class TestKServe(EmulatedContract):
    mode = "Standard"


class TestKnative(EmulatedContract):
    mode = "Knative"


def test_every_router_passes_the_contract():
    assert {each.mode for each in EmulatedContract.__subclasses__()} == set(routers.ROUTERS)
