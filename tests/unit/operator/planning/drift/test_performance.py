"""Requests are judged by labels once these had their time to come, each stretch of time once."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_artifacts.drift_question import parse_question
from mooring_operator.api import DriftMonitorSpec, DriftMonitorStatus
from mooring_operator.api.drift_performance import (
    LabelCounts,
    MetricFound,
    PerformanceEstimate,
    PerformanceStatus,
)
from mooring_operator.api.drift_rows import Sought
from mooring_operator.api.drift_status import EvaluationRun
from mooring_operator.planning.drift.evaluations import DriftObserved, NoFindings, Target
from mooring_operator.planning.drift.performance import CONDITION, ESTIMATED, requests_of
from mooring_operator.planning.drift.plan import LaunchEvaluation, Notify, plan_drift
from mooring_operator.planning.drift.sources import Kept, KnownTest
from mooring_operator.reconcile.drift_runs import ask

from tests.unit.operator.planning.drift.test_plan import NOW, OWNER
from tests.unit.operator.planning.drift.test_plan import found as quiet
from tests.unit.operator.planning.drift.test_sources import Monitor

HOUR = timedelta(hours=1)
KEPT = Kept(since=NOW - timedelta(days=9), store="s3://kept", tested=KnownTest({"accuracy": 0.93}, 2000))
TARGET = Target("digits", "rev2", "rev1", KEPT)
COUNTS = LabelCounts(answered=400, labelled=300, unknown=7)
HOLDS = PerformanceStatus(labels=COUNTS)
BROKEN = PerformanceStatus(labels=COUNTS, broken=["accuracy is 0.8 and was 0.93: worse by at least 0.09"])
FEW = PerformanceStatus(reason="InsufficientLabels", message="3 of 400 requests have a label")
DAMAGED = PerformanceStatus(reason="LabelsUnreadable", message="has no column 'id'")


def spec(performance=None, **fields):
    given = {"target": {"name": "digits"}, "baseline": {"uri": "s3://b/base"}, "interval": "10m"}
    return DriftMonitorSpec.model_validate({**given, "performance": performance or {}, **fields})


def window(until):
    return Sought(uri="s3://kept/x", since=until - timedelta(minutes=10), until=until)


def test_requests_are_those_whose_labels_had_their_time():
    sought = requests_of(spec({"grace": "6h"}), TARGET, window(NOW), NOW)
    assert sought.requests.uri == "s3://kept/deployment=digits/revision=rev2"
    assert (sought.requests.since, sought.requests.until) == (NOW - 6 * HOUR - HOUR / 6, NOW - 6 * HOUR)
    assert sought.labels.uri == "s3://kept/labels/deployment=digits"
    assert (sought.labels.since, sought.labels.until) == (sought.requests.since, NOW)
    assert (sought.figures, sought.figure_rows) == ({"accuracy": 0.93}, 2000)


def test_a_span_is_judged_together_and_labels_of_files_are_not_cut():
    labels = {"uri": "s3://labels/digits", "idColumn": "order"}
    sought = requests_of(spec({"grace": "6h", "span": "24h", "labels": labels}), TARGET, window(NOW), NOW)
    assert sought.requests.until - sought.requests.since == 24 * HOUR
    assert sought.labels is None


def test_of_files_the_time_is_that_of_the_clock_and_the_same_within_an_interval():
    of_files = spec({"grace": "1h"}, window={"uri": "s3://b/w"})
    ends = {requests_of(of_files, TARGET, None, NOW + timedelta(minutes=m)).requests.until for m in range(10)}
    assert ends == {NOW - HOUR}


@pytest.mark.parametrize(
    "target",
    [
        Target("digits", None, None, KEPT),
        replace(TARGET, kept=Kept()),
        replace(TARGET, kept=replace(KEPT, since=NOW - HOUR)),
    ],
)
def test_before_anything_can_be_judged_nothing_is_asked(target):
    assert requests_of(spec({"grace": "6h"}), target, window(NOW), NOW) is None


def test_requests_of_another_revision_are_left_out():
    promoted = replace(TARGET, kept=replace(KEPT, since=NOW - 7 * HOUR))
    sought = requests_of(spec({"grace": "6h", "span": "24h"}), promoted, window(NOW), NOW)
    assert sought.requests.since == NOW - 7 * HOUR


@given(st.integers(1, 600), st.integers(0, 5000))
def test_stretches_of_windows_touch_and_do_not_share_a_moment(minutes, grace):
    length = timedelta(minutes=minutes)
    asked = spec({"grace": f"{grace + 1}m"}, interval=f"{minutes}m")
    ends = [NOW + number * length for number in range(3)]
    found = [requests_of(asked, TARGET, window(end), end).requests for end in ends]
    assert [one.until for one in found[:-1]] == [one.since for one in found[1:]]


def test_the_question_is_one_that_the_run_reads():
    monitor = Monitor(
        kept=KEPT, performance={"rules": [{"metric": "f1", "limit": 0.8}], "classes": ["a", "b"]}
    )
    monitor.look()
    run = monitor.status.run
    asked = parse_question(ask(monitor.spec, run)).performance
    assert asked.requests.since == run.performance.requests.since
    assert asked.labels.kept.until == run.performance.labels.until
    assert (asked.rules[0].metric, asked.rules[0].limit, asked.rules[0].margin) == ("f1", 0.8, None)
    assert (asked.figures, asked.figure_rows, asked.classes) == ({"accuracy": 0.93}, 2000, ["a", "b"])
    labels = {"uri": "s3://l/x", "idColumn": "order", "labelColumn": "class", "rowColumn": "line"}
    monitor = Monitor(kept=KEPT, performance={"labels": labels, "baseline": {"uri": "s3://b/labelled"}})
    monitor.look()
    asked = parse_question(ask(monitor.spec, monitor.status.run)).performance
    assert (asked.labels.id_column, asked.labels.label_column, asked.labels.row_column) == (
        "order",
        "class",
        "line",
    )
    assert (asked.labels.kept, asked.baseline.uri, asked.plain) == (None, "s3://b/labelled", False)
    monitor = Monitor(kept=KEPT, performance={"plain": True})
    monitor.look()
    assert parse_question(ask(monitor.spec, monitor.status.run)).performance.plain


def test_rows_of_a_baseline_are_enough_for_an_estimate_before_labels_had_their_time():
    rows = {"uri": "s3://b/labelled"}
    young = replace(TARGET, kept=replace(KEPT, since=NOW - HOUR))
    for target in (young, replace(TARGET, kept=Kept())):
        asked = spec({"estimate": True, "baseline": rows})
        sought = requests_of(asked, target, window(NOW), NOW)
        assert (sought.requests, sought.labels) == (None, None)
        assert requests_of(spec({"estimate": True}), target, window(NOW), NOW) is None
    run = EvaluationRun(run_id="0" * 36, generation=1, started_at=NOW, window=window(NOW), performance=sought)
    question = parse_question(ask(asked, run)).performance
    assert (question.requests, question.estimate, question.baseline.uri) == (None, True, "s3://b/labelled")


class Judged(Monitor):
    """A monitor whose windows end one after the other, with what labels say of earlier requests."""

    def __init__(self, **fields):
        super().__init__(kept=KEPT, performance={"grace": "6h", **fields})

    def see(self, performance, result=None):
        self.look()
        for _ in range(3):
            if self.status.run is not None:
                break
            self.now += timedelta(minutes=5)
            self.look()
        self.told.clear()
        self.look(replace(result or quiet(), performance=performance))
        self.now += timedelta(minutes=10)

    def condition(self, kind=CONDITION):
        return next(each for each in self.status.conditions if each.type == kind)

    def told_of_labels(self):
        return [reason for reason in self.told if reason in ("RuleBroken", "RulesHold", "LabelsUnreadable")]


def test_a_drop_is_a_condition_and_told_once_as_is_its_end():
    monitor, said = Judged(), []
    for performance in (HOLDS, BROKEN, BROKEN, HOLDS, FEW, FEW, DAMAGED, DAMAGED, HOLDS):
        monitor.see(performance)
        said.append((monitor.condition().status, monitor.condition().reason, monitor.told_of_labels()))
    assert said == [
        ("False", "RulesHold", []),
        ("True", "RuleBroken", ["RuleBroken"]),
        ("True", "RuleBroken", []),
        ("False", "RulesHold", ["RulesHold"]),
        ("Unknown", "InsufficientLabels", []),
        ("Unknown", "InsufficientLabels", []),
        ("Unknown", "LabelsUnreadable", ["LabelsUnreadable"]),
        ("Unknown", "LabelsUnreadable", []),
        ("False", "RulesHold", []),
    ]


def test_an_estimate_is_a_condition_of_its_own_and_never_that_of_labels():
    metric = MetricFound(metric="accuracy", value=0.8)
    monitor, said = Judged(estimate=True), []
    for estimate in (
        PerformanceEstimate(rows=900, metric=metric),
        PerformanceEstimate(rows=900, metric=metric, broken=["accuracy is 0.8 and was 0.93"]),
        PerformanceEstimate(message="the model gives no score for each label"),
    ):
        monitor.see(HOLDS.model_copy(update={"estimate": estimate}))
        one, other = monitor.condition(ESTIMATED), monitor.condition()
        said.append((one.status, one.reason, other.status, "RuleBroken" in monitor.told))
    assert said == [
        ("False", "RulesHold", "False", False),
        ("True", "RuleBroken", "False", True),
        ("Unknown", "EstimateUnavailable", "False", False),
    ]
    assert "the model gives no score" in monitor.condition(ESTIMATED).message
    monitor.see(FEW.model_copy(update={"estimate": PerformanceEstimate(rows=900, metric=metric)}))
    assert "an estimate without labels, of 900 requests: accuracy 0.8" in monitor.condition(ESTIMATED).message
    monitor.promote("rev3")
    monitor.look()
    assert monitor.condition(ESTIMATED).status == "Unknown"


def test_estimates_of_amounts_are_named_with_what_to_know_of_them():
    mae, rmse = MetricFound(metric="mae", value=1.5), MetricFound(metric="rmse", value=2.25)
    estimate = PerformanceEstimate(
        rows=900, metric=mae, others=[rmse], message="3.0% of the rows are like none"
    )
    monitor = Judged(estimate=True)
    monitor.see(HOLDS.model_copy(update={"estimate": estimate}))
    found = monitor.condition(ESTIMATED)
    assert found.status == "False"
    assert found.message.endswith("900 requests: mae 1.5, rmse 2.25; 3.0% of the rows are like none")


def test_status_has_what_was_measured_and_of_which_requests():
    monitor = Judged()
    monitor.see(BROKEN)
    known = monitor.status.performance
    assert (known.revision, known.labels.labelled) == ("rev2", 300)
    assert known.until - known.since == timedelta(minutes=10)
    assert known.time - known.until > 6 * HOUR
    assert "worse by at least 0.09; 300 of 400 requests until" in monitor.condition().message
    # Features are another matter.
    assert monitor.status.phase == "Watching"


def test_a_window_without_findings_does_not_hide_what_labels_said():
    monitor = Judged()
    monitor.see(BROKEN, NoFindings("InsufficientData", "3 rows", quiet=True))
    assert monitor.condition().status == "True"
    assert monitor.status.reason == "InsufficientData"


def test_another_revision_awaits_labels_of_its_own():
    monitor = Judged()
    monitor.see(BROKEN)
    monitor.promote("rev3")
    monitor.look()
    assert (monitor.condition().status, monitor.condition().reason) == ("Unknown", "AwaitingLabels")


def test_without_the_field_there_is_no_condition_any_more():
    monitor = Judged()
    monitor.see(BROKEN)
    monitor.spec = monitor.spec.model_copy(update={"performance": None})
    monitor.look()
    assert monitor.status.performance is None
    assert CONDITION not in [each.type for each in monitor.status.conditions]


def test_a_target_that_keeps_nothing_is_told():
    asked = spec(window={"uri": "s3://b/w"})
    observed = DriftObserved(OWNER, replace(TARGET, kept=Kept()))
    decision = plan_drift(asked, DriftMonitorStatus(), observed, NOW)
    [condition] = [each for each in decision.status.conditions if each.type == CONDITION]
    assert (condition.status, condition.reason) == ("Unknown", "NothingCaptured")
    assert "NothingCaptured" in [each.reason for each in decision.actions if isinstance(each, Notify)]
    assert [each.run.performance for each in decision.actions if isinstance(each, LaunchEvaluation)] == [None]
