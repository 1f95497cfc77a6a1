"""Whole rollouts: what is served, in which order, and what status says of it."""

from datetime import timedelta

import pytest
from mooring_operator.runtime.workqueue import Key

from tests.operator.objects import merge
from tests.operator.world import CI_SPEC, DIGITS, ROLLOUT, SERVICE, Crash, World

APPROVALS = {
    "rollout": {
        "steps": [{"setWeight": 10}, {"approve": {}}, {"setWeight": 50}, {"approve": {}}, {"setWeight": 100}]
    }
}


async def test_the_first_revision_is_tested_and_then_gets_all_traffic(world: World):
    world.deploy("v1", **ROLLOUT)
    status = await world.settle()
    assert world.phases == ["Testing", "Deploying", "Promoted"]
    assert status["stable"]["modelUri"] == "s3://m/v1"
    assert status["ci"]["verdict"] == "Passed"
    assert world.condition("Tested")["status"] == "True"
    assert status["url"] == "http://digits.example"
    assert status["observedGeneration"] == 1
    assert world.service["spec"]["predictor"]["model"]["storageUri"] == "s3://m/v1"
    assert world.kserve.weights == []
    assert world.runs.tested == ["s3://m/v1"]


async def test_a_second_revision_walks_through_its_steps_and_takes_over(world: World):
    await world.promote("v1")
    world.deploy("v2", **ROLLOUT)
    status = await world.settle()
    assert world.phases == ["Testing", "Canary", "Promoting", "Promoted"]
    assert world.kserve.weights == [("s3://m/v2", 10), ("s3://m/v2", 100)]
    assert world.kserve.stable == ["s3://m/v1", "s3://m/v2"]
    assert status["previous"]["modelUri"] == "s3://m/v1"
    assert "candidate" not in status
    assert "canary" not in world.service["spec"]
    assert [entry["outcome"] for entry in status["history"]] == ["Promoted", "Promoted"]


async def test_a_pause_lasts_as_long_as_it_says(world: World):
    await world.promote("v1")
    world.deploy("v2", rollout=ROLLOUT["rollout"])
    while world.status.get("reason") != "Pausing":
        await world.step()
    world.now += timedelta(seconds=29)
    assert await world.step() == 1.0
    assert world.status["candidate"]["weight"] == 10
    world.now += timedelta(seconds=1)
    await world.step()
    assert world.status["candidate"]["weight"] == 100


async def test_a_model_that_fails_its_tests_is_never_served(world: World):
    await world.promote("v1")
    world.ci.good = lambda address: address != "s3://m/v2"
    world.deploy("v2", **ROLLOUT)
    status = await world.settle()
    assert (status["phase"], status["reason"]) == ("Failed", "CIFailed")
    assert "accuracy 0.5 is below the minimum 0.9" in status["message"]
    assert world.condition("Tested")["status"] == "False"
    assert (status["stable"]["modelUri"], world.kserve.weights) == ("s3://m/v1", [])
    assert await world.step() is None
    assert world.runs.tested == ["s3://m/v1", "s3://m/v2"]


async def test_a_first_model_that_fails_its_tests_leaves_nothing_to_serve(world: World):
    world.ci.good = lambda address: False
    world.deploy("v1", **ROLLOUT)
    assert (await world.settle())["phase"] == "Failed"
    assert world.service is None


async def test_a_candidate_that_does_not_start_is_rolled_back_at_the_deadline(world: World):
    await world.promote("v1")
    world.kserve.startable = lambda address: address != "s3://m/v2"
    world.deploy("v2", **ROLLOUT)
    await world.settle_in("Canary")
    began = world.now
    world.now = began + timedelta(seconds=59)
    await world.step()
    assert world.phase == "Canary"
    world.now = began + timedelta(seconds=60)
    await world.step()
    status = await world.settle()
    assert (status["phase"], status["reason"]) == ("RolledBack", "ProgressDeadlineExceeded")
    assert "back-off restarting" in status["message"] or "60 s" in status["message"]
    assert world.kserve.weights == [("s3://m/v2", 10)]
    assert "canary" not in world.service["spec"]
    assert world.condition("Stalled")["status"] == "True"


async def test_a_first_revision_that_does_not_start_fails_at_the_deadline(world: World):
    world.kserve.startable = lambda address: False
    world.deploy("v1", **ROLLOUT)
    status = await world.settle()
    assert (status["phase"], status["reason"]) == ("Failed", "ProgressDeadlineExceeded")
    assert world.service is None


