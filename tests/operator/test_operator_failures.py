"""What nobody foresaw: it is said on the resource, once, stops no other, and is over when a reconcile succeeds."""

import asyncio

import pytest
from mooring_operator.adapters.cluster import Unavailable
from mooring_operator.reconcile.failures import ReconcileFailed, StatusUnreadable
from mooring_operator.runtime.dispatch import Dispatch
from mooring_operator.runtime.telemetry import Telemetry
from mooring_operator.runtime.workqueue import Key

from tests.operator.objects import merge
from tests.operator.world import DIGITS, MONITOR, ROLLOUT, World

ROLLOUT_KEY = Key("ModelDeployment", "ns", "digits")
MONITOR_KEY = Key("DriftMonitor", "ns", "traffic")


def dispatch(world: World, deadline: float = 60.0) -> Dispatch:
    return Dispatch(world.operator, Telemetry(), deadline=deadline)


def edit_status(world: World, ref, status) -> None:
    world.objects.set_status(ref, merge(world.objects.get(ref)["status"], status))


async def test_an_error_that_nobody_foresaw_is_said_once_and_is_over_with_the_next_success(world, caplog):
    await world.promote("v1")
    before = world.status

    async def broken(model, namespace):
        raise KeyError("s3cret-of-a-store")

    world.models.resolve, resolve = broken, world.models.resolve
    world.deploy("v2", **ROLLOUT)
    for _ in range(4):
        with pytest.raises(ReconcileFailed):
            await dispatch(world)(ROLLOUT_KEY)
    condition = world.condition("Reconciled")
    assert (condition["status"], condition["reason"]) == ("False", "InternalError")
    assert "KeyError" in condition["message"]
    assert "s3cret" not in str(world.objects.get(DIGITS))
    assert world.events()[-1] == "InternalError"
    assert len(world.emulator.writes("modeldeployments/status")) == 1
    assert len(world.emulator.writes("events")) == 1
    # All else is as it was: what is served, and what waits for an approval.
    kept = {name: value for name, value in world.status.items() if name != "conditions"}
    assert kept == {name: value for name, value in before.items() if name != "conditions"}
    assert world.condition("Ready")["status"] == "True"
    world.models.resolve = resolve
    assert (await world.settle())["stable"]["modelUri"] == "s3://m/v2"
    assert world.condition("Reconciled") == {}


async def test_the_same_of_a_monitor(world: World):
    await world.promote("v1")
    world.monitor()
    await world.check_drift()

    async def broken(run):
        raise KeyError("s3cret-of-a-store")

    world.runs.launch, launch = broken, world.runs.launch
    world.objects.change(MONITOR, lambda before: merge(before, {"spec": {"minRows": 200}}))
    for _ in range(2):
        with pytest.raises(ReconcileFailed):
            await dispatch(world)(MONITOR_KEY)
    assert world.condition("Reconciled", MONITOR)["reason"] == "InternalError"
    assert "s3cret" not in str(world.drift)
    assert world.events("traffic")[-1] == "InternalError"
    world.runs.launch = launch
    await dispatch(world)(MONITOR_KEY)
    assert world.condition("Reconciled", MONITOR) == {}
    await world.check_drift()
    # The next look, at which nothing is due, has nothing to take back either.
    version = world.objects.version
    await dispatch(world)(MONITOR_KEY)
    assert world.objects.version == version


async def test_a_reconcile_that_waits_for_too_long_is_stopped_and_said(world: World):
    async def stalling(model, namespace):
        await asyncio.sleep(3600)

    world.models.resolve, resolve = stalling, world.models.resolve
    world.deploy("v1", **ROLLOUT)
    async with asyncio.timeout(10):
        with pytest.raises(ReconcileFailed):
            await dispatch(world, deadline=0.2)(ROLLOUT_KEY)
    condition = world.condition("Reconciled")
    assert condition["reason"] == "DeadlineExceeded"
    assert "0.2 s" in condition["message"]
    world.models.resolve = resolve
    await world.settle()
    assert world.condition("Reconciled") == {}


