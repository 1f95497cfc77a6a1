"""Every router before the API emulator."""

from typing import Any, ClassVar

import pytest
from mooring_operator.adapters import routers
from mooring_operator.adapters.api_server import Connection, load_config
from mooring_operator.adapters.cluster import Kind, Manifest, Ref
from mooring_operator.adapters.kubernetes import KubernetesCluster
from mooring_operator.api.routers import RouterName
from mooring_operator.planning.objects.owner import Owner

from tests.operator.emulator import Emulator
from tests.operator.objects import KINDS, Objects, merge
from tests.routers_contract import ENDPOINTS, GATEWAY, UID, RouterContract, Stage


def kind_of(manifest: Manifest) -> Kind:
    return next(kind for kind in KINDS if kind.kind == manifest["kind"])


class Others:
    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def create(self, manifest: Manifest) -> None:
        self._objects.create(kind_of(manifest), "ns", manifest, "somebody")

    def merge(self, made: Manifest, fields: Manifest) -> None:
        ref = Ref(kind_of(made), "ns", made["metadata"]["name"])
        self._objects.change(ref, lambda before: merge(before, fields))


class EmulatedContract(RouterContract):
    router: RouterName
    more: ClassVar[dict[str, Any]] = {}

    @pytest.fixture
    async def stage(self, emulator: Emulator, tmp_path):
        requests: list[str] = []
        connection = Connection(
            load_config(emulator.kubeconfig(tmp_path / "kubeconfig")), lambda verb, *_: requests.append(verb)
        )
        owner = Owner("ns", "digits", UID + "1", 1)
        yield Stage(
            KubernetesCluster(connection), owner, self.router, Others(emulator.objects), requests, **self.more
        )
        await connection.close()


class TestEndpoints(EmulatedContract):
    router = "Endpoints"
    more = ENDPOINTS


class TestGateway(EmulatedContract):
    router = "Gateway"
    more = GATEWAY

    @pytest.fixture(autouse=True)
    async def gateway(self, stage: Stage):
        await stage.kserve.open()


class TestKServe(EmulatedContract):
    router = "KServe"


class TestKnative(EmulatedContract):
    router = "Knative"


def test_every_router_passes_the_contract():
    assert {each.router for each in EmulatedContract.__subclasses__()} == set(routers.ROUTERS)