async def test_a_rejected_revision_is_tried_again_when_a_person_asks(world: World):
    await world.promote("v1")
    world.kserve.startable = lambda address: address != "s3://m/v2"
    world.deploy("v2", **ROLLOUT)
    rejected = (await world.settle())["failedRevision"]
    world.kserve.startable = lambda address: True
    await world.settle()
    assert world.phase == "RolledBack"
    world.command("retry", rejected)
    assert (await world.settle())["stable"]["modelUri"] == "s3://m/v2"
    assert world.annotations == {}
    assert len(world.runs.ids) == 3


async def test_an_approval_is_good_for_one_step(world: World):
    await world.promote("v1", **APPROVALS)
    world.deploy("v2", **APPROVALS)
    for weight in (10, 50):
        status = await world.settle()
        assert (status["phase"], status["candidate"]["weight"]) == ("AwaitingApproval", weight)
        world.command("approve", status["candidate"]["revision"])
    assert (await world.settle())["phase"] == "Promoted"
    assert world.annotations == {}
    assert world.events().count("Approved") == 2


async def test_an_approval_by_who_asked_is_dropped_where_it_is_for_someone_else(world: World):
    steps = [{"setWeight": 10}, {"approve": {"by": "SomeoneElse"}}, {"setWeight": 100}]
    rollout = {"rollout": {"steps": steps}}
    await world.promote("v1", **rollout)
    asked = {"metadata": {"annotations": {"mooring.dev/requested-by": "alice"}}}
    world.objects.change(DIGITS, lambda before: merge(before, asked))
    world.deploy("v2", **rollout)
    revision = (await world.settle())["candidate"]["revision"]
    world.command("approve", revision, by="alice")
    status = await world.settle()
    assert (status["phase"], status["candidate"]["requestedBy"]) == ("AwaitingApproval", "alice")
    assert world.annotations == asked["metadata"]["annotations"]
    assert "ApprovalRefused" in world.events()
    assert "Approved" not in world.events()
    world.command("approve", revision, by="bob")
    status = await world.settle()
    assert (status["phase"], status["history"][0]["approvedBy"]) == ("Promoted", "bob")


@pytest.mark.parametrize("crash", [True, False])
async def test_an_approval_that_could_not_be_taken_away_approves_no_later_step(world: World, crash):
    await world.promote("v1", **APPROVALS)
    world.deploy("v2", **APPROVALS)
    status = await world.settle()
    assert (status["phase"], status["candidate"]["weight"]) == ("AwaitingApproval", 10)
    world.command("approve", status["candidate"]["revision"])
    if crash:
        await world.start(crash_after=0)
        with pytest.raises(Crash):
            await world.step()
        await world.start()
    else:
        world.emulator.fail(500, verb="patch", resource="modeldeployments")
    status = await world.settle()
    if status["candidate"]["weight"] == 10:
        # The approval was lost, which harms nobody.
        world.command("approve", status["candidate"]["revision"])
        status = await world.settle()
    assert (status["phase"], status["candidate"]["weight"]) == ("AwaitingApproval", 50)


async def test_a_promotion_by_hand_skips_what_is_left(world: World):
    await world.promote("v1", **APPROVALS)
    world.deploy("v2", **APPROVALS)
    status = await world.settle()
    world.command("promote", status["candidate"]["revision"])
    assert (await world.settle())["stable"]["modelUri"] == "s3://m/v2"
    assert world.kserve.weights == [("s3://m/v2", 10), ("s3://m/v2", 100)]
    assert world.annotations == {}


async def test_an_abort_gives_all_traffic_back(world: World):
    await world.promote("v1", **APPROVALS)
    world.deploy("v2", **APPROVALS)
    status = await world.settle()
    world.command("abort", f"{status['candidate']['revision']} too many errors")
    status = await world.settle()
    assert (status["phase"], status["reason"]) == ("RolledBack", "Aborted")
    assert "too many errors" in status["message"]
    assert "canary" not in world.service["spec"]
    assert world.annotations == {}


async def test_a_pause_by_hand_holds_for_as_long_as_it_is_there(world: World):
    await world.promote("v1")
    world.deploy("v2", **ROLLOUT)
    await world.settle_in("Canary")
    world.command("pause", f"{world.status['candidate']['revision']} lunch")
    status = await world.settle()
    assert (status["phase"], status["candidate"]["weight"]) == ("Paused", 10)
    world.now += timedelta(days=1)
    assert (await world.settle())["phase"] == "Paused"
    world.objects.change(DIGITS, lambda before: merge(before, {"metadata": {"annotations": None}}))
    assert (await world.settle())["phase"] == "Promoted"


