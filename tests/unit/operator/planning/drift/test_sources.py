"""Windows of what the target keeps: each is evaluated once, after its end, while its revision serves."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mooring_artifacts.drift_question import parse_question
from mooring_operator.api import DriftMonitorSpec, DriftMonitorStatus
from mooring_operator.api.drift_findings import FeatureDrift
from mooring_operator.api.drift_rows import Sought
from mooring_operator.planning.drift.acting import RequestRollback
from mooring_operator.planning.drift.evaluations import DriftObserved, Findings, NoFindings, Target
from mooring_operator.planning.drift.pace import delay_of
from mooring_operator.planning.drift.plan import LaunchEvaluation, Notify, plan_drift
from mooring_operator.planning.drift.sources import MOST_FAILURES, Kept
from mooring_operator.planning.drift.windows import MOST_BEHIND
from mooring_operator.planning.objects.owner import Owner
from mooring_operator.planning.runs.run import RunState
from mooring_operator.reconcile.drift_runs import ask

MINUTE = timedelta(minutes=1)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
OWNER = Owner("team", "traffic", "9a1f2f6e-0000-4000-8000-000000000000", 1)
KEPT = Kept(since=NOON - timedelta(days=2), store="s3://captured/team")
FOLDER = "s3://captured/team/deployment=digits/revision=rev2"
QUIET = NoFindings("InsufficientData", "the window has 3 rows", quiet=True)
BROKEN = NoFindings("WindowUnreadable", "is damaged")


def found(drifted=False, e_value=1.0):
    feature = FeatureDrift(name="age", drifted=drifted, e_value=e_value)
    return Findings(1000, 400, "sha256:0", (feature,))


class Monitor:
    """A monitor of what digits keeps, in windows of ten minutes, and the time."""

    def __init__(self, *, kept=KEPT, now=NOON, **fields):
        given = {
            "target": {"name": "digits"},
            "baseline": {"uri": "s3://b/base"},
            "interval": "10m",
            **fields,
        }
        self.spec = DriftMonitorSpec.model_validate({k: v for k, v in given.items() if v is not None})
        self.status, self.now, self.generation = DriftMonitorStatus(), now, 1
        self.target = Target("digits", "rev2", "rev1", kept)
        self.windows, self.ids, self.told = [], [], []

    def promote(self, revision):
        self.target = replace(
            self.target, stable=revision, previous="rev2", kept=replace(self.target.kept, since=self.now)
        )

    def look(self, result=None):
        """Look once; a run that was launched before ends with `result`."""
        run = self.status.run
        seen = RunState(run.run_id, "Succeeded") if run is not None and result is not None else None
        owner = replace(OWNER, generation=self.generation)
        pages = "https://kfp.example/#/runs/details/"
        observed = DriftObserved(owner, self.target, run=seen, result=result, run_pages=pages)
        decision = plan_drift(self.spec, self.status, observed, self.now)
        self.status = DriftMonitorStatus.model_validate(decision.status.model_dump())
        for action in decision.actions:
            if isinstance(action, LaunchEvaluation):
                self.ids.append(action.run.run_id)
                if action.run.window is not None:
                    self.windows.append((action.run.window.since, action.run.window.until))
            if isinstance(action, Notify):
                self.told.append(action.reason)
        return decision

    def pass_time(self, duration, result=None, step=MINUTE):
        """Look every minute; each run ends at the next look."""
        end = self.now + duration
        while self.now < end:
            self.look(result or found())
            self.now += step
        return self

    @property
    def starts(self):
        return [f"{since:%H:%M}" for since, _ in self.windows]


def test_each_stretch_of_the_interval_is_a_window_and_waits_for_late_rows():
    monitor = Monitor().pass_time(timedelta(minutes=35))
    # 12:00 and the grace of two minutes: 11:40 is the last whole window whose rows have come.
    assert monitor.starts == ["11:40", "11:50", "12:00", "12:10", "12:20"]
    assert monitor.windows[0][1] - monitor.windows[0][0] == timedelta(minutes=10)
    assert len(set(monitor.ids)) == len(monitor.ids)
    assert monitor.status.evaluation.window_until == NOON + timedelta(minutes=30)


def test_a_run_says_where_the_rows_are():
    monitor = Monitor()
    monitor.look()
    assert monitor.status.run.window.uri == FOLDER
    assert monitor.status.run.baseline is None


def test_the_report_of_an_evaluation_is_linked():
    monitor = Monitor().pass_time(timedelta(minutes=2))
    assert monitor.status.run is None
    assert monitor.status.evaluation.report_url == f"https://kfp.example/#/runs/details/{monitor.ids[0]}"


def test_a_look_too_early_says_when_to_come_again():
    monitor = Monitor()
    monitor.look()
    monitor.look(found())
    delay = delay_of(monitor.spec, OWNER.uid)
    assert monitor.look().recheck_after == 120.0 + delay.total_seconds()
    assert monitor.status.next_evaluation == NOON + timedelta(minutes=2) + delay
    assert (monitor.status.phase, monitor.status.reason) == ("Watching", "NoDrift")


@settings(max_examples=200)
@given(
    st.lists(st.sampled_from(["look", "crash", "ends", "waits", "quiet", "edit", "breaks"]), max_size=60),
    st.data(),
)
def test_no_window_is_evaluated_twice_and_none_is_left_out(moves, data):
    """Whatever comes between: crashes, edits of the spec, runs that take long, looks that come late."""
    monitor, settled, failures = Monitor(), [], 0

    def settle(result):
        nonlocal failures
        before = monitor.status.run
        monitor.look(result)
        if before is None or monitor.status.run is not None or before.generation != monitor.generation:
            return
        failures = failures + 1 if result is BROKEN else 0
        if result is not BROKEN or failures == MOST_FAILURES:
            settled.append(before.window.since)
            failures = 0

    for move in moves:
        if move == "waits":
            monitor.now += timedelta(seconds=data.draw(st.integers(1, 200)))
        elif move == "edit":
            monitor.generation += 1
        elif move == "crash":
            # What was decided is written; nothing else is remembered.
            monitor.status = DriftMonitorStatus.model_validate_json(monitor.status.model_dump_json())
        else:
            settle({"ends": found(), "quiet": QUIET, "breaks": BROKEN}.get(move))
    assert settled == sorted(set(settled))
    assert all(later - earlier == timedelta(minutes=10) for earlier, later in itertools.pairwise(settled))


def test_windows_are_made_up_for_after_a_pause_but_not_all_of_a_week():
    monitor = Monitor().pass_time(timedelta(minutes=2))
    assert monitor.starts == ["11:40"]
    monitor.now += timedelta(days=7)
    monitor.pass_time(timedelta(minutes=60))
    made_up = monitor.windows[1:]
    assert len(made_up) >= MOST_BEHIND
    assert [later[0] - earlier[1] for earlier, later in itertools.pairwise(made_up)] == [timedelta(0)] * (
        len(made_up) - 1
    )
    assert monitor.told.count("WindowsSkipped") == 1


def test_windows_are_of_the_time_that_a_revision_serves_throughout():
    monitor = Monitor().pass_time(timedelta(minutes=15))
    monitor.promote("rev3")  # at 12:15
    monitor.windows.clear()
    monitor.pass_time(timedelta(minutes=30))
    assert monitor.starts == ["12:20", "12:30"]
    assert monitor.status.evaluation.revision == "rev3"


def test_a_window_that_cannot_be_evaluated_is_tried_again_and_then_left():
    monitor = Monitor(interval="1h")
    monitor.pass_time(timedelta(hours=2, minutes=20), BROKEN, step=timedelta(minutes=5))
    assert monitor.starts == ["10:00"] * 3
    assert len(set(monitor.ids)) == 3
    assert (monitor.status.phase, monitor.status.reason) == ("Failed", "WindowUnreadable")
    assert "the window until 2026-03-01T11:00:00Z is left" in monitor.status.message
    monitor.pass_time(timedelta(hours=1), step=timedelta(minutes=5))
    assert monitor.starts[3:5] == ["11:00", "12:00"]
    assert monitor.status.phase == "Watching"


def test_a_window_with_few_rows_is_no_fault_and_is_passed():
    monitor = Monitor().pass_time(timedelta(minutes=3), QUIET)
    assert (monitor.status.phase, monitor.status.reason) == ("Watching", "InsufficientData")
    assert monitor.status.captured_until == NOON - timedelta(minutes=10)


def test_drift_in_what_is_captured_asks_for_a_rollback():
    monitor = Monitor(actions=["Rollback"])
    monitor.look()
    decision = monitor.look(found(drifted=True))
    assert [a.revision for a in decision.actions if isinstance(a, RequestRollback)] == ["rev2"]
    assert monitor.status.evaluation.window_since == NOON - timedelta(minutes=20)


def test_evidence_is_of_one_revision():
    monitor = Monitor(sensitivity="normal")
    monitor.pass_time(timedelta(minutes=2), found(e_value=50.0))
    assert monitor.status.evidence.value == 50
    monitor.promote("rev3")
    monitor.pass_time(timedelta(minutes=23), found(e_value=3.0))
    assert (monitor.status.evidence.value, monitor.status.evidence.windows) == (3, 1)


# --- the baseline -------------------------------------------------------------------------------


def test_without_a_baseline_it_is_what_the_revision_was_tested_on():
    tested = Sought(uri="s3://data/test.parquet", without="label")
    monitor = Monitor(baseline=None, kept=replace(KEPT, tested_on=tested))
    monitor.look()
    assert monitor.status.run.baseline == tested


@pytest.mark.parametrize(("baseline", "hours"), [(None, 24), ({"afterPromotion": "2h"}, 2)])
def test_without_a_test_it_is_the_first_hours_after_the_promotion(baseline, hours):
    monitor = Monitor(baseline=baseline, kept=replace(KEPT, since=NOON), interval="1h")
    decision = monitor.look()
    until = NOON + timedelta(hours=hours)
    assert (monitor.status.phase, monitor.status.reason) == ("Watching", "GatheringBaseline")
    assert decision.recheck_after == (until + 2 * MINUTE - NOON).total_seconds()
    monitor.now = until + timedelta(minutes=2)
    delay = delay_of(monitor.spec, OWNER.uid)
    assert monitor.look().recheck_after == 3600 + delay.total_seconds()
    monitor.now += timedelta(hours=1) + delay
    monitor.look()
    assert monitor.status.run.baseline == Sought(uri=FOLDER, since=NOON, until=until)
    assert monitor.windows == [(until, until + timedelta(hours=1))]


def test_the_first_hours_are_asked_for_even_where_there_was_a_test():
    kept = replace(KEPT, tested_on=Sought(uri="s3://data/test.parquet"))
    monitor = Monitor(baseline={"afterPromotion": "1h"}, kept=kept)
    monitor.look()
    assert monitor.status.run.baseline.uri == FOLDER


def test_a_baseline_that_was_deleted_is_told():
    monitor = Monitor(baseline=None, kept=replace(KEPT, retention=timedelta(hours=30)))
    monitor.look()
    assert (monitor.status.phase, monitor.status.reason) == ("Failed", "BaselineExpired")
    assert "spec.serving.capture.retention (30h)" in monitor.status.message


def test_files_as_a_window_go_with_the_first_hours_as_a_baseline():
    monitor = Monitor(baseline={"afterPromotion": "1h"}, window={"uri": "s3://b/window"})
    monitor.look()
    assert monitor.status.run.window is None
    assert monitor.status.run.baseline.uri == FOLDER


def test_a_profile_is_what_the_window_was_counted_by():
    monitor = Monitor(baseline={"profile": {}})
    monitor.look()
    run = monitor.status.run
    assert run.baseline == Sought(uri=FOLDER, counted=True)
    question = ask(monitor.spec, run)
    assert question["baseline"] == {"uri": FOLDER, "counted": True}
    assert parse_question(question).baseline.counted


# --- nothing to compare -------------------------------------------------------------------------


def test_a_target_that_keeps_nothing_is_told_and_looked_at_again():
    monitor = Monitor(kept=Kept(since=NOON))
    assert monitor.look().recheck_after == 600
    assert (monitor.status.phase, monitor.status.reason) == ("Failed", "NothingCaptured")
    monitor.target = replace(monitor.target, kept=KEPT)
    monitor.pass_time(timedelta(minutes=2))
    assert monitor.status.phase == "Watching"


def test_a_target_without_a_revision_is_waited_for():
    monitor = Monitor()
    monitor.target = replace(monitor.target, stable=None)
    monitor.look()
    assert (monitor.status.phase, monitor.status.reason) == ("Pending", "TargetNotServed")


def test_files_need_nothing_of_the_target():
    monitor = Monitor(window={"uri": "s3://b/window"}, kept=Kept())
    monitor.look()
    assert (monitor.status.run.baseline, monitor.status.run.window) == (None, None)
    assert monitor.ids
