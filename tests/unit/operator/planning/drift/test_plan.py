"""What a DriftMonitor does with what was found, and with the run that finds it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mooring_operator.api import DriftMonitorSpec, DriftMonitorStatus
from mooring_operator.api.drift_findings import FeatureDrift
from mooring_operator.api.drift_slices import SliceFound
from mooring_operator.planning.actions import Notify, TerminateRun
from mooring_operator.planning.drift.acting import RequestRollback
from mooring_operator.planning.drift.evaluations import DriftObserved, Findings, NoFindings, Target, due
from mooring_operator.planning.drift.plan import LaunchEvaluation, plan_drift
from mooring_operator.planning.objects.owner import Owner
from mooring_operator.planning.runs.run import RunState

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TARGET = Target("digits", "rev2", "rev1")
OWNER = Owner("team", "traffic", "9a1f2f6e-0000-4000-8000-000000000000", 1)
SEEN = DriftObserved(OWNER, TARGET)


def spec(**fields):
    return DriftMonitorSpec.model_validate(
        {
            "target": {"name": "digits"},
            "baseline": {"uri": "s3://b/base"},
            "window": {"uri": "s3://b/window"},
            "interval": "1m",
            **fields,
        }
    )


def found(*drifted, quiet=10):
    features = [FeatureDrift(name=name, drifted=True, reason="distance 0.3") for name in drifted]
    features += [FeatureDrift(name=f"q{index}", drifted=False) for index in range(quiet)]
    return Findings(1000, 400, "sha256:x", tuple(features))


def conditions(status):
    """The conditions, but for what says how large the baseline is."""
    return {each.type: each.status for each in status.conditions if each.type != "BaselineValid"}


def begun(spec, status=None, target=TARGET, now=NOW, generation=1):
    """The status after the pass that begins an evaluation."""
    observed = replace(SEEN, target=target, owner=replace(OWNER, generation=generation))
    return plan_drift(spec, status or DriftMonitorStatus(), observed, now).status


def evaluated(spec, status, result, target=TARGET, now=NOW, began=None):
    """The decision on an evaluation that began before and came to `result`."""
    status = begun(spec, status, began or target, now)
    run = RunState(status.run.run_id, "Succeeded")
    return plan_drift(spec, status, replace(SEEN, target=target, run=run, result=result), now)


def test_quiet_traffic_is_watched_and_looked_at_again_after_the_interval():
    decision = evaluated(spec(), None, found())
    assert (decision.status.phase, decision.status.reason) == ("Watching", "NoDrift")
    assert conditions(decision.status) == {"Ready": "True", "Drifted": "False"}
    assert decision.status.next_evaluation == NOW + timedelta(minutes=1)
    assert decision.recheck_after == 60
    assert decision.status.evaluation is not None
    assert decision.status.evaluation.revision == "rev2"


def test_the_page_of_a_job_is_linked_where_there_is_one():
    page = "s3://b/team/traffic/drift/1/report.html"
    for address in (page, ""):
        decision = evaluated(spec(), None, replace(found(), page=address))
        assert decision.status.evaluation.report_url == address


def test_drift_is_healthy_monitoring_and_told_once():
    first = evaluated(spec(), None, found("age", "income"))
    assert conditions(first.status) == {"Ready": "True", "Drifted": "True"}
    assert "2 of 12 features drifted over 400 rows: age, income" in first.status.message
    assert [a.reason for a in first.actions if isinstance(a, Notify)] == ["DriftDetected"]
    later = NOW + timedelta(minutes=1)
    assert evaluated(spec(), first.status, found("age", "income"), now=later).actions == ()


def sliced(*where, quiet=10):
    """What was found where `age` drifted in these slices, the empty one being all rows."""
    features = [FeatureDrift(name="age", slice=one, drifted=True) for one in where]
    features += [FeatureDrift(name=f"q{index}", drifted=False) for index in range(quiet)]
    told = [
        SliceFound(name="dach", baseline_rows=90, window_rows=60, features_drifted=1),
        SliceFound(name="new", baseline_rows=90, window_rows=6, message="the window has 6 rows of it"),
    ]
    return Findings(1000, 400, "sha256:x", tuple(features), slices=tuple(told))


def test_drift_in_a_slice_alone_is_drift_and_names_it():
    decision = evaluated(spec(actions=["Rollback"]), None, sliced("dach"))
    assert conditions(decision.status) == {"Ready": "True", "Drifted": "True"}
    assert decision.status.message == (
        "1 of 11 features drifted over 400 rows: age in slice dach; slices not compared: new"
    )
    assert [type(each) for each in decision.actions if isinstance(each, RequestRollback)]
    evaluation = decision.status.evaluation
    assert (evaluation.features_drifted, evaluation.features_tested) == (1, 11)
    assert [(one.name, one.features_drifted) for one in evaluation.slices] == [("dach", 1), ("new", 0)]
    assert evaluation.drifted_names == ["age"]


def test_a_feature_that_drifted_in_several_slices_is_one_feature():
    everywhere = sliced("", "dach", "west")
    assert evaluated(spec(driftedFeatures=2), None, everywhere).status.phase == "Watching"
    assert evaluated(spec(driftedFeatures=1), None, everywhere).status.phase == "Drifted"


def test_slices_that_were_not_compared_are_told_in_quiet_times():
    decision = evaluated(spec(), None, sliced())
    assert decision.status.phase == "Watching"
    assert decision.status.message == "0 of 10 features drifted over 400 rows; slices not compared: new"


def test_a_rollback_is_asked_for_once_for_a_revision():
    rollback = spec(actions=["Rollback"])
    first = evaluated(rollback, None, found("age"))
    [request] = [a for a in first.actions if isinstance(a, RequestRollback)]
    assert (request.name, request.revision) == ("digits", "rev2")
    assert "age" in request.note
    later = NOW + timedelta(minutes=1)
    again = evaluated(rollback, first.status, found("age"), now=later)
    assert not [a for a in again.actions if isinstance(a, RequestRollback)]
    newer, last = Target("digits", "rev3", "rev1"), NOW + timedelta(minutes=2)
    third = evaluated(rollback, again.status, found("age"), newer, last)
    assert [a.revision for a in third.actions if isinstance(a, RequestRollback)] == ["rev3"]


def test_without_a_previous_revision_the_rollback_is_skipped_and_told():
    decision = evaluated(spec(actions=["Rollback"]), None, found("age"), Target("digits", "rev1", None))
    assert not [a for a in decision.actions if isinstance(a, RequestRollback)]
    assert "RollbackSkipped" in [a.reason for a in decision.actions if isinstance(a, Notify)]


def test_fewer_drifted_features_than_asked_for_are_no_drift():
    decision = evaluated(spec(driftedFeatures=3), None, found("a", "b"))
    assert decision.status.phase == "Watching"


def test_too_few_rows_are_no_fault_and_keep_the_last_finding():
    drifting = evaluated(spec(), None, found("age")).status
    little = NoFindings("InsufficientData", "the window has 3 rows", quiet=True)
    decision = evaluated(spec(), drifting, little, now=NOW + timedelta(minutes=1))
    assert conditions(decision.status) == {"Ready": "True", "Drifted": "True"}
    assert decision.status.reason == "InsufficientData"


def test_monitoring_that_fails_says_so():
    broken = NoFindings("BaselineUnreadable", "spec.baseline.uri 's3://b/base' does not exist")
    decision = evaluated(spec(), None, broken)
    assert conditions(decision.status) == {"Ready": "False", "Stalled": "True"}
    assert decision.recheck_after == 60
    missing = plan_drift(spec(), DriftMonitorStatus(), replace(SEEN, target=None), NOW)
    assert (missing.status.reason, missing.recheck_after) == ("TargetNotFound", 60)


def test_an_evaluation_is_due_by_the_interval_or_by_a_new_spec():
    status = evaluated(spec(), None, found()).status
    assert not due(spec(), status, 1, NOW + timedelta(seconds=59))
    assert due(spec(), status, 1, NOW + timedelta(seconds=60))
    assert due(spec(), status, 2, NOW)
    assert not due(spec(suspend=True), status, 2, NOW)
    waiting = plan_drift(spec(), status, SEEN, NOW + timedelta(seconds=20))
    assert (waiting.status, waiting.actions, waiting.recheck_after) == (status, (), 40)


# --- the run ------------------------------------------------------------------------------------


class Monitor:
    """One DriftMonitor whose run a test plays."""

    def __init__(self, **fields):
        self.spec, self.now, self.status = spec(**fields), NOW, DriftMonitorStatus()
        self.begun = self.look()

    def look(self, after=timedelta(), **seen):
        self.now += after
        decision = plan_drift(self.spec, self.status, replace(SEEN, **seen), self.now)
        self.status = decision.status
        return decision

    def see(self, phase, after=timedelta(), **fields):
        observed = {name: fields.pop(name) for name in ("result", "longest_run", "target") if name in fields}
        return self.look(after, run=RunState(self.run_id, phase, **fields), **observed)

    @property
    def run_id(self):
        return self.status.run.run_id


def test_the_run_stands_in_status_before_it_is_launched():
    monitor = Monitor()
    assert monitor.begun.actions == (LaunchEvaluation(monitor.status.run),)
    assert (monitor.status.phase, monitor.status.reason) == ("Pending", "Evaluating")
    assert conditions(monitor.status) == {"Ready": "Unknown", "Reconciling": "True"}
    # A crash before the launch: the same run is launched.
    first = monitor.run_id
    assert monitor.look().actions == (LaunchEvaluation(monitor.status.run),)
    assert monitor.run_id == first


def test_one_interval_has_one_run_whoever_asks():
    ids = {Monitor().run_id for _ in range(3)}
    assert len(ids) == 1
    monitor = Monitor()
    monitor.see("Succeeded", result=found())
    assert monitor.look(timedelta(minutes=1)).actions == (LaunchEvaluation(monitor.status.run),)
    assert monitor.run_id not in ids


def test_what_was_found_stays_said_while_the_next_run_goes_on():
    monitor = Monitor()
    monitor.see("Succeeded", result=found("age"))
    told = conditions(monitor.status)
    monitor.look(timedelta(minutes=1))
    assert monitor.see("Running").actions == ()
    assert (monitor.status.phase, conditions(monitor.status)) == ("Drifted", told)


def test_a_run_that_ends_without_a_document_is_believed_when_seen_twice():
    monitor = Monitor()
    first = monitor.see("Failed", message="its pod failed")
    assert (first.status.phase, first.recheck_after) == ("Pending", 5.0)
    monitor.see("Running", timedelta(seconds=4))
    assert monitor.see("Failed", timedelta(seconds=4)).status.phase == "Pending"
    decision = monitor.see("Failed", timedelta(seconds=5), message="its pod failed")
    assert (decision.status.phase, decision.status.reason) == ("Failed", "EvaluationFailed")
    assert "its pod failed" in decision.status.message
    assert decision.status.run is None
    assert decision.status.next_evaluation == monitor.now + timedelta(minutes=1)


def test_findings_of_a_run_that_failed_are_none():
    monitor = Monitor()
    assert monitor.see("Failed", result=found("age")).status.phase == "Pending"
    decision = monitor.see("Failed", result=NoFindings("TooLarge", "8 GiB"))
    assert (decision.status.phase, decision.status.reason) == ("Failed", "TooLarge")


@pytest.mark.parametrize(
    ("timeout", "longest", "said"),
    [
        ("5m", timedelta(hours=1), "spec.timeout allows"),
        ("99999h", timedelta(minutes=5), "the administrator"),
    ],
)
def test_a_run_is_stopped_after_its_time_and_another_made_after_the_interval(timeout, longest, said):
    monitor = Monitor(timeout=timeout)
    first = monitor.run_id
    assert monitor.see("Running", timedelta(minutes=5), longest_run=longest).status.phase == "Pending"
    decision = monitor.see("Running", timedelta(seconds=1), longest_run=longest)
    assert (decision.status.reason, said in decision.status.message) == ("EvaluationTimeout", True)
    assert TerminateRun(first) in decision.actions
    still = {first: RunState(first, "Running")}
    assert TerminateRun(first) in monitor.look(timedelta(seconds=15), abandoned=still).actions
    assert monitor.look(timedelta(seconds=15), abandoned={first: None}).actions == ()
    assert monitor.look(timedelta(seconds=30)).status.run.run_id != first


def test_a_run_that_waits_for_its_turn_spends_no_time():
    monitor = Monitor(timeout="5m")
    decision = monitor.see("Pending", timedelta(hours=5), queued=True)
    assert (decision.status.run is not None, decision.recheck_after) == (True, 5.0)
    assert monitor.see("Running", timedelta(minutes=5), started_at=monitor.now).status.run is not None


def test_a_run_that_the_backend_ended_for_its_time_is_a_timeout():
    ended = NoFindings("EvaluationFailed", "Terminated: the run was ended by SIGTERM")
    decision = Monitor().see("Failed", timed_out=True, message="it ran for longer than 60 s", result=ended)
    assert decision.status.reason == "EvaluationTimeout"


def test_a_run_that_is_gone_is_made_again_after_the_interval():
    monitor = Monitor()
    monitor.see("Running")
    decision = monitor.look()
    assert (decision.status.reason, decision.status.run) == ("EvaluationUnavailable", None)
    assert monitor.look(timedelta(seconds=59)).status.run is None
    assert monitor.look(timedelta(seconds=1)).status.run is not None


def test_a_launch_that_fails_is_said_and_tried_again_after_the_interval():
    monitor = Monitor()
    first = monitor.run_id
    decision = monitor.look(launch_failed="KFP answered 500")
    assert (decision.status.phase, decision.status.reason) == ("Failed", "EvaluationUnavailable")
    assert "KFP answered 500" in decision.status.message
    # It may run all the same.
    assert TerminateRun(first) in decision.actions


@pytest.mark.parametrize("change", [{"suspend": True}, {"minRows": 50}, None])
def test_a_run_whose_question_nobody_asks_any_more_is_stopped(change):
    monitor = Monitor()
    first = monitor.run_id
    monitor.see("Running")
    if change is None:
        decision = monitor.look(target=None)
    else:
        monitor.spec = spec(**change)
        decision = monitor.look(owner=replace(OWNER, generation=2), run=RunState(first, "Running"))
    assert TerminateRun(first) in decision.actions
    launched = [action.run.run_id for action in decision.actions if isinstance(action, LaunchEvaluation)]
    assert len(launched) == (change == {"minRows": 50})
    assert first not in launched


def test_files_of_whatever_pod_reads_them_are_for_development():
    rows = {"baseline": {"uri": "file:///etc/passwd"}}
    decision = plan_drift(spec(**rows), DriftMonitorStatus(), SEEN, NOW)
    assert (decision.status.phase, decision.status.reason) == ("Failed", "AddressNotAllowed")
    assert "spec.baseline.uri 'file:///etc/passwd'" in decision.status.message
    allowed = plan_drift(spec(**rows), DriftMonitorStatus(), replace(SEEN, file_addresses=True), NOW)
    assert allowed.status.run is not None


def test_the_traffic_of_a_revision_that_was_left_meanwhile_asks_for_no_rollback():
    newer = Target("digits", "rev3", "rev2")
    decision = evaluated(spec(actions=["Rollback"]), None, found("age"), newer, began=TARGET)
    assert decision.status.evaluation.revision == "rev2"
    assert not [action for action in decision.actions if isinstance(action, RequestRollback)]


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["Pending", "Running", "Succeeded", "Failed", "Canceled", None]),
            st.integers(0, 90),
            st.sampled_from([None, "found", "failure"]),
            st.booleans(),
        ),
        max_size=15,
    )
)
def test_whatever_the_backend_tells_a_run_is_made_once_and_findings_are_of_a_success(story):
    monitor = Monitor()
    launched = [monitor.run_id]
    for phase, seconds, wrote, fails in story:
        before = monitor.status
        run = None if phase is None or before.run is None else RunState(before.run.run_id, phase)
        result = {None: None, "found": found("age"), "failure": NoFindings("TooLarge", "much")}[wrote]
        decision = monitor.look(
            timedelta(seconds=seconds),
            run=run,
            result=result if run is not None else None,
            launch_failed="no" if fails and before.run is not None else None,
        )
        launched += [a.run.run_id for a in decision.actions if isinstance(a, LaunchEvaluation)]
        if decision.status.evaluation != before.evaluation:
            assert (phase, wrote) == ("Succeeded", "found")
        # Planning again on the result, with nothing observed anew, launches nothing else.
        again = plan_drift(monitor.spec, monitor.status, SEEN, monitor.now)
        new = [a.run.run_id for a in again.actions if isinstance(a, LaunchEvaluation)]
        assert set(new) <= {monitor.status.run.run_id} if monitor.status.run else new == []
    assert len(set(launched)) <= 1 + len(story)