async def test_a_rollback_by_hand_brings_the_previous_revision_back(world: World):
    await world.promote("v1")
    await world.promote("v2")
    world.command("rollback", f"{world.status['stable']['revision']} wrong answers")
    status = await world.settle()
    assert (status["phase"], status["stable"]["modelUri"]) == ("RolledBack", "s3://m/v1")
    assert world.service["spec"]["predictor"]["model"]["storageUri"] == "s3://m/v1"
    assert world.annotations == {}
    assert await world.step() is None


async def test_a_command_for_another_revision_is_dropped_and_does_nothing(world: World):
    await world.promote("v1", **APPROVALS)
    world.deploy("v2", **APPROVALS)
    await world.settle()
    world.command("approve", "0123456789 by mistake")
    assert (await world.settle())["phase"] == "AwaitingApproval"
    assert world.annotations == {}


@pytest.mark.parametrize("phase", ["Testing", "Canary", "Promoting"])
async def test_a_spec_that_is_edited_under_way_starts_the_rollout_of_another_revision(world: World, phase):
    await world.promote("v1")
    world.ci.held = phase == "Testing"
    steps = [{"setWeight": 100}] if phase == "Promoting" else ROLLOUT["rollout"]["steps"]
    world.kserve.startable = lambda address: phase != "Promoting" or address != "s3://m/v2"
    world.deploy("v2", **merge(ROLLOUT, {"rollout": {"steps": steps}}))
    await world.settle_in("Canary" if phase == "Promoting" else phase)
    superseded = world.status["candidate"]["revision"]
    world.ci.held = False
    world.deploy("v3", **ROLLOUT)
    status = await world.settle()
    assert (status["phase"], status["stable"]["modelUri"]) == ("Promoted", "s3://m/v3")
    assert status["previous"]["modelUri"] == "s3://m/v1"
    assert {entry["revision"]: entry["outcome"] for entry in status["history"]}[superseded] == "Superseded"
    phases = {run["parameters"]["model_uri"]: run["phase"] for run in map(world.runs.read, world.runs.ids)}
    assert phases["s3://m/v2"] == ("Canceled" if phase == "Testing" else "Succeeded")
    assert "canary" not in world.service["spec"]


async def test_a_spec_that_goes_back_to_the_stable_revision_ends_the_rollout(world: World):
    await world.promote("v1")
    world.deploy("v2", **ROLLOUT)
    await world.settle_in("Canary")
    world.deploy("v1", **ROLLOUT)
    status = await world.settle()
    assert (status["phase"], status["stable"]["modelUri"]) == ("Promoted", "s3://m/v1")
    assert "canary" not in world.service["spec"]
    assert len(world.runs.ids) == 2


async def test_what_a_test_found_is_not_said_of_another_revision(world: World):
    await world.promote("v1")
    world.ci.good = lambda address: False
    world.deploy("v2", **ROLLOUT)
    await world.settle()
    assert world.condition("Tested")["status"] == "False"
    world.deploy("v1", **ROLLOUT)
    await world.settle()
    assert world.condition("Tested") == {}


async def test_a_service_that_somebody_deleted_comes_back(world: World):
    await world.promote("v1")
    world.objects.delete(SERVICE)
    assert (await world.settle())["phase"] == "Promoted"
    assert world.service["spec"]["predictor"]["model"]["storageUri"] == "s3://m/v1"


async def test_the_run_of_a_deployment_that_is_deleted_is_ended(world: World):
    world.ci.held = True
    world.deploy("v1", ci=CI_SPEC)
    await world.settle_in("Testing")
    gone = world.objects.delete(DIGITS)
    await world.operator.deleted("ModelDeployment", gone)
    assert [world.runs.read(run)["phase"] for run in world.runs.ids] == ["Canceled"]
    assert await world.operator.reconcile(Key("ModelDeployment", "ns", "digits")) is None


async def test_a_run_that_is_over_is_left_alone_when_the_deployment_is_deleted(world: World):
    await world.promote("v1")
    world.runs.away = True
    await world.operator.deleted("ModelDeployment", world.objects.delete(DIGITS))
    assert [world.runs.read(run)["phase"] for run in world.runs.ids] == ["Succeeded"]
