"""DriftMonitors: when they evaluate, what they say, and whom they ask to go back."""

import json
from contextlib import suppress
from datetime import timedelta

import pytest
from mooring_operator.adapters.checks.owned_jobs import JOB
from mooring_operator.adapters.cluster import ClusterError, Ref

from tests.operator.objects import merge
from tests.operator.world import CI_SPEC, DIGITS, MONITOR, Crash, World

STATUS = "driftmonitors/status"


@pytest.fixture
async def watched(world: World) -> World:
    """v2 is promoted in place of v1, and its traffic is watched every minute."""
    await world.promote("v1")
    await world.promote("v2")
    world.monitor(interval="1m", actions=["Rollback"])
    world.emulator.calls.clear()
    return world


async def test_an_evaluation_is_made_once_in_an_interval(watched: World):
    assert await watched.check_drift() == 60.0
    assert (watched.drift["phase"], watched.drift["reason"]) == ("Watching", "NoDrift")
    watched.now += timedelta(seconds=20)
    assert await watched.check_drift() == 40.0
    assert len(watched.evaluations.made) == 1
    watched.now += timedelta(seconds=40)
    await watched.check_drift()
    assert len(watched.evaluations.made) == 2


async def test_a_look_between_two_evaluations_writes_nothing(watched: World):
    await watched.check_drift()
    watched.emulator.calls.clear()
    await watched.check_drift()
    assert watched.emulator.writes() == []


async def test_a_changed_spec_is_evaluated_at_once(watched: World):
    await watched.check_drift()
    watched.monitor(interval="1m", minRows=200)
    await watched.check_drift()
    assert [question["minRows"] for question in watched.evaluations.made] == [100, 200]
    assert watched.drift["observedGeneration"] == 2


async def test_an_evaluation_is_told_in_status(watched: World):
    watched.evaluations.drifted = True
    await watched.check_drift()
    evaluation = watched.drift["evaluation"]
    assert evaluation["revision"] == watched.status["stable"]["revision"]
    assert (evaluation["windowRows"], evaluation["featuresTested"], evaluation["featuresDrifted"]) == (
        500,
        2,
        1,
    )
    assert [(each["name"], each["drifted"]) for each in evaluation["features"]] == [
        ("age", True),
        ("income", False),
    ]
    assert "age" in watched.drift["message"]
    assert evaluation["reportUrl"].startswith("http://kfp/#/runs/details/")


async def test_a_schema_change_is_told_beside_the_drift_of_the_others(watched: World):
    change = {"name": "zip\x1b[2J", "change": "TypeChanged", "baseline": "int64", "window": "string"}
    gone = [{"name": f"c{i}", "change": "Vanished", "baseline": "double", "window": None} for i in range(300)]
    watched.evaluations.changes, watched.evaluations.drifted = [change, *gone], True
    await watched.check_drift()
    assert watched.drift["phase"] == "Drifted"
    assert watched.condition("SchemaChanged", MONITOR)["status"] == "True"
    evaluation = watched.drift["evaluation"]
    assert (evaluation["schemaChanged"], len(evaluation["schemaChanges"])) == (301, 20)
    assert evaluation["schemaChanges"][0] == {**change, "name": "zip?[2J"}
    assert "'zip?[2J' was int64 and is string, 'c0' vanished" in watched.drift["message"]
    watched.evaluations.changes = []
    watched.now += timedelta(minutes=1)
    await watched.check_drift()
    assert watched.condition("SchemaChanged", MONITOR)["status"] == "False"


async def test_drift_that_begins_stays_and_ends_is_told_twice(watched: World):
    for drifted in (False, True, True, True, False, False):
        watched.evaluations.drifted = drifted
        await watched.check_drift()
        assert watched.condition("Drifted", MONITOR)["status"] == str(drifted)
        assert watched.condition("Ready", MONITOR)["status"] == "True"
        watched.now += timedelta(minutes=1)
    told = [reason for reason in watched.events("traffic") if reason != "RollbackRequested"]
    assert told == ["NoDrift", "DriftDetected", "NoDrift"]


