"""Every router before the API emulator."""

from typing import Any, ClassVar

import pytest
from mooring_operator.adapters import routers
from mooring_operator.adapters.api_server import Connection, load_config
from mooring_operator.adapters.cluster import Kind, Manifest, Ref
from mooring_operator.adapters.kubernetes import KubernetesCluster
from mooring_operator.api.routers import RouterName
from mooring_operator.planning.objects.owner import Owner
from mooring_operator.planning.routing import Arm, Routing

from tests.operator.emulator import Emulator
from tests.operator.objects import KINDS, Objects, merge
from tests.routers_contract import ENDPOINTS, GATEWAY, UID, V1, V2, V3, RouterContract, Stage, has_all


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

    async def test_a_rejected_revision_gets_nothing_of_what_its_successor_is_to_have(self, stage: Stage):
        stable, rejected, third = await stage.promoted(V1), stage.revision(V2), stage.revision(V3)
        await stage.split(stable, rejected, 50)
        await stage.reject(stable, rejected)
        stage.kserve.starts = lambda uri: uri != V3
        for weight in (20, 100):
            seen = await stage.split(stable, third, weight)
            assert third.revision not in seen.variants or not seen.variants[third.revision].ready
            assert (await self.percent(stage), stage.kserve.weights) == (0, {V1: 100})
        stage.kserve.starts = lambda uri: True
        seen = await stage.split(stable, third, 20)
        assert (seen.variants[third.revision].ready, seen.variants[third.revision].weight) == (True, 20)
        assert stage.kserve.weights == {V1: 80, V3: 20}

    async def test_who_is_withdrawn_has_nothing_while_stable_comes_back(self, stage: Stage):
        stable, withdrawn = await stage.promoted(V1), stage.revision(V2)
        await stage.split(stable, withdrawn, 50)
        back = Routing((Arm(stable, 100),))
        await stage.route(back, stable, withdrawn)
        assert await self.percent(stage) == 0
        await stage.kserve.act()
        assert stage.kserve.weights == {V1: 100}
        await stage.route(back, stable)
        assert await self.percent(stage) is None
        assert has_all(await stage.seen(stable), stable)

    async def test_a_weight_counts_once_the_ingress_has_it(self, stage: Stage):
        stable, candidate = await stage.promoted(V1), stage.revision(V2)
        await stage.split(stable, candidate, 20)
        stage.kserve.takes_up = False
        seen = await stage.split(stable, candidate, 60)
        assert "Ingress has not yet been reconciled" in seen.problem
        assert (seen.lagging, seen.unsettled, seen.variants[candidate.revision].weight) == (True, True, 0)
        assert stage.kserve.weights == {V1: 80, V2: 20}
        stage.kserve.takes_up = True
        seen = await stage.split(stable, candidate, 60)
        assert (seen.problem, seen.unsettled, seen.variants[candidate.revision].weight) == ("", False, 60)
        stage.kserve.takes_up = False
        seen = await stage.reject(stable, candidate)
        assert seen.unsettled
        assert seen.lagging

    async def test_a_first_revision_has_no_traffic_before_the_ingress_has_it(self, stage: Stage):
        stage.kserve.takes_up = False
        first = stage.revision(V1)
        seen = await stage.first(first)
        assert (seen.variants[first.revision].weight, seen.lagging) == (0, True)
        stage.kserve.takes_up = True
        assert has_all(await stage.first(first), first)

    async def test_a_split_that_kserve_has_not_looked_at_is_not_over(self, stage: Stage):
        stable, candidate = await stage.promoted(V1), stage.revision(V2)
        await stage.split(stable, candidate, 20)
        await stage.route(Routing((Arm(stable, 100),), rejected=candidate), stable, candidate)
        seen = await stage.look(stable)
        assert seen is not None
        assert "the last 20%" in seen.problem
        assert seen.lagging
        assert (await stage.seen(stable)).problem == ""

    async def test_at_rest_one_look_is_one_read(self, stage: Stage):
        stable = await stage.promoted(V1)
        stage.requests.clear()
        await stage.look(stable)
        assert stage.requests == ["get"]

    @staticmethod
    async def percent(stage: Stage) -> int | None:
        made = await stage.object()
        assert made is not None
        return made["spec"]["predictor"].get("canaryTrafficPercent")


def test_every_router_passes_the_contract():
    assert {each.router for each in EmulatedContract.__subclasses__()} == set(routers.ROUTERS)