async def test_a_failure_of_an_object_that_is_gone_meanwhile_is_nobodys(world: World):
    async def broken(model, namespace):
        world.objects.delete(DIGITS)
        raise KeyError

    world.models.resolve = broken
    world.deploy("v1", **ROLLOUT)
    with pytest.raises(ReconcileFailed):
        await dispatch(world)(ROLLOUT_KEY)
    assert world.events() == []


async def test_an_api_server_that_is_away_is_no_failure_of_the_operator(world: World):
    world.deploy("v1", **ROLLOUT)
    world.emulator.fail(503, verb="get", resource="modeldeployments")
    with pytest.raises(Unavailable):
        await dispatch(world)(ROLLOUT_KEY)
    assert world.status == {}


async def test_a_status_of_another_version_is_repaired_and_the_rollout_goes_on(world: World):
    await world.promote("v1")
    world.deploy("v2", **ROLLOUT)
    await world.settle_in("Canary")
    served = world.status["stable"]
    broken = {
        "phase": "Analyzing",
        "candidate": {"startedAt": "yesterday"},
        "history": [{"outcome": "Archived"}],
    }
    edit_status(world, DIGITS, broken)
    status = await world.settle()
    assert (status["phase"], status["stable"]["modelUri"]) == ("Promoted", "s3://m/v2")
    assert status["previous"]["revision"] == served["revision"]
    assert world.events().count("StatusRepaired") == 1
    # It was tested before, and the run is found again by its id.
    assert world.runs.tested == ["s3://m/v1", "s3://m/v2"]


@pytest.mark.parametrize("damage", [{"modelUri": 7}, {"serving": {"minReplicas": "many"}}], ids=str)
async def test_a_stable_revision_that_cannot_be_read_stops_everything_but_what_is_served(
    world: World, damage
):
    await world.promote("v1")
    good = world.status["stable"]
    service = world.service
    edit_status(world, DIGITS, {"stable": damage})
    world.deploy("v2", **ROLLOUT)
    for _ in range(3):
        with pytest.raises(StatusUnreadable):
            await dispatch(world)(ROLLOUT_KEY)
    condition = world.condition("Reconciled")
    assert condition["reason"] == "StatusUnreadable"
    assert condition["message"].startswith("status.stable.")
    assert world.service == service
    assert world.runs.tested == ["s3://m/v1"]
    assert world.events().count("StatusUnreadable") == 1
    edit_status(world, DIGITS, {"stable": {"serving": None, **good}})
    assert (await world.settle())["stable"]["modelUri"] == "s3://m/v2"
    assert world.condition("Reconciled") == {}


async def test_a_deployment_with_an_unreadable_status_has_its_run_ended_when_it_is_deleted(world: World):
    await world.promote("v1")
    world.ci.held = True
    world.deploy("v2", **ROLLOUT)
    await world.settle_in("Testing")
    await world.step()
    edit_status(world, DIGITS, {"stable": {"modelUri": 7}})
    body = world.objects.delete(DIGITS)
    await world.operator.deleted("ModelDeployment", body)
    assert sorted(world.runs.read(run)["phase"] for run in world.runs.ids) == ["Canceled", "Succeeded"]


async def test_a_monitor_of_a_deployment_with_an_unreadable_status_goes_on(world: World):
    await world.promote("v1")
    edit_status(world, DIGITS, {"stable": {"modelUri": 7}})
    world.monitor(actions=["Rollback"])
    world.evaluations.drifted = True
    await world.check_drift()
    assert world.drift["phase"] == "Drifted"
    assert world.annotations == {}


async def test_a_monitor_status_of_any_form_is_repaired(world: World):
    await world.promote("v1")
    world.monitor()
    await world.check_drift()
    edit_status(world, MONITOR, {"evaluation": "none", "nextEvaluation": "soon", "phase": {"a": 1}})
    await world.check_drift()
    assert world.drift["phase"] == "Watching"
    assert world.events("traffic").count("StatusRepaired") == 1
