"""What is done when performance drops, or operation degrades: as of drift, and told with what it was for."""

from dataclasses import replace
from datetime import timedelta

import pytest
from mooring_operator.planning.actions import Notify
from mooring_operator.planning.drift.acting import RequestRollback, RequestStop

from tests.unit.operator.planning.drift.test_operation import Operated, answered
from tests.unit.operator.planning.drift.test_performance import BROKEN, FEW, HOLDS, Judged
from tests.unit.operator.planning.drift.test_plan import found as quiet


class Recorded:
    """Keeps what a ModelDeployment is asked for, and why."""

    def look(self, result=None):
        decision = super().look(result)
        self.asked = [
            *getattr(self, "asked", []),
            *(each for each in decision.actions if isinstance(each, RequestRollback | RequestStop)),
        ]
        self.rehearsed = [
            *getattr(self, "rehearsed", []),
            *(
                each.message
                for each in decision.actions
                if isinstance(each, Notify) and each.reason == "DryRun"
            ),
        ]
        return decision

    @property
    def taken(self):
        return {each.action: (each.cause, each.state, each.revision) for each in self.status.actions}


class Performing(Recorded, Judged):
    pass


class Operating(Recorded, Operated):
    pass


def rolling(monitor, candidate="rev3"):
    monitor.target = replace(monitor.target, candidate=candidate)
    return monitor


def test_a_drop_asks_for_a_rollback_once_and_says_what_for():
    monitor = Performing(actions=["Rollback"])
    for performance in (HOLDS, BROKEN, BROKEN, HOLDS, BROKEN):
        monitor.see(performance)
    [request] = monitor.asked
    assert (request.name, request.revision) == ("digits", "rev2")
    assert request.note.startswith("PerformanceDropped: accuracy is 0.8 and was 0.93")
    assert monitor.taken == {"Rollback": ("Performance", "Asked", "rev2")}
    assert monitor.status.actions[0].message.startswith("accuracy is 0.8")
    assert "RollbackRequested" not in monitor.told


@pytest.mark.parametrize(("action", "command"), [("Pause", "pause"), ("Abort", "abort")])
def test_errors_stop_the_rollout_that_is_under_way_as_they_begin(action, command):
    monitor = rolling(Operating(actions=[action]))
    for errors in (0, 300, 300, 300):
        monitor.answer(answered(errors=errors))
    [request] = monitor.asked
    assert (request.command, request.revision) == (command, "rev3")
    assert request.note.startswith("OperationDegraded: 300 of 1000 requests failed")
    assert monitor.taken == {action: ("Operation", "Asked", "rev3")}


def test_a_rollout_that_begins_while_errors_last_goes_on():
    monitor = Operating(actions=["Pause"])
    monitor.answer(answered(errors=300))
    assert monitor.taken == {"Pause": ("Operation", "Skipped", "")}
    rolling(monitor).answer(answered(errors=300))
    assert monitor.asked == []


def test_what_is_not_listed_is_not_done():
    monitor = rolling(Performing())
    monitor.see(BROKEN)
    assert (monitor.asked, monitor.status.actions) == ([], [])
    # Actions on drift are those alone.
    monitor = rolling(Performing())
    monitor.spec = monitor.spec.model_copy(update={"actions": ["Rollback", "Pause"]})
    monitor.see(BROKEN)
    assert (monitor.asked, monitor.status.actions) == ([], [])
    monitor = rolling(Performing(actions=["Rollback", "Pause"]))
    monitor.see(HOLDS, quiet("age"))
    assert monitor.status.phase == "Drifted"
    assert monitor.asked == []


def test_a_dry_run_says_what_would_be_done_and_it_is_done_when_it_is_meant():
    monitor = Performing(actions=["Rollback"])
    monitor.spec = monitor.spec.model_copy(update={"dry_run": True})
    monitor.see(BROKEN)
    monitor.see(BROKEN)
    assert monitor.asked == []
    assert monitor.rehearsed == ["digits would be asked to leave revision rev2"]
    assert monitor.taken == {"Rollback": ("Performance", "Rehearsed", "rev2")}
    monitor.spec = monitor.spec.model_copy(update={"dry_run": False})
    monitor.look()
    assert [each.revision for each in monitor.asked] == ["rev2"]


def test_drift_and_a_drop_at_once_ask_for_one_rollback_and_one_pause():
    monitor = rolling(Performing(actions=["Rollback", "Pause"]))
    monitor.spec = monitor.spec.model_copy(update={"actions": ["Rollback", "Pause"]})
    monitor.see(BROKEN, quiet("age"))
    assert [type(each) for each in monitor.asked] == [RequestRollback, RequestStop]
    assert monitor.taken == {"Rollback": ("Drift", "Asked", "rev2"), "Pause": ("Drift", "Asked", "rev3")}


def test_the_cool_down_of_a_pause_is_of_whatever_asks_for_it():
    monitor = rolling(Performing(actions=["Pause"]))
    for performance in (BROKEN, HOLDS, BROKEN):
        monitor.see(performance)
    assert len(monitor.asked) == 1
    assert monitor.taken == {"Pause": ("Performance", "CoolingDown", "rev3")}
    monitor.see(HOLDS)
    monitor.now += timedelta(hours=1)
    monitor.see(BROKEN)
    assert len(monitor.asked) == 2


def test_few_labels_are_no_drop_and_another_revision_is_not_to_blame():
    monitor = Performing(actions=["Rollback"])
    monitor.see(FEW)
    assert monitor.asked == []
    monitor.promote("rev3")
    monitor.look()
    assert monitor.asked == []


def test_a_suspended_monitor_asks_for_nothing():
    monitor = Performing()
    monitor.see(BROKEN)
    performance = monitor.spec.performance.model_copy(update={"actions": ["Rollback"]})
    monitor.spec = monitor.spec.model_copy(update={"performance": performance, "suspend": True})
    monitor.look()
    assert monitor.asked == []
    monitor.spec = monitor.spec.model_copy(update={"suspend": False})
    monitor.look()
    assert len(monitor.asked) == 1
