"""The operator's process: it watches, restarts anywhere, and ends when it is asked to."""

import asyncio

import pytest
from mooring_operator.reconcile.kinds import MODEL_DEPLOYMENT

from tests.operator.faults import CLOSE, EXPIRE
from tests.operator.processes import operator, until, until_promoted
from tests.operator.world import CI_SPEC, DIGITS, SERVICE, World

STEPS = [{"setWeight": 10}, {"pause": {"duration": "1s"}}, {"setWeight": 100}]
SPEC = {"ci": CI_SPEC, "rollout": {"steps": STEPS}}


@pytest.fixture(autouse=True)
def surroundings(surroundings_act):
    """KServe and CI act while operators run."""


async def test_a_new_object_is_seen_and_rolled_out(world: World):
    async with operator(world):
        world.deploy("v1", **SPEC)
        await until_promoted(world, "v1")
        world.deploy("v2", **SPEC)
        await until_promoted(world, "v2")
    assert world.kserve.weights == [("s3://m/v2", 10), ("s3://m/v2", 100)]
    assert world.runs.tested == ["s3://m/v1", "s3://m/v2"]


async def test_an_object_that_was_there_before_is_seen_too(world: World):
    world.deploy("v1", **SPEC)
    async with operator(world):
        await until_promoted(world, "v1")


async def test_an_operator_at_rest_writes_nothing(world: World):
    async with operator(world):
        world.deploy("v1", **SPEC)
        await until_promoted(world, "v1")
    world.emulator.calls.clear()
    async with operator(world):
        await until(lambda: looked_at(world) >= 2, "the object was looked at")
    assert world.emulator.writes() == []


@pytest.mark.parametrize("phase", ["Testing", "Deploying", "Canary", "AwaitingApproval", "Promoting"])
async def test_a_process_that_is_killed_in_a_phase_is_taken_over_from_there(world: World, phase):
    spec = {**SPEC, "rollout": {"steps": STEPS if phase != "Promoting" else [{"setWeight": 100}]}}
    if phase == "AwaitingApproval":
        spec["rollout"] = {"steps": [{"setWeight": 10}, {"approve": {}}, {"setWeight": 100}]}
    async with operator(world) as first:
        if phase != "Deploying":
            world.deploy("v1", **spec)
            await until_promoted(world, "v1")
        world.ci.held = phase == "Testing"
        world.kserve.startable = lambda address: (
            address != "s3://m/v2" or phase not in ("Deploying", "Promoting")
        )
        world.deploy("v2", **spec)
        reached = "Canary" if phase == "Promoting" else phase
        await until(lambda: world.phase == reached, f"phase {reached}")
        await first.kill()
    candidate = world.status["candidate"]["revision"]
    world.ci.held, world.kserve.startable = False, lambda address: True
    async with operator(world):
        if phase == "AwaitingApproval":
            assert world.phase == phase
            world.command("approve", candidate)
        await until_promoted(world, "v2")
    assert world.status["stable"]["revision"] == candidate
    assert world.runs.tested == sorted({"s3://m/v2", *([] if phase == "Deploying" else ["s3://m/v1"])})


@pytest.mark.parametrize("gateway", ["is away", "refuses"])
async def test_a_gateway_that_takes_a_route_up_again_is_seen_at_once(world: World, gateway):
    """A look that nothing calls for comes after 15 s."""
    async with operator(world, resync_interval=86400):
        world.deploy("v1", **SPEC)
        await until_promoted(world, "v1")
        world.kserve.gateway = gateway
        world.deploy("v2", **SPEC)
        await until(lambda: world.condition("RouterReady").get("status") == "False", "the gateway's answer")
        await until(lambda: quiet(world), "the operator waits")
        world.kserve.gateway = "takes up"
        await until(lambda: world.condition("RouterReady")["status"] == "True", "its next answer", 5)
        await until_promoted(world, "v2")


@pytest.mark.parametrize("how", [CLOSE, EXPIRE])
async def test_a_change_made_while_no_watch_works_is_seen(world: World, how):
    async with operator(world, resync_interval=86400):
        world.deploy("v1", **SPEC)
        await until_promoted(world, "v1")
        down = world.emulator.fail(503, verb="watch", times=1000)
        assert world.emulator.break_watches(how) >= 4
        await until(lambda: len(down.hits) >= 4, "the watches are tried again")
        world.deploy("v2", **SPEC)
        world.objects.forget()
        world.emulator.faults.clear()
        await until_promoted(world, "v2")
        await until(lambda: world.emulator.watches >= 4, "the watches are back")


async def test_an_object_that_is_deleted_while_it_is_tested_has_its_run_ended(world: World):
    world.ci.held = True
    async with operator(world):
        # Its first list may find the object before its watch would see it go.
        await until(lambda: world.emulator.is_watched(MODEL_DEPLOYMENT), "ModelDeployments are watched")
        world.deploy("v1", **SPEC)
        await until(lambda: world.runs.ids, "a run")
        world.objects.delete(DIGITS)
        await until(
            lambda: [world.runs.read(run)["phase"] for run in world.runs.ids] == ["Canceled"], "its end"
        )


async def test_a_service_that_somebody_deletes_comes_back(world: World):
    async with operator(world, resync_interval=86400):
        world.deploy("v1", **SPEC)
        await until_promoted(world, "v1")
        uid = world.service["metadata"]["uid"]
        world.objects.delete(SERVICE)
        await until(lambda: world.service and world.service["metadata"]["uid"] != uid, "another service")
        await until_promoted(world, "v1")


async def test_an_api_server_that_fails_for_a_while_is_waited_for(world: World):
    async with operator(world):
        struck = (("get", 500, 2), ("get", 429, 1), ("update", 409, 2), ("create", CLOSE, 2))
        faults = [world.emulator.fail(how, verb=verb, times=times) for verb, how, times in struck]
        world.deploy("v1", **SPEC)
        await until_promoted(world, "v1")
        await until(lambda: all(len(fault.hits) == fault.times for fault in faults), "every fault has struck")
    assert world.runs.tested == ["s3://m/v1"]


async def test_a_process_that_is_asked_to_end_ends_well(world: World):
    async with operator(world) as process:
        world.deploy("v1", **SPEC)
        await until_promoted(world, "v1")
        assert await process.terminate() == 0
        assert "Traceback" not in process.log.read_text()
        assert "stopped" in process.log.read_text()


async def quiet(world: World) -> bool:
    """Whether the operator asks for nothing for longer than the second after which it looks at what it wrote."""
    before = len(world.emulator.calls)
    await asyncio.sleep(1.5)
    return len(world.emulator.calls) == before


def looked_at(world: World) -> int:
    reads = [call for call in world.emulator.calls if (call.verb, call.name) == ("get", "digits")]
    return len(reads)
