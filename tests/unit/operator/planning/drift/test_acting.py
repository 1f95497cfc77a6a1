"""What is done when drift begins: once for each change, and told in status with why."""

from dataclasses import replace
from datetime import timedelta

import pytest
from mooring_operator.api.drift_actions import ActionTaken
from mooring_operator.planning.actions import Notify
from mooring_operator.planning.drift.acting import RequestRollback, RequestStop
from mooring_operator.planning.drift.evaluations import Target

from tests.unit.operator.planning.drift.test_plan import NOW, evaluated, found, spec

ROLLING = Target("digits", "rev2", "rev1", candidate="rev3")
MINUTE = timedelta(minutes=1)


def asked(decision):
    """The commands that a decision gives."""
    return [each for each in decision.actions if isinstance(each, RequestStop)]


def told(decision):
    return [each.reason for each in decision.actions if isinstance(each, Notify)]


def taken(decision):
    return {each.action: (each.state, each.revision) for each in decision.status.actions}


class Monitor:
    """Goes through evaluations a minute apart."""

    def __init__(self, **fields):
        self.spec, self.status, self.now = spec(**fields), None, NOW

    def see(self, *drifted, target=ROLLING):
        decision = evaluated(self.spec, self.status, found(*drifted), target, self.now)
        self.status, self.now = decision.status, self.now + MINUTE
        return decision


@pytest.mark.parametrize(("action", "command"), [("Pause", "pause"), ("Abort", "abort")])
def test_the_rollout_under_way_is_stopped_once_as_drift_begins(action, command):
    monitor = Monitor(actions=[action])
    assert asked(monitor.see()) == []
    first = monitor.see("age")
    [request] = asked(first)
    assert (request.name, request.command, request.revision) == ("digits", command, "rev3")
    assert "age" in request.note
    assert told(first) == ["DriftDetected", "StopRequested"]
    assert taken(first) == {action: ("Asked", "rev3")}
    assert "1 of 11 features drifted" in first.status.actions[0].message
    assert [asked(monitor.see("age")) for _ in range(3)] == [[], [], []]


def test_a_rollout_that_begins_while_drift_lasts_goes_on():
    monitor = Monitor(actions=["Pause"])
    first = monitor.see("age", target=replace(ROLLING, candidate=None))
    assert taken(first) == {"Pause": ("Skipped", "")}
    assert first.status.actions[0].message == "no rollout was under way"
    # It may well be the one that mends it.
    assert asked(monitor.see("age")) == []


def test_drift_that_begins_again_within_the_cool_down_stops_nothing_and_says_so():
    monitor = Monitor(actions=["Pause"], actionCooldown="10m")
    assert asked(monitor.see("age"))
    monitor.see()
    again = monitor.see("age", target=replace(ROLLING, candidate="rev4"))
    assert (asked(again), taken(again)) == ([], {"Pause": ("CoolingDown", "rev4")})
    assert "not again until 2026-03-01T12:10:00Z" in again.status.actions[0].message
    monitor.see()
    monitor.now = NOW + 10 * MINUTE
    assert [each.revision for each in asked(monitor.see("age"))] == ["rev3"]


def test_a_dry_run_says_what_it_would_do():
    decision = Monitor(actions=["Abort"], dryRun=True).see("age")
    assert (asked(decision), taken(decision)) == ([], {"Abort": ("Rehearsed", "rev3")})
    [event] = [each for each in decision.actions if isinstance(each, Notify) and each.reason == "DryRun"]
    assert event.message == "digits would be asked to abort revision rev3"


def test_rollback_and_pause_are_both_done_and_told():
    decision = Monitor(actions=["Pause", "Rollback"]).see("age")
    assert [type(each) for each in decision.actions if not isinstance(each, Notify)] == [
        RequestRollback,
        RequestStop,
    ]
    assert taken(decision) == {"Rollback": ("Asked", "rev2"), "Pause": ("Asked", "rev3")}


def test_a_rollback_that_cannot_be_is_told_in_status():
    decision = Monitor(actions=["Rollback"]).see("age", target=Target("digits", "rev1", None))
    [one] = decision.status.actions
    assert isinstance(one, ActionTaken)
    assert (one.state, "no revision was promoted before it" in one.message) == ("Skipped", True)


def test_nothing_is_stopped_where_it_is_not_listed():
    decision = Monitor().see("age")
    assert (asked(decision), decision.status.actions) == ([], [])
