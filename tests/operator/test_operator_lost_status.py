"""A status that is gone while revisions serve: a restored backup has none, and people replace it by hand."""

from datetime import timedelta

import pytest
from mooring_operator.adapters.cluster import Ref
from mooring_operator.adapters.routers.inference_services.objects import INFERENCE_SERVICE
from mooring_operator.adapters.routers.inference_services.revisions import SERVING_RUNTIME
from mooring_operator.adapters.routers.inference_services.runtimes import CLUSTER_SERVING_RUNTIME
from mooring_operator.adapters.routers.owned import SERVICE
from mooring_operator.api import reasons

from tests.operator.test_operator_endpoints import STEPS, V1, V2, Played, runtime
from tests.operator.world import DIGITS, World


@pytest.fixture
def played(world, players):
    world.objects.create(CLUSTER_SERVING_RUNTIME, "", runtime("onnx-server"))
    return Played(world, players)


def lose_status(world: World, *fields: str) -> None:
    """Have the status be gone, or some fields of it."""
    kept = {name: value for name, value in world.status.items() if fields and name not in fields}
    world.objects.set_status(DIGITS, kept or {"observedGeneration": -1})


async def look(played: Played, passes: int = 8):
    for _ in range(passes):
        await played.world.step()
        await played.kserve.act()
        played.world.now += timedelta(seconds=20)
    return played.world.status


async def test_what_serves_is_stable_again_where_the_spec_asks_for_it(played):
    first = await played.promoted()
    lose_status(played.world)
    status = await played.settle()
    assert (status["phase"], status["stable"]["revision"]) == ("Promoted", first)
    assert played.shares == [{V1: 100}]
    assert await played.kserve.pods() == {V1: 4}
    assert played.world.events().count("StatusRepaired") == 1
    played.deploy("v2")
    status = await played.settle()
    assert (status["phase"], played.kserve.weights) == ("AwaitingApproval", {V1: 50, V2: 50})


async def test_a_new_spec_beside_a_lost_status_moves_nothing_until_what_serves_is_known(played):
    first = await played.promoted()
    played.deploy("v2")
    lose_status(played.world)
    status = await look(played)
    assert (status["phase"], status["reason"]) == ("Failed", reasons.STATUS_UNREADABLE)
    assert first in status["message"]
    assert await played.kserve.pods() == {V1: 4}
    played.deploy("v1")
    assert (await played.settle())["stable"]["revision"] == first
    played.deploy("v2")
    assert (await played.settle())["phase"] == "AwaitingApproval"
    assert all(shares.get(V2, 0) <= 50 for shares in played.shares)


@pytest.mark.parametrize("lost", [(), ("stable",), ("stable", "history", "previous", "retained")])
async def test_a_status_that_is_lost_in_a_rollout_leaves_both_sides_what_they_have(played, lost):
    first = await played.promoted()
    played.deploy("v2")
    assert (await played.settle())["phase"] == "AwaitingApproval"
    lose_status(played.world, *lost)
    played.shares.clear()
    status = await look(played)
    assert (status["phase"], status["reason"]) == ("Failed", reasons.STATUS_UNREADABLE), status
    assert (
        f"revision {first} (InferenceService digits-r{first[:8]}, model {V1}) gets 50%" in status["message"]
    )
    assert played.kserve.weights == {V1: 50, V2: 50}
    played.deploy("v1")
    status = await played.settle()
    assert (status["phase"], status["stable"]["revision"]) == ("Promoted", first)
    assert played.kserve.weights == {V1: 100}
    played.world.now += timedelta(minutes=5)
    await played.settle()
    # What was on its way is gone, and costs nothing.
    assert await played.kserve.pods() == {V1: 4}
    played.deploy("v2")
    assert (await played.settle())["phase"] == "AwaitingApproval"


async def test_a_person_may_have_the_spec_take_over_what_serves(played):
    await played.promoted()
    played.deploy("v2")
    lose_status(played.world)
    status = await look(played)
    played.world.command("retry", status["failedRevision"])
    status = await played.settle()
    assert (status["phase"], played.kserve.weights) == ("Promoted", {V2: 100})


async def test_what_was_orphaned_is_no_first_revision_for_another_spec(played):
    """As by delete --cascade=orphan, and apply of a newer file."""
    first, world = await played.promoted(), played.world
    for kind in (INFERENCE_SERVICE, SERVICE, SERVING_RUNTIME):
        for made in world.objects.list(kind, "ns"):
            ref = Ref(kind, "ns", made["metadata"]["name"])
            if made["metadata"].get("labels", {}).get("mooring.dev/model-deployment"):
                world.objects.change(ref, without_owners)
    world.objects.delete(DIGITS)
    played.deploy("v2")
    status = await look(played)
    assert (status["phase"], status["reason"]) == ("Failed", reasons.STATUS_UNREADABLE)
    assert played.kserve.weights == {V1: 100}
    played.deploy("v1")
    assert (await played.settle())["stable"]["revision"] == first


def without_owners(made):
    metadata = {name: value for name, value in made["metadata"].items() if name != "ownerReferences"}
    return {**made, "metadata": metadata}


async def test_what_serves_is_waited_for_while_its_model_cannot_be_looked_up(played):
    first = await played.promoted()
    played.world.models.away = True
    lose_status(played.world)
    assert (await look(played))["reason"] == reasons.REGISTRY_UNAVAILABLE
    assert await played.kserve.pods() == {V1: 4}
    played.world.models.away = False
    assert (await played.settle())["stable"]["revision"] == first


async def test_one_service_for_all_revisions_is_left_as_it_is(world: World):
    rollout = {"rollout": {"steps": STEPS}}
    await world.promote("v1", **rollout)
    first = world.status["stable"]["revision"]
    lose_status(world)
    assert (await world.settle())["stable"]["revision"] == first
    world.deploy("v2", **rollout)
    await world.settle_in("AwaitingApproval")
    lose_status(world)
    before = world.service
    status = await world.settle()
    assert (status["phase"], status["reason"]) == ("Failed", reasons.STATUS_UNREADABLE)
    assert "gets 50%" in status["message"]
    assert world.service["spec"] == before["spec"]
    world.deploy("v1", **rollout)
    assert (await world.settle())["stable"]["revision"] == first
    assert "canary" not in world.service["spec"]
