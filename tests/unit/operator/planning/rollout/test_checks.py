"""Steps that start a check: started once, waited for, gone by, and stopped when nobody waits any more."""

from dataclasses import replace
from datetime import timedelta

import pytest
from mooring_operator.api import reasons
from mooring_operator.planning.checks import CheckProblem
from mooring_operator.planning.rollout.actions import StartCheck, StopCheck
from mooring_operator.planning.rollout.plan import plan

from tests.unit.operator.planning.fleet import promoted
from tests.unit.operator.planning.world import spec_of

JOB = {"job": {"image": "smoke", "timeout": "2m"}}
WEBHOOK = {"webhook": {"url": "https://gates.example.com/go", "timeout": "2m"}}


def rollout(check, **changes):
    [[kind, says]] = check.items()
    return {"steps": [{"setWeight": 20}, {kind: {**says, **changes}}, {"setWeight": 100}]}


def checking(check=JOB, model="v2", **changes):
    """A candidate whose check goes on."""
    fleet = promoted()
    fleet.finds = None
    fleet.apply(spec_of(model, rollout=rollout(check, **changes)))
    for _ in range(12):
        fleet.step()
        fleet.now += timedelta(seconds=1)
    assert fleet.status.reason == reasons.CHECKING
    return fleet


@pytest.mark.parametrize("check", [JOB, WEBHOOK], ids=["job", "webhook"])
def test_a_check_is_started_once_with_what_it_is_about(check):
    fleet = checking(check)
    candidate = fleet.status.candidate
    [check_id] = fleet.checked
    question = fleet.checks[check_id]
    assert (question.candidate.revision, question.candidate.weight) == (candidate.revision, 20)
    assert question.stable.revision == fleet.status.stable.revision
    assert (candidate.check.id, candidate.check.kind, candidate.check.step) == (check_id, *check, 1)
    assert candidate.check.seen_at is not None
    assert fleet.weights() == {"v1": 80, "v2": 20}


def test_a_check_that_passes_lets_the_rollout_go_on():
    fleet = checking()
    fleet.finds = "Pass"
    decision = fleet.step()
    assert [a.reason for a in decision.actions if hasattr(a, "reason")] == [
        reasons.CHECK_PASSED,
        "SettingWeight",
    ]
    assert fleet.status.candidate.check.outcome == "Pass"
    assert fleet.status.candidate.check.message == "it says Pass"
    fleet.settle()
    assert fleet.status.phase == "Promoted"
    assert len(fleet.checked) == 1
    assert fleet.stopped == []


@pytest.mark.parametrize(
    ("finds", "reason"), [("Fail", reasons.CHECK_FAILED), ("Insufficient", reasons.CHECK_INSUFFICIENT)]
)
def test_a_check_that_does_not_pass_rolls_back_and_says_why(finds, reason):
    fleet = checking()
    fleet.finds = finds
    fleet.settle()
    assert (fleet.status.phase, fleet.status.reason) == ("RolledBack", reason)
    assert f"it says {finds}" in fleet.status.message
    assert f"it says {finds}" in fleet.status.history[0].message
    assert fleet.weights() == {"v1": 100}


@pytest.mark.parametrize("finds", ["Fail", "Insufficient"])
def test_a_check_that_does_not_pass_may_leave_it_to_a_person(finds):
    fleet = checking(onFailure="Pause")
    fleet.finds = finds
    fleet.settle()
    assert (fleet.status.phase, fleet.status.reason) == ("Paused", reasons.PAUSED_BY_CHECK)
    assert fleet.weights() == {"v1": 80, "v2": 20}
    fleet.command("approve", by="bob")
    fleet.settle()
    assert fleet.status.phase == "Promoted"
    assert fleet.status.history[0].approved_by == "bob"


def test_an_approval_from_before_the_failure_does_not_count():
    fleet = checking(onFailure="Pause")
    fleet.command("approve", by="bob")
    fleet.finds = "Fail"
    fleet.settle()
    assert fleet.status.reason == reasons.PAUSED_BY_CHECK
    assert fleet.commands == {}


@pytest.mark.parametrize("command", ["abort", "promote"])
def test_a_check_is_stopped_when_a_person_decides(command):
    fleet = checking()
    fleet.command(command)
    fleet.step()
    assert fleet.stopped == fleet.checked
    fleet.settle()
    assert fleet.status.phase == {"abort": "RolledBack", "promote": "Promoted"}[command]
    [run] = fleet.status.abandoned_runs
    assert (run.run_id, run.check, run.ended) == (fleet.checked[0], True, True)


