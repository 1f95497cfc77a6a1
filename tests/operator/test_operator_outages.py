"""While something outside is away a rollout stays where it is; what users get is still what there are pods for."""

from contextlib import suppress
from datetime import timedelta

import pytest
from mooring_operator.adapters.audit import AuditUnavailable, StoredAudit
from mooring_operator.adapters.cluster import Ref
from mooring_operator.adapters.kubernetes import KubernetesCluster
from mooring_operator.adapters.pipelines import PipelinesUnavailable
from mooring_operator.adapters.routers.inference_services.runtimes import CLUSTER_SERVING_RUNTIME
from mooring_operator.adapters.rules.child import RulesUnavailable
from mooring_operator.reconcile.kinds import MODEL_POLICY

from tests.operator.test_operator_endpoints import runtime
from tests.operator.world import CI_SPEC, World
from tests.played_gateway import NAME, NAMESPACE, PlayedGateway

V1, V2 = "s3://m/v1", "s3://m/v2"
STEPS = [{"setWeight": 50}, {"pause": {"duration": "5m"}}, {"setWeight": 100}]
GATEWAY = {"router": "Gateway", "gateway": {"name": NAME, "namespace": NAMESPACE}, "steps": STEPS}


class Behind:
    """The world behind a gateway, which is played as KServe and Kubernetes are."""

    def __init__(self, world: World, connection) -> None:
        self.world = world
        self.gateway = PlayedGateway(KubernetesCluster(connection), "ns")

    def deploy(self, model: str, **spec) -> None:
        self.world.deploy(model, **{"rollout": GATEWAY, "serving": {"minReplicas": 2}, **spec})

    async def look(self, passes: int = 12, *, away: type[Exception] | None = None) -> None:
        for _ in range(passes):
            try:
                await self.world.step()
            except Exception as error:
                if away is None or not isinstance(error, away):
                    raise
            await self.gateway.act()
            self.world.now += timedelta(seconds=1)

    async def half(self) -> None:
        """Have v2 get half of the traffic beside v1."""
        self.deploy("v1")
        await self.look()
        assert self.world.phase == "Promoted", self.world.status
        self.deploy("v2")
        await self.look(20)
        assert await self.gateway.weights_of() == {V1: 50, V2: 50}, self.world.status


@pytest.fixture
async def behind(world: World, players):
    world.objects.create(CLUSTER_SERVING_RUNTIME, "", runtime("onnx-server"))
    behind = Behind(world, players)
    await behind.gateway.open()
    return behind


async def test_pods_that_are_lost_take_their_share_back_while_decisions_cannot_be_recorded(behind):
    world, trail = behind.world, behind.world.folder / "audit"
    trail.mkdir()
    world.audit = lambda: StoredAudit(trail.as_uri())
    await world.start()
    await behind.half()
    trail.rename(world.folder / "away")
    trail.write_text("no folder")
    # The pause is over: the next step cannot be recorded, and is not taken.
    world.now += timedelta(minutes=6)
    await behind.look(3, away=AuditUnavailable)
    assert (world.status["reason"], world.status["candidate"]["weight"]) == ("AuditUnavailable", 50)
    behind.gateway.starts = lambda address: address != V2
    await behind.look(3, away=AuditUnavailable)
    assert await behind.gateway.weights_of() == {V1: 100}
    assert (world.status["candidate"]["weight"], world.status["candidate"]["routed"]) == (50, 0)


async def test_pods_that_are_lost_take_their_share_back_while_policies_cannot_be_judged(behind, monkeypatch):
    world = behind.world
    await behind.half()
    rules = [{"name": "small", "expression": "serving.minReplicas < 9", "message": "too many"}]
    world.objects.apply(
        Ref(MODEL_POLICY, "ns", "house"), {"metadata": {"name": "house"}, "spec": {"rules": rules}}, "user"
    )
    monkeypatch.setattr("sys.executable", "/bin/false")
    behind.deploy("v2", policies=["house"])
    behind.gateway.starts = lambda address: address != V2
    await behind.look(3, away=RulesUnavailable)
    assert world.status["reason"] == "RulesUnavailable"
    assert await behind.gateway.weights_of() == {V1: 100}


async def test_a_revision_that_the_spec_has_left_gets_nothing_while_its_successor_cannot_be_tested(behind):
    world = behind.world
    await behind.half()
    world.runs.away = True
    behind.deploy("v3", ci=CI_SPEC)
    await behind.look(4, away=PipelinesUnavailable)
    assert world.status["reason"] == "PipelinesUnavailable"
    assert await behind.gateway.weights_of() == {V1: 100}


async def test_nor_does_it_where_its_test_is_the_first_thing_to_do(world: World):
    await world.promote("v1", rollout={"steps": STEPS})
    world.deploy("v2", rollout={"steps": STEPS})
    await world.settle_in("Canary")
    for _ in range(3):
        await world.step()
    assert world.service["spec"]["canary"][0]["trafficPercent"] == 50
    world.runs.away = True
    world.deploy("v3", ci=CI_SPEC, rollout={"steps": STEPS})
    for _ in range(4):
        with suppress(PipelinesUnavailable):
            await world.step()
    assert world.status["reason"] == "PipelinesUnavailable"
    assert not world.service["spec"].get("canary")


async def test_runs_that_could_not_reach_a_store_are_asked_again_and_reject_no_model(world: World):
    await world.start()
    world.ci.failures = ["StoreUnavailable"] * 3
    begun = world.now
    world.deploy("v1", ci=CI_SPEC)
    assert (await world.settle())["phase"] == "Promoted"
    assert len(world.runs.ids) == len(world.runs.launches) == 4
    assert world.now - begun >= timedelta(minutes=1 + 2 + 5)
    assert world.phases == [*dict.fromkeys(world.phases)]


async def test_bad_input_rejects_at_once(world: World):
    await world.start()
    world.ci.failures = ["InvalidInput"]
    world.deploy("v1", ci=CI_SPEC)
    status = await world.settle()
    assert (status["phase"], status["reason"], len(world.runs.ids)) == ("Failed", "CIRunFailed", 1)
    assert "validate-data: it failed" in status["message"]
