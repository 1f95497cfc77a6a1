"""Two replicas of the operator: one acts, the other stands by and takes over."""

import asyncio
import time

import pytest
from mooring_operator.adapters.cluster import Ref
from mooring_operator.runtime.election import Terms

from tests.operator.faults import Fault
from tests.operator.objects import LEASE, merge
from tests.operator.processes import holder, operator, until, until_promoted
from tests.operator.world import World

THE_LEASE = Ref(LEASE, "ns", "mooring-operator")
STEPS = [{"setWeight": 10}, {"approve": {}}, {"setWeight": 100}]
SPEC = {"rollout": {"steps": STEPS}}


@pytest.fixture(autouse=True)
def surroundings(surroundings_act):
    """KServe and CI act while operators run."""


@pytest.fixture
async def replicas(world: World):
    """The leader and the one that stands by, as processes."""
    async with operator(world, "leader", leader_election=True) as leader:
        await until(lambda: holder(world), "the first leads")
        async with operator(world, "standby", leader_election=True) as standby:
            yield leader, standby


def written(world: World, who: str) -> list[str]:
    return [call.resource for call in world.emulator.writes(who=who) if call.resource != "leases"]


async def test_only_the_leader_acts_until_it_is_killed_and_then_the_other_finishes(world: World, replicas):
    leader, _ = replicas
    world.deploy("v1", **SPEC)
    await until_promoted(world, "v1")
    world.deploy("v2", **SPEC)
    await until(lambda: world.phase == "AwaitingApproval", "approval is awaited")
    assert written(world, "leader")
    assert written(world, "standby") == []
    first = holder(world)
    await leader.kill()
    world.command("approve", world.status["candidate"]["revision"])
    # The Lease lasts for 15 seconds; the test need not.
    world.objects.change(THE_LEASE, lambda before: merge(before, {"spec": {"leaseDurationSeconds": 1}}))
    await until_promoted(world, "v2")
    assert holder(world) not in ("", first)
    assert written(world, "standby")
    assert world.kserve.weights == [("s3://m/v2", 10), ("s3://m/v2", 100)]


async def test_a_leader_that_is_asked_to_end_gives_the_lease_back(world: World, replicas):
    leader, _ = replicas
    first = holder(world)
    before = world.objects.version
    assert await leader.terminate() == 0
    released = [
        change.after["spec"]["holderIdentity"]
        for change in world.objects.changes
        if change.version > before and change.ref == THE_LEASE
    ]
    assert "" in released
    # Much less than the 15 seconds that a Lease lasts which was not given back.
    async with asyncio.timeout(10):
        await until(lambda: holder(world) not in ("", first), "the other leads")
    world.deploy("v1", **SPEC)
    await until_promoted(world, "v1")
    assert written(world, "leader") == []


@pytest.mark.parametrize(
    "held",
    [{"resource": "modeldeployments/status"}, {"resource": "inferenceservices", "verb": "patch"}],
    ids=["status", "service"],
)
async def test_a_leader_that_stood_still_while_another_led_writes_nothing(world: World, replicas, held):
    leader, _ = replicas
    world.deploy("v1", **SPEC)
    await until_promoted(world, "v1")
    # It has decided for v2, and has not heard yet that its write was done: it would go on with the next one.
    slow = Fault(3.0, **held)
    world.emulator.faults.append(slow)
    world.deploy("v2", **SPEC)
    await until(lambda: slow.hits, "the leader writes")
    first = holder(world)
    leader.freeze()
    frozen_at = time.monotonic()
    world.objects.change(THE_LEASE, lambda before: merge(before, {"spec": {"leaseDurationSeconds": 1}}))
    await until(lambda: holder(world) not in ("", first), "the other leads")
    world.deploy("v3", **SPEC)
    await until(
        lambda: world.phase == "AwaitingApproval" and world.status["candidate"]["modelUri"] == "s3://m/v3",
        "v3 waits for an approval",
    )
    world.command("approve", world.status["candidate"]["revision"])
    await until_promoted(world, "v3")
    await until(lambda: time.monotonic() - frozen_at > Terms().renew_deadline, "its own time is over too")
    before = len(written(world, "leader"))
    leader.thaw()
    await until(lambda: "leads no more" in leader.log.read_text(), "it has noticed")
    assert written(world, "leader")[before:] == []
    assert world.service["spec"]["predictor"]["model"]["storageUri"] == "s3://m/v3"
    assert ("s3://m/v2", 100) not in world.kserve.weights