def test_a_check_is_stopped_when_another_revision_takes_its_place_and_asked_anew_for_that():
    fleet = checking()
    fleet.apply(spec_of("v3", rollout=rollout(JOB)))
    fleet.step()
    fleet.finds = "Pass"
    fleet.settle()
    assert fleet.stopped == fleet.checked[:1]
    assert len(fleet.checked) == 2
    assert fleet.weights() == {"v3": 100}


def test_a_check_is_stopped_though_the_operator_crashed_before_it_could():
    fleet = checking()
    fleet.command("abort")
    fleet.step(crash_after=0)
    assert fleet.stopped == []
    fleet.step()
    assert fleet.stopped == fleet.checked


def test_a_revision_that_comes_back_is_checked_anew():
    fleet = checking()
    fleet.apply(spec_of("v3", rollout=rollout(JOB)))
    fleet.step()
    fleet.apply(spec_of("v2", rollout=rollout(JOB)))
    fleet.finds = "Pass"
    fleet.settle()
    assert len(set(fleet.checked)) == len(fleet.checked) == 2
    assert fleet.weights() == {"v2": 100}


def test_an_edited_step_is_another_check():
    fleet = checking()
    fleet.apply(spec_of("v2", rollout=rollout(JOB, args=["--all"])))
    fleet.step()
    fleet.finds = "Pass"
    fleet.settle()
    assert len(fleet.checked) == 2
    assert fleet.stopped == fleet.checked[:1]


def test_a_check_that_somebody_deleted_is_asked_again():
    fleet = checking()
    fleet.checks.clear()
    fleet.step()
    fleet.finds = "Pass"
    fleet.settle()
    assert len(fleet.checked) == 2
    assert fleet.status.phase == "Promoted"


def test_a_check_that_never_ends_has_found_nothing_out_and_is_stopped():
    fleet = checking()
    fleet.now += timedelta(minutes=7, seconds=1)
    fleet.step()
    assert fleet.status.reason == reasons.CHECK_INSUFFICIENT
    fleet.step()
    assert fleet.stopped[:1] == fleet.checked


@pytest.mark.parametrize("held", [False, True])
def test_a_check_counts_though_nobody_looked_for_long(held):
    fleet = checking()
    if held:
        fleet.command("pause")
        fleet.step()
    fleet.now += timedelta(hours=3)
    fleet.finds = "Pass"
    fleet.commands.clear()
    fleet.settle()
    assert fleet.status.phase == "Promoted"
    assert len(fleet.checked) == 1


def test_what_cannot_be_started_is_said_and_tried_again():
    fleet = promoted()
    fleet.apply(spec_of("v2", rollout=rollout(JOB)))
    while not any(isinstance(action, StartCheck) for action in fleet.step(crash_after=0).actions):
        for action in plan(fleet.spec, fleet.status, fleet.observe(), fleet.now).actions:
            fleet._do(action)
        fleet.now += timedelta(seconds=1)
    for final, reason in ((False, reasons.CHECKING), (True, reasons.CHECK_INSUFFICIENT)):
        problem = CheckProblem("exceeded quota", final)
        seen = replace(fleet.observe(), check=None, check_problem=problem)
        decision = plan(fleet.spec, fleet.status, seen, fleet.now)
        assert decision.reason == reason
        assert "exceeded quota" in decision.message
        assert not any(isinstance(action, StartCheck) for action in decision.actions)
        if not final:
            # To try again is no news: nothing is written until it is known better.
            again = plan(fleet.spec, decision.status, replace(seen, check_problem=None), fleet.now)
            assert again.status == decision.status
            assert any(isinstance(action, StartCheck) for action in again.actions)


def test_a_held_rollout_starts_no_check():
    fleet = promoted()
    fleet.apply(spec_of("v2", rollout=rollout(JOB)))
    fleet.step()
    fleet.command("pause")
    for _ in range(10):
        fleet.step()
    assert fleet.status.reason == reasons.PAUSED_BY_COMMAND
    assert fleet.checked == []


def test_a_first_revision_has_no_steps_and_no_checks():
    fleet = promoted("v1", rollout=rollout(JOB))
    assert fleet.checked == []


def test_a_check_may_come_before_anything_runs():
    fleet = promoted()
    fleet.finds = "Fail"
    fleet.apply(spec_of("v2", rollout={"steps": [WEBHOOK, {"setWeight": 100}]}))
    fleet.settle()
    assert fleet.status.reason == reasons.CHECK_FAILED
    assert fleet.running() == {"v1": 1}
    assert fleet.status.phase == "Failed"


def test_nothing_is_stopped_that_has_ended_by_itself():
    fleet = checking()
    fleet.finds = "Fail"
    decisions = [fleet.step() for _ in range(3)]
    assert not any(isinstance(action, StopCheck) for decision in decisions for action in decision.actions)
