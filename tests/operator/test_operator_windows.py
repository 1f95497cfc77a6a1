"""When a rollout goes forward: freezes, times, evidence of other deployments and turns, as the operator finds them."""

from datetime import UTC, datetime
from typing import Any

from mooring_operator.adapters.cluster import Ref
from mooring_operator.reconcile.kinds import CLUSTER_MODEL_POLICY, MODEL_DEPLOYMENT

from tests.operator.surroundings import digest
from tests.operator.world import World

# The world begins on a Sunday.
WEEKEND = {"start": "Fri 18:00", "end": "Mon 08:00", "timeZone": "Europe/Berlin"}
MONDAY = datetime(2026, 3, 2, 7, tzinfo=UTC)


async def rest(world: World) -> float | None:
    """Pass until nothing is written any more; time stands still."""
    for _ in range(20):
        before = world.objects.version
        pause = await world.step()
        if world.objects.version == before:
            return pause
    raise AssertionError(world.status)


def other(world: World, namespace: str, name: str, *, evidence_for: str = "", **status: Any) -> None:
    """Another ModelDeployment, with the status that it is to have."""
    ref = Ref(MODEL_DEPLOYMENT, namespace, name)
    annotations = {"mooring.dev/evidence-for": evidence_for} if evidence_for else {}
    spec = {"model": {"uri": "s3://m/x", "format": "onnx"}}
    world.objects.apply(ref, {"metadata": {"name": name, "annotations": annotations}, "spec": spec}, "user")
    world.objects.set_status(ref, status)


async def test_a_freeze_holds_until_it_is_over_and_nothing_polls(world: World):
    await world.promote("v1")
    world.deploy("v2", rollout={"freeze": [WEEKEND]})
    pause = await rest(world)
    assert (world.phase, world.status["reason"]) == ("Paused", "Frozen")
    assert pause == (MONDAY - world.now).total_seconds()
    assert world.kserve.weights == []
    assert world.events().count("Frozen") == 1
    world.now = MONDAY
    assert (await world.settle())["stable"]["modelUri"] == "s3://m/v2"
    assert world.events().count("Frozen") == 1


async def test_a_policys_freeze_holds_and_a_rollback_is_carried_out_in_it(world: World):
    await world.promote("v1")
    await world.promote("v2")
    policy = {"metadata": {"name": "year-end"}, "spec": {"freeze": [WEEKEND]}}
    world.objects.apply(Ref(CLUSTER_MODEL_POLICY, "", "year-end"), policy, "admin")
    world.deploy("v3")
    await rest(world)
    assert "(ClusterModelPolicy year-end, spec.freeze[0])" in world.status["message"]
    world.command("rollback", world.status["stable"]["revision"])
    status = await world.settle()
    assert status["stable"]["modelUri"] == "s3://m/v1"


async def test_a_model_waits_until_it_is_promoted_where_that_may_be_seen(world: World):
    await world.promote("v1")
    world.deploy("v2", rollout={"requires": [{"name": "digits", "namespace": "staging"}]})
    assert await rest(world) == 60
    hidden = world.status["message"]
    assert world.status["reason"] == "RequirementUnmet"
    promoted = {"stable": {"digest": digest("s3://m/v2")}}
    other(world, "staging", "digits", **promoted)
    await rest(world)
    assert world.status["message"] == hidden  # it says the same whether there is one or not
    other(world, "staging", "digits", evidence_for="dev, ns", stable={"digest": digest("s3://m/v1")})
    await rest(world)
    assert "staging/digits has not promoted" in world.status["message"]
    other(world, "staging", "digits", evidence_for="dev, ns", **promoted)
    assert (await world.settle())["stable"]["modelUri"] == "s3://m/v2"


async def test_a_deployment_of_the_namespace_needs_no_annotation(world: World):
    await world.promote("v1")
    other(world, "ns", "digits-staging", stable={"digest": digest("s3://m/v2")})
    world.deploy("v2", rollout={"requires": [{"name": "digits-staging"}]})
    assert (await world.settle())["stable"]["modelUri"] == "s3://m/v2"


async def test_one_waits_for_its_turn_behind_the_others_of_its_namespace(world: World):
    await world.promote("v1")
    rolling = {"candidate": {"begun": True, "startedAt": "2026-01-01T00:00:00Z"}}
    other(world, "ns", "busy", **rolling)
    other(world, "elsewhere", "busy-too", **rolling)
    world.deploy("v2", rollout={"maxConcurrent": 1})
    await rest(world)
    world.now = MONDAY
    assert await rest(world) is None
    assert "waits for its turn behind busy: spec.rollout.maxConcurrent is 1" in world.status["message"]
    other(world, "ns", "busy", phase="Promoted")
    assert (await world.settle())["stable"]["modelUri"] == "s3://m/v2"
