"""A rollout when calls fail and processes end: the same end, and no model tested twice."""

import pytest
from mooring_operator.adapters import api_http
from mooring_operator.adapters.cluster import ClusterError, Conflict

from tests.operator.faults import CLOSE, LOSE_ANSWER
from tests.operator.objects import merge
from tests.operator.world import DIGITS, ROLLOUT, Crash, World

OUTCOMES = {"promoted": "Promoted", "tests fail": "Failed", "does not start": "RolledBack"}


@pytest.fixture
async def attempts(world: World):
    """Starts the same rollout again and again, from v1 promoted; `attempts(outcome)` prepares one."""
    await world.promote("v1")
    saved, runs = world.objects.save(), world.runs.ids

    async def begin(outcome: str, *, crash_after: int | None = None) -> None:
        world.objects.restore(saved)
        for run in set(world.runs.ids) - set(runs):
            (world.folder / "runs" / f"{run}.json").unlink()
        world.emulator.faults.clear()
        world.kserve.weights.clear()
        world.ci.good = lambda address: address == "s3://m/v1" or outcome != "tests fail"
        world.kserve.startable = lambda address: address == "s3://m/v1" or outcome != "does not start"
        await world.start(crash_after=crash_after)
        world.deploy("v2", **ROLLOUT)

    return begin


def assert_ended(world: World, outcome: str) -> None:
    status, promoted = world.status, outcome == "promoted"
    assert status["phase"] == OUTCOMES[outcome]
    assert status["stable"]["modelUri"] == ("s3://m/v2" if promoted else "s3://m/v1")
    assert "candidate" not in status
    assert [entry["outcome"] for entry in status["history"]] == [OUTCOMES[outcome], "Promoted"]
    assert world.runs.tested == ["s3://m/v1", "s3://m/v2"]
    assert "canary" not in world.service["spec"]
    served = world.service["spec"]["predictor"]["model"]["storageUri"]
    assert served == status["stable"]["modelUri"]
    weights = {"promoted": [10, 100], "tests fail": [], "does not start": [10]}[outcome]
    assert world.kserve.weights == [("s3://m/v2", weight) for weight in weights]


@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("how", [500, 429, 409, CLOSE, LOSE_ANSWER], ids=str)
async def test_any_one_call_of_a_rollout_may_fail(world: World, attempts, how, outcome):
    position = 0
    while True:
        await attempts(outcome)
        fault = world.emulator.fail(how, after=position)
        errors = await settle_and_count_errors(world)
        if not fault.hits:
            break
        (hit,) = fault.hits
        # An Event that is lost is in the log, and nothing is tried again for it.
        assert errors == (0 if (hit.verb, hit.resource) == ("create", "events") else 1), fault.hits
        assert_ended(world, outcome)
        position += 1
    assert position >= 15


@pytest.mark.parametrize("outcome", OUTCOMES)
async def test_the_process_may_end_after_any_write_of_a_rollout(world: World, attempts, outcome):
    position = 0
    while True:
        await attempts(outcome, crash_after=position)
        try:
            await world.settle()
        except Crash:
            await world.start()
            await world.settle()
        else:
            break
        assert_ended(world, outcome)
        position += 1
    assert position >= 4


async def test_a_fault_that_lasts_delays_a_rollout_and_does_no_more(world: World, attempts):
    await attempts("promoted")
    fault = world.emulator.fail(500, times=20, verb="patch", resource="inferenceservices")
    await world.settle()
    assert len(fault.hits) == 20
    assert_ended(world, "promoted")


async def test_events_that_are_refused_stop_no_rollout_and_are_in_the_log(world: World, attempts, caplog):
    await attempts("promoted")
    fault = world.emulator.fail(
        403, times=1000, verb="create", resource="events", message="no Events for you"
    )
    assert await settle_and_count_errors(world) == 0
    assert_ended(world, "promoted")
    lost = [record.getMessage() for record in caplog.records if record.name.endswith("adapters.notifier")]
    assert len(lost) == len(fault.hits) >= 5
    assert lost[-1].startswith("Event Promoted about ModelDeployment ns/digits was not recorded: ")
    assert "no Events for you" in lost[-1]


async def test_a_server_that_takes_too_long_is_one_that_does_not_answer(world: World, attempts, monkeypatch):
    monkeypatch.setattr(api_http, "_REQUEST_TIMEOUT", 0.05)
    await attempts("promoted")
    world.emulator.fail(0.5, verb="patch", resource="inferenceservices")
    with pytest.raises(ClusterError, match="does not answer"):
        await world.settle_in("Promoted")
    await world.settle()
    assert_ended(world, "promoted")


async def test_a_status_that_somebody_was_faster_to_write_is_decided_on_anew(world: World):
    await world.promote("v1")
    world.deploy("v2", **ROLLOUT)
    write = world.objects.replace

    def interfere(ref, body, *, status=False):
        world.objects.replace = write
        world.objects.change(DIGITS, lambda before: merge(before, {"spec": {"model": {"uri": "s3://m/v3"}}}))
        return write(ref, body, status=status)

    world.objects.replace = interfere
    with pytest.raises(Conflict):
        await world.step()
    assert world.status["phase"] == "Promoted"
    assert (await world.settle())["stable"]["modelUri"] == "s3://m/v3"
    assert world.runs.tested == ["s3://m/v1", "s3://m/v3"]


async def settle_and_count_errors(world: World) -> int:
    errors, reconcile = [], world.operator.reconcile

    async def counting(key):
        try:
            return await reconcile(key)
        except ClusterError as error:
            errors.append(error)
            raise

    world.operator.reconcile = counting
    await world.settle()
    return len(errors)