async def test_a_rollback_is_asked_for_once_for_a_revision(watched: World):
    left, watched.evaluations.drifted = watched.status["stable"]["revision"], True
    await watched.check_drift()
    asked = f"{left} DriftMonitor {MONITOR.name}: DriftDetected: "
    assert watched.annotations["mooring.dev/rollback"].startswith(asked)
    status = await watched.settle()
    assert (status["phase"], status["stable"]["modelUri"]) == ("RolledBack", "s3://m/v1")
    assert watched.annotations == {}
    watched.now += timedelta(minutes=1)
    await watched.check_drift()
    assert watched.drift["phase"] == "Drifted"
    assert (await watched.settle())["stable"]["modelUri"] == "s3://m/v1"
    assert watched.events("traffic").count("RollbackRequested") == 1


async def test_drift_that_stays_does_not_ask_again(watched: World):
    watched.evaluations.drifted = True
    await watched.check_drift()
    watched.objects.change(DIGITS, lambda before: merge(before, {"metadata": {"annotations": None}}))
    watched.now += timedelta(minutes=1)
    await watched.check_drift()
    assert watched.annotations == {}


async def test_without_the_action_drift_is_only_told(watched: World):
    watched.monitor(interval="1m")
    watched.evaluations.drifted = True
    await watched.check_drift()
    assert watched.annotations == {}
    assert watched.events("traffic") == ["DriftDetected"]


@pytest.mark.parametrize(
    ("action", "command", "phase"), [("Pause", "pause", "Paused"), ("Abort", "abort", "RolledBack")]
)
async def test_the_rollout_under_way_is_stopped_as_drift_begins(watched: World, action, command, phase):
    watched.monitor(interval="1m", actions=[action])
    await watched.check_drift()
    watched.deploy("v3", rollout={"steps": [{"setWeight": 50}, {"approve": {}}, {"setWeight": 100}]})
    await watched.settle_in("AwaitingApproval")
    candidate = watched.status["candidate"]["revision"]
    watched.now += timedelta(minutes=1)
    watched.evaluations.drifted = True
    await watched.check_drift()
    asked = f"{candidate} DriftMonitor {MONITOR.name}: DriftDetected: "
    assert watched.annotations[f"mooring.dev/{command}"].startswith(asked)
    [taken] = watched.drift["actions"]
    assert (taken["action"], taken["state"], taken["revision"]) == (action, "Asked", candidate)
    status = await watched.settle()
    assert (status["phase"], status["stable"]["modelUri"]) == (phase, "s3://m/v2")
    watched.now += timedelta(minutes=1)
    await watched.check_drift()
    assert watched.events("traffic").count("StopRequested") == 1


def jobs(world: World):
    return [job for job in world.objects.list(JOB) if job["metadata"]["name"].startswith("mooring-notice-")]


async def test_receivers_are_told_by_jobs_in_the_namespace(watched: World):
    told = {"format": "Slack", "urlSecret": {"name": "slack", "key": "url"}, "headersSecret": "headers"}
    watched.monitor(interval="1m", notify=[told])
    await watched.check_drift()
    assert jobs(watched) == []
    watched.evaluations.drifted = True
    watched.now += timedelta(minutes=1)
    assert await watched.check_drift() == 3.0
    [job] = jobs(watched)
    assert job["metadata"]["namespace"] == "ns"
    [owner] = job["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"]) == ("DriftMonitor", "traffic")
    [container] = job["spec"]["template"]["spec"]["containers"]
    variables = {each["name"]: each for each in container["env"]}
    assert variables["MOORING_WEBHOOK_URL"]["valueFrom"] == {"secretKeyRef": {"name": "slack", "key": "url"}}
    assert "Traffic of ns/digits drifts" in json.loads(variables["MOORING_WEBHOOK_BODY"]["value"])["text"]
    # Nobody has read a Secret for it.
    assert not [call for call in watched.emulator.calls if "secrets" in str(call)]
    complete = {"type": "Complete", "status": "True", "lastTransitionTime": "2026-03-01T12:00:00Z"}
    watched.objects.set_status(Ref(JOB, "ns", job["metadata"]["name"]), {"conditions": [complete]})
    await watched.check_drift()
    assert [each["state"] for each in watched.drift["notices"]] == ["Sent"]
    assert watched.events("traffic") == ["NoDrift", "DriftDetected", "NotificationSent"]


