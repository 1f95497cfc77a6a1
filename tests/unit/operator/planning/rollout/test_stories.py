"""The planner, told as stories."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from mooring_operator.planning.actions import Notify, TerminateRun
from mooring_operator.planning.rollout.actions import Route
from mooring_operator.planning.rollout.plan import plan
from mooring_operator.planning.rollout.situation import Unresolved

from tests.unit.operator.planning.fleet import promoted as promoted_by_itself
from tests.unit.operator.planning.world import CI, World, spec_of

STEPS = {"steps": [{"setWeight": 10}, {"pause": {"duration": "30s"}}, {"setWeight": 50}, {"setWeight": 100}]}


def promoted(model: str = "v1", **fields: Any) -> World:
    world = World(spec_of(model, **fields))
    world.settle()
    assert world.status.phase == "Promoted"
    world.phases.clear()
    world.weights_seen.clear()
    world.actions.clear()
    return world


def _weights(action: object) -> list[int]:
    return [arm.weight for arm in action.routing.arms] if isinstance(action, Route) else []


def ready(world: World) -> dict[str, str]:
    return {
        c.type: c.status for c in world.status.conditions if c.type in ("Ready", "Reconciling", "Stalled")
    }


def test_the_first_revision_is_tested_served_and_promoted():
    world = World(spec_of("v1", ci=CI))
    world.settle()
    assert world.phases == ["Testing", "Deploying", "Promoted"]
    assert world.status.stable is not None
    assert world.status.stable.model_uri == "s3://m/v1"
    assert world.status.url == "http://digits.ns"
    assert world.status.ci is not None
    assert world.status.ci.metrics == {"accuracy": 0.95}
    assert world.status.ci.url == f"http://kfp/#/runs/details/{world.status.ci.run_id}"
    assert ready(world) == {"Ready": "True"}
    assert len(world.launched) == 1


def test_a_new_model_goes_through_the_steps_and_is_promoted():
    world = promoted("v1", rollout=STEPS)
    old = world.status.stable
    world.apply(spec_of("v2", rollout=STEPS))
    world.settle()
    assert world.phases == ["Canary", "Promoting", "Promoted"]
    assert [weight for _, weight in world.weights_seen] == [10, 50, 100]
    assert world.status.stable is not None
    assert world.status.stable.model_uri == "s3://m/v2"
    assert world.status.previous == old
    assert [entry.outcome for entry in world.status.history] == ["Promoted", "Promoted"]
    assert any(isinstance(action, Route) and action.routing.ended for action in world.actions)


def test_a_pause_lasts_as_long_as_it_says():
    world = promoted("v1", rollout=STEPS)
    world.apply(spec_of("v2", rollout=STEPS))
    world.step()
    decision = world.step()
    assert (decision.phase, decision.reason, decision.recheck_after) == ("Canary", "Pausing", 30)
    world.now += timedelta(seconds=29)
    assert world.step().reason == "Pausing"
    world.now += timedelta(seconds=1)
    assert world.step().reason == "SettingWeight"


def test_a_failed_verdict_serves_nothing_of_the_model():
    world = promoted("v1")
    world.good = {"s3://m/v2": False}
    world.apply(spec_of("v2", ci=CI))
    world.settle()
    assert (world.status.phase, world.status.reason) == ("Failed", "CIFailed")
    assert "accuracy 0.5 is below the minimum 0.9" in world.status.message
    assert "keeps serving" in world.status.message
    assert world.weights_seen == []
    assert world.status.stable is not None
    assert world.status.stable.model_uri == "s3://m/v1"
    assert ready(world) == {"Ready": "False", "Stalled": "True"}


def test_a_candidate_that_stays_unready_is_rolled_back_at_the_deadline():
    rollout = {**STEPS, "progressDeadline": "2m"}
    world = promoted("v1", rollout=rollout)
    world.startable = {"s3://m/v2": False}
    world.apply(spec_of("v2", rollout=rollout))
    began = world.now
    world.settle(limit=100)
    assert (world.status.phase, world.status.reason) == ("RolledBack", "ProgressDeadlineExceeded")
    assert "CrashLoopBackOff" in world.status.message
    assert world.now - began >= timedelta(minutes=2)
    assert world.served is not None
    assert world.served[1] is None
    assert world.status.candidate is None


def test_the_rejected_revision_is_not_tried_again_until_somebody_asks():
    world = promoted("v1")
    world.good = {"s3://m/v2": False}
    world.apply(spec_of("v2", ci=CI))
    world.settle()
    for _ in range(3):
        world.now += timedelta(hours=1)
        world.step()
    assert len(world.launched) == 1
    assert world.status.reason == "CIFailed"
    world.good = {}
    world.command("retry")
    world.settle()
    assert world.status.phase == "Promoted"
    assert len(world.launched) == 2
    assert world.commands == {}


def test_approval_lets_one_step_pass():
    rollout = {
        "steps": [
            {"setWeight": 10},
            {"approve": {"message": "see Grafana"}},
            {"approve": {}},
            {"setWeight": 100},
        ]
    }
    world = promoted("v1", rollout=rollout)
    world.apply(spec_of("v2", rollout=rollout))
    world.settle()
    assert world.status.phase == "AwaitingApproval"
    assert "see Grafana" in world.status.message
    world.command("approve", "by alice")
    world.settle()
    assert world.status.phase == "AwaitingApproval"
    assert world.status.candidate is not None
    assert world.status.candidate.step == 2
    assert world.commands == {}
    assert any(
        isinstance(a, Notify) and a.reason == "Approved" and "by alice" in a.message for a in world.actions
    )
    world.command("approve")
    world.settle()
    assert world.status.phase == "Promoted"


def test_an_approval_for_another_step_is_dropped():
    rollout = {"steps": [{"setWeight": 10}, {"approve": {}}, {"setWeight": 100}]}
    world = promoted("v1", rollout=rollout)
    world.apply(spec_of("v2", rollout=rollout))
    world.settle()
    assert world.status.candidate is not None
    world.commands["approve"] = f"{world.status.candidate.revision}/7"
    world.settle()
    assert world.status.phase == "AwaitingApproval"
    assert world.commands == {}


def test_a_pause_without_duration_waits_for_approval():
    rollout = {"steps": [{"setWeight": 10}, {"pause": {}}, {"setWeight": 100}]}
    world = promoted("v1", rollout=rollout)
    world.apply(spec_of("v2", rollout=rollout))
    assert world.settle().phase == "Paused"
    world.command("approve")
    assert world.settle().phase == "Promoted"


def test_promote_skips_the_steps_but_not_the_tests():
    world = promoted("v1", rollout=STEPS)
    world.good = {"s3://m/v2": False}
    world.apply(spec_of("v2", rollout=STEPS, ci=CI))
    world.step()
    world.command("promote")
    world.settle()
    assert world.status.reason == "CIFailed"
    world.good = {}
    world.apply(spec_of("v3", rollout=STEPS, ci=CI))
    world.step()
    world.command("promote")
    world.settle()
    assert world.status.phase == "Promoted"
    assert [weight for _, weight in world.weights_seen] == [100]


def test_abort_gives_all_traffic_back():
    world = promoted("v1", rollout=STEPS)
    world.apply(spec_of("v2", rollout=STEPS))
    world.step()
    world.command("abort", "by bob")
    world.settle()
    assert (world.status.phase, world.status.reason) == ("RolledBack", "Aborted")
    assert "by bob" in world.status.message
    assert world.served is not None
    assert world.served[1] is None
    assert world.commands == {}


def test_a_retry_right_behind_an_abort_is_not_aborted_again():
    world = promoted("v1", rollout=STEPS)
    world.apply(spec_of("v2", rollout=STEPS))
    world.step()
    world.command("abort")
    world.step(crash_after=0)
    assert world.status.reason == "Aborted"
    world.command("retry")
    assert "abort" in world.commands
    world.settle()
    assert world.status.phase == "Promoted"
    assert world.commands == {}


def test_a_held_rollout_keeps_its_weight_until_released():
    world = promoted("v1", rollout=STEPS)
    world.apply(spec_of("v2", rollout=STEPS))
    world.step()
    world.command("pause")
    world.settle()
    world.now += timedelta(hours=2)
    decision = world.step()
    assert (decision.phase, decision.reason) == ("Paused", "PausedByCommand")
    assert world.status.candidate is not None
    assert world.status.candidate.weight == 10
    del world.commands["pause"]
    assert world.settle().phase == "Promoted"


def test_a_newer_spec_takes_the_candidates_place_and_stops_its_run():
    world = promoted("v1")
    world.apply(spec_of("v2", ci=CI))
    world.runs = {}
    world.step(crash_after=1)
    first = world.status.ci
    assert first is not None
    world.apply(spec_of("v3", ci=CI))
    world.step()
    assert world.terminated == [first.run_id]
    world.settle()
    assert world.status.stable is not None
    assert world.status.stable.model_uri == "s3://m/v3"
    assert [entry.outcome for entry in world.status.history] == ["Promoted", "Superseded", "Promoted"]


def test_going_back_to_the_stable_spec_ends_the_rollout():
    world = promoted("v1", rollout=STEPS)
    world.apply(spec_of("v2", rollout=STEPS))
    world.step()
    world.apply(spec_of("v1", rollout=STEPS))
    world.settle()
    assert world.status.phase == "Promoted"
    assert world.status.candidate is None
    assert world.served is not None
    assert world.served[1] is None


def test_rollback_brings_the_previous_revision_back_before_the_present_one_goes():
    world = promoted("v1")
    first = world.status.stable
    world.apply(spec_of("v2"))
    world.settle()
    left = world.status.stable
    world.actions.clear()
    world.command("rollback", "DriftDetected: 12 of 64 features")
    world.step()
    assert any(_weights(action) == [0, 100] for action in world.actions)
    world.settle()
    assert (world.status.phase, world.status.reason) == ("RolledBack", "RollbackRequested")
    assert "12 of 64 features" in world.status.message
    assert first is not None
    assert left is not None
    assert world.status.stable is not None
    assert world.status.stable.revision == first.revision
    assert world.status.failed_revision == left.revision
    assert world.status.history[0].revision == left.revision
    assert world.status.history[0].outcome == "RolledBack"
    assert world.commands == {}
    world.now += timedelta(hours=1)
    assert world.settle().phase == "RolledBack"


def test_a_previous_revision_that_cannot_come_back_leaves_the_present_one_serving():
    rollout = {"progressDeadline": "1m"}
    world = promoted("v1", rollout=rollout)
    world.apply(spec_of("v2", rollout=rollout))
    world.settle()
    world.startable = {"s3://m/v1": False}
    world.command("rollback")
    world.settle()
    assert world.status.stable is not None
    assert world.status.stable.model_uri == "s3://m/v2"
    assert world.served is not None
    assert world.served[1] is None


def test_a_rollback_whose_annotation_could_not_be_removed_is_tried_once():
    rollout = {"progressDeadline": "1m"}
    world = promoted("v1", rollout=rollout)
    world.apply(spec_of("v2", rollout=rollout))
    world.settle()
    world.startable = {"s3://m/v1": False}
    world.command("rollback")
    world.step(crash_after=0)
    assert world.commands
    world.settle()
    assert world.commands == {}
    assert [entry.outcome for entry in world.status.history] == ["Failed", "Promoted", "Promoted"]
    assert world.status.stable is not None
    assert world.status.stable.model_uri == "s3://m/v2"


def test_rollback_without_a_previous_revision_says_so_and_is_dropped():
    world = promoted("v1")
    world.command("rollback")
    world.settle()
    assert world.status.phase == "Promoted"
    assert world.commands == {}
    assert any(isinstance(a, Notify) and a.reason == "NothingToRollBackTo" for a in world.actions)


def test_a_first_revision_that_never_starts_is_taken_away():
    world = World(spec_of("v1", rollout={"progressDeadline": "1m"}), startable={"s3://m/v1": False})
    world.settle()
    assert (world.status.phase, world.status.reason) == ("Failed", "ProgressDeadlineExceeded")
    assert world.served is None


@pytest.mark.parametrize(("temporary", "phase"), [(True, "Pending"), (False, "Failed")])
def test_an_unknown_model_leaves_the_stable_revision_serving(temporary: bool, phase: str):
    world = promoted("v1")
    world.model = Unresolved("ModelNotFound", "no version 7", temporary=temporary)
    world.apply(spec_of("v7"))
    decision = world.step()
    assert (decision.phase, decision.reason) == (phase, "ModelNotFound")
    assert "keeps serving" in decision.message
    assert any(_weights(action) == [100] for action in decision.actions)


def test_a_moved_alias_is_a_new_revision_and_an_unchanged_one_is_none():
    from mooring_operator.planning.rollout.situation import Resolved

    world = World(spec_of("v1"), model=Resolved("s3://m/v1", "sha256:" + "1" * 64))
    world.settle()
    revision = world.status.stable and world.status.stable.revision
    world.model = Resolved("s3://elsewhere/v1", "sha256:" + "1" * 64)
    world.settle()
    assert world.status.stable is not None
    assert world.status.stable.revision == revision
    world.model = Resolved("s3://m/v1", "sha256:" + "2" * 64)
    world.settle()
    assert world.status.stable.revision != revision


def test_a_change_of_serving_alone_keeps_the_predictors_name():
    world = promoted("v1")
    assert world.status.stable is not None
    name = world.status.stable.workload
    world.apply(spec_of("v1", serving={"nodeSelector": {"zone": "a"}}))
    world.settle()
    assert world.status.stable.workload == name
    assert world.status.stable.serving == {"nodeSelector": {"zone": "a"}}
    world.apply(spec_of("v1"))
    world.step()
    assert world.status.candidate is not None
    assert world.status.candidate.workload != name


def test_a_refused_service_rolls_the_candidate_back():
    world = promoted("v1", rollout=STEPS)
    world.apply(spec_of("v2", rollout=STEPS))
    world.step()
    refused = replace(world.observe(), refused="admission webhook denied the request: no such runtime")
    decision = plan(world.spec, world.status, refused, world.now)
    assert (decision.phase, decision.reason) == ("RolledBack", "ServiceRefused")
    assert "no such runtime" in decision.message


@pytest.mark.parametrize("made", [False, True], ids=["when it was to be made", "when it was changed"])
def test_what_was_refused_is_not_asked_for_again_after_it_was_rejected(made):
    """It was never there, and keeping its pods for a while would be refused too; what is there leaves as always."""
    fleet = promoted_by_itself("v1", rollout=STEPS)
    fleet.apply(spec_of("v2", rollout=STEPS))
    for _ in range(5):
        fleet.step(crash_after=None if made else 0)
    candidate = fleet.status.candidate
    assert candidate is not None
    assert candidate.runs
    assert (candidate.revision in fleet.observe().service.variants) == made
    refused = replace(fleet.observe(), refused="admission webhook denied the request: workerSpec")
    decision = plan(fleet.spec, fleet.status, refused, fleet.now)
    assert (decision.phase, decision.reason) == ("RolledBack", "ServiceRefused")
    assert "spec.serving" in decision.message
    [routing] = [action.routing for action in decision.actions if isinstance(action, Route)]
    assert (candidate.revision in [arm.revision.revision for arm in routing.arms]) == made


def test_a_run_that_takes_too_long_is_stopped():
    world = World(spec_of("v1", ci={**CI, "timeout": "1m"}))
    world.step()
    from dataclasses import replace

    from mooring_operator.planning.rollout.plan import plan
    from mooring_operator.planning.runs.run import RunState

    assert world.status.ci is not None
    running = replace(world.observe(), run=RunState(world.status.ci.run_id, "Running"), verdict=None)
    late = plan(world.spec, world.status, running, world.now + timedelta(seconds=61))
    assert late.reason == "CITimeout"
    assert TerminateRun(world.status.ci.run_id) in late.actions


def test_names_that_kserve_cannot_use_are_refused_with_the_limit():
    from dataclasses import replace

    from mooring_operator.planning.objects.owner import Owner
    from mooring_operator.planning.rollout.plan import plan

    world = World(spec_of("v1"))
    observed = replace(
        world.observe(), owner=Owner("a-rather-long-namespace", "a-rather-long-model-name", "u", 1)
    )
    decision = plan(world.spec, world.status, observed, world.now)
    assert (decision.phase, decision.reason) == ("Failed", "NameTooLong")
    assert "47 characters together" in decision.message


def test_another_way_of_serving_a_model_that_failed_fails_without_another_run():
    world = promoted("v1")
    world.good = {"s3://m/v2": False}
    world.apply(spec_of("v2", ci=CI, serving={"nodeSelector": {"zone": "a"}}))
    world.settle()
    world.apply(spec_of("v2", ci=CI))
    world.settle()
    assert (world.status.phase, world.status.reason) == ("Failed", "CIFailed")
    assert len(world.launched) == 1


@pytest.mark.parametrize(("rows", "runs"), [("@latest", 2), ("@3", 1), (".parquet", 1)])
def test_the_newest_rows_are_another_question_for_each_revision(rows, runs):
    ci = {**CI, "testData": {"uri": f"s3://data/iris{rows}"}}
    world = promoted("v1")
    world.good = {"s3://m/v2": False}
    world.apply(spec_of("v2", ci=ci, serving={"nodeSelector": {"zone": "a"}}))
    world.settle()
    assert world.status.reason == "CIFailed"
    # Rows that were wrong have been mended, and pushed.
    world.now += timedelta(minutes=5)
    world.good = {}
    world.apply(spec_of("v2", ci=ci))
    world.settle()
    assert len(world.launched) == runs
    assert len(set(world.launched)) == runs


def test_the_newest_rows_are_one_question_of_one_candidate():
    steps = [{"setWeight": 10}, {"pause": {"duration": "1h"}}, {"setWeight": 100}]
    ci = {**CI, "testData": {"uri": "s3://data/iris@latest"}}
    world = promoted("v1")
    world.apply(spec_of("v2", ci=ci, rollout={"steps": steps}))
    for _ in range(30):
        world.step()
        world.now += timedelta(seconds=7)
    assert world.status.candidate.weight == 10
    assert len(world.launched) == 1


def test_a_retry_asks_about_the_newest_rows_again():
    ci = {**CI, "testData": {"uri": "s3://data/iris@latest"}}
    world = promoted("v1")
    world.good = {"s3://m/v2": False}
    world.apply(spec_of("v2", ci=ci))
    world.settle()
    world.good = {}
    world.command("retry")
    world.settle()
    assert world.status.phase == "Promoted"
    assert len(set(world.launched)) == 2


def test_a_model_that_failed_fails_again_after_a_detour():
    world = promoted("v1", ci=CI)
    world.good = {"s3://m/v2": False}
    for model in ("v2", "v1", "v2"):
        world.apply(spec_of(model, ci=CI))
        world.settle()
    assert (world.status.phase, world.status.reason) == ("Failed", "CIFailed")