async def test_a_receiver_is_told_once_after_a_crash(watched: World):
    watched.monitor(interval="1m", notify=[{"url": "https://hooks.example.com/drift"}])
    watched.evaluations.drifted = True
    for writes in range(12):
        await watched.start(crash_after=writes)
        with suppress(Crash):
            await watched.check_drift()
            break
    await watched.start()
    await watched.check_drift()
    await watched.check_drift()
    assert len(jobs(watched)) == 1
    assert [each["state"] for each in watched.drift["notices"]] == ["Sending"]


async def test_a_job_that_is_refused_is_said(watched: World):
    watched.monitor(interval="1m", notify=[{"url": "https://hooks.example.com/drift"}])
    watched.evaluations.drifted = True
    watched.emulator.fail(422, verb="create", resource="jobs")
    await watched.check_drift()
    [notice] = watched.drift["notices"]
    assert notice["state"] == "Failed"
    assert "its Job was refused" in notice["message"]


async def test_a_dry_run_asks_for_no_rollback_and_makes_no_job(watched: World):
    watched.monitor(
        interval="1m", actions=["Rollback"], dryRun=True, notify=[{"url": "https://hooks.example.com/drift"}]
    )
    watched.evaluations.drifted = True
    await watched.check_drift()
    assert watched.annotations == {}
    assert jobs(watched) == []
    assert watched.events("traffic") == ["DriftDetected", "DryRun", "DryRun"]
    watched.monitor(interval="1m", actions=["Rollback"])
    await watched.check_drift()
    assert "mooring.dev/rollback" in watched.annotations


async def test_a_first_revision_has_nothing_to_go_back_to(world: World):
    await world.promote("v1")
    world.monitor(actions=["Rollback"])
    world.evaluations.drifted = True
    await world.check_drift()
    assert world.annotations == {}
    assert world.events("traffic") == ["DriftDetected", "RollbackSkipped"]


async def test_a_target_that_is_not_there_is_said_and_awaited(world: World):
    world.monitor(interval="1m")
    assert await world.check_drift() == 60.0
    assert (world.drift["phase"], world.drift["reason"]) == ("Failed", "TargetNotFound")
    assert "'digits'" in world.drift["message"]
    assert world.condition("Stalled", MONITOR)["status"] == "True"
    assert world.evaluations.made == []
    await world.promote("v1")
    world.now += timedelta(minutes=1)
    await world.check_drift()
    assert world.drift["phase"] == "Watching"
    assert world.condition("Stalled", MONITOR) == {}


@pytest.mark.parametrize(
    ("error", "phase", "reason"),
    [
        (("BaselineUnreadable", "there is no s3://d/baseline"), "Failed", "BaselineUnreadable"),
        (("InsufficientData", "12 rows of 100"), "Watching", "InsufficientData"),
        (("ParametersInvalid", "question.ks"), "Failed", "EvaluationFailed"),
    ],
)
async def test_an_evaluation_that_fails_is_said_and_made_again(watched: World, error, phase, reason):
    watched.evaluations.error = error
    assert await watched.check_drift() == 60.0
    assert (watched.drift["phase"], watched.drift["reason"]) == (phase, reason)
    assert error[1] in watched.drift["message"]
    assert watched.condition("Drifted", MONITOR) == {}
    watched.evaluations.error = None
    watched.now += timedelta(minutes=1)
    await watched.check_drift()
    assert watched.drift["reason"] == "NoDrift"


async def test_a_monitor_that_is_suspended_evaluates_nothing(watched: World):
    watched.monitor(suspend=True)
    assert await watched.check_drift() is None
    assert watched.drift["phase"] == "Suspended"
    assert watched.evaluations.made == []


async def test_an_invalid_spec_that_slipped_through_names_the_field(watched: World):
    bad = {"spec": {"detectors": {"psi": {"bins": 1}}}}
    watched.objects.change(MONITOR, lambda before: merge(before, bad))
    assert await watched.check_drift() is None
    assert (watched.drift["phase"], watched.drift["reason"]) == ("Failed", "InvalidSpec")
    assert "spec.detectors.psi.bins: " in watched.drift["message"]
    watched.emulator.calls.clear()
    await watched.check_drift()
    assert watched.emulator.writes() == []


async def test_any_one_call_may_fail_and_the_rollback_is_asked_for_all_the_same(watched: World):
    saved = watched.objects.save()
    for position in range(100):
        watched.objects.restore(saved)
        watched.emulator.faults.clear()
        watched.evaluations.drifted = True
        fault = watched.emulator.fail(500, after=position)
        try:
            await watched.check_drift()
        except ClusterError:
            await watched.check_drift()
        assert_asked(watched)
        if not fault.hits:
            break
    assert position >= 5


async def test_the_process_may_end_after_any_write_and_the_rollback_is_asked_for_all_the_same(watched: World):
    saved = watched.objects.save()
    for position in range(100):
        watched.objects.restore(saved)
        watched.evaluations.drifted = True
        await watched.start(crash_after=position)
        try:
            await watched.check_drift()
        except Crash:
            await watched.start()
            await watched.check_drift()
        else:
            break
        assert_asked(watched)
    assert position >= 3


def assert_asked(world: World) -> None:
    revision = world.status["stable"]["revision"]
    assert world.annotations["mooring.dev/rollback"].startswith(revision)
    # As whom the API server knows the operator: its policies compare the two.
    assert world.annotations["mooring.dev/rollback-by"] == "operator"
    assert (world.drift["phase"], world.drift["actedOn"]) == ("Drifted", revision)
    assert world.condition("Drifted", MONITOR)["status"] == "True"


async def test_what_the_target_keeps_is_watched_window_by_window(world: World):
    """Without files in the spec: the rows of the test, and each stretch of the interval once."""
    capture = {"store": "s3://captured/team-a"}
    await world.promote("v1", ci=CI_SPEC, serving={"capture": capture})
    revision = world.status["stable"]["revision"]
    world.monitor(interval="10m", baseline=None, window=None)
    world.now += timedelta(hours=1)
    for _ in range(30):
        await world.check_drift()
        world.now += timedelta(minutes=1)
    asked = [(question["baseline"], question["window"]) for question in world.evaluations.made]
    assert {str(baseline) for baseline, _ in asked} == {
        str({"uri": "s3://m/test.parquet", "without": ["label"]})
    }
    windows = [window for _, window in asked]
    assert {window["uri"] for window in windows} == {
        f"s3://captured/team-a/deployment=digits/revision={revision}"
    }
    assert len(windows) >= 3
    assert [one["since"] for one in windows[1:]] == [one["until"] for one in windows[:-1]]
    assert world.drift["evaluation"]["windowUntil"] == windows[-1]["until"]


async def test_a_target_that_keeps_nothing_is_told(world: World):
    await world.promote("v1")
    world.monitor(window=None)
    await world.check_drift()
    assert (world.drift["phase"], world.drift["reason"]) == ("Failed", "NothingCaptured")
    assert "spec.serving.capture" in world.drift["message"]
