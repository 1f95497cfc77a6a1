"""What a DriftMonitor does with what was found."""

from datetime import UTC, datetime, timedelta

from mooring_operator.api import DriftMonitorSpec, DriftMonitorStatus
from mooring_operator.api.drift_monitor import FeatureDrift
from mooring_operator.planning.actions import Notify
from mooring_operator.planning.drift import (
    DriftObserved,
    Findings,
    NoFindings,
    RequestRollback,
    Target,
    due,
    plan_drift,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TARGET = Target("digits", "rev2", "rev1")


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
    return {condition.type: condition.status for condition in status.conditions}


def test_quiet_traffic_is_watched_and_looked_at_again_after_the_interval():
    decision = plan_drift(spec(), DriftMonitorStatus(), DriftObserved(1, TARGET, found()), NOW)
    assert (decision.status.phase, decision.status.reason) == ("Watching", "NoDrift")
    assert conditions(decision.status) == {"Ready": "True", "Drifted": "False"}
    assert decision.status.next_evaluation == NOW + timedelta(minutes=1)
    assert decision.recheck_after == 60
    assert decision.status.evaluation is not None
    assert decision.status.evaluation.revision == "rev2"


def test_drift_is_healthy_monitoring_and_told_once():
    observed = DriftObserved(1, TARGET, found("age", "income"))
    first = plan_drift(spec(), DriftMonitorStatus(), observed, NOW)
    assert conditions(first.status) == {"Ready": "True", "Drifted": "True"}
    assert "2 of 12 features drifted over 400 rows: age, income" in first.status.message
    assert [a.reason for a in first.actions if isinstance(a, Notify)] == ["DriftDetected"]
    second = plan_drift(spec(), first.status, observed, NOW + timedelta(minutes=1))
    assert second.actions == ()


def test_a_rollback_is_asked_for_once_for_a_revision():
    observed = DriftObserved(1, TARGET, found("age"))
    first = plan_drift(spec(actions=["Rollback"]), DriftMonitorStatus(), observed, NOW)
    [request] = [a for a in first.actions if isinstance(a, RequestRollback)]
    assert (request.name, request.revision) == ("digits", "rev2")
    assert "age" in request.note
    again = plan_drift(spec(actions=["Rollback"]), first.status, observed, NOW)
    assert not [a for a in again.actions if isinstance(a, RequestRollback)]
    newer = DriftObserved(1, Target("digits", "rev3", "rev1"), found("age"))
    third = plan_drift(spec(actions=["Rollback"]), again.status, newer, NOW)
    assert [a.revision for a in third.actions if isinstance(a, RequestRollback)] == ["rev3"]


def test_without_a_previous_revision_the_rollback_is_skipped_and_told():
    observed = DriftObserved(1, Target("digits", "rev1", None), found("age"))
    decision = plan_drift(spec(actions=["Rollback"]), DriftMonitorStatus(), observed, NOW)
    assert not [a for a in decision.actions if isinstance(a, RequestRollback)]
    assert "RollbackSkipped" in [a.reason for a in decision.actions if isinstance(a, Notify)]


def test_fewer_drifted_features_than_asked_for_are_no_drift():
    decision = plan_drift(
        spec(driftedFeatures=3), DriftMonitorStatus(), DriftObserved(1, TARGET, found("a", "b")), NOW
    )
    assert decision.status.phase == "Watching"


def test_too_few_rows_are_no_fault_and_keep_the_last_finding():
    drifting = plan_drift(spec(), DriftMonitorStatus(), DriftObserved(1, TARGET, found("age")), NOW).status
    little = DriftObserved(1, TARGET, NoFindings("InsufficientData", "the window has 3 rows", quiet=True))
    decision = plan_drift(spec(), drifting, little, NOW)
    assert conditions(decision.status) == {"Ready": "True", "Drifted": "True"}
    assert decision.status.reason == "InsufficientData"


def test_monitoring_that_fails_says_so():
    broken = DriftObserved(
        1, TARGET, NoFindings("BaselineUnreadable", "spec.baseline.uri 's3://b/base' does not exist")
    )
    decision = plan_drift(spec(), DriftMonitorStatus(), broken, NOW)
    assert conditions(decision.status) == {"Ready": "False", "Stalled": "True"}
    assert decision.recheck_after == 60
    missing = plan_drift(spec(), DriftMonitorStatus(), DriftObserved(1, None), NOW)
    assert (missing.status.reason, missing.recheck_after) == ("TargetNotFound", 60)


def test_an_evaluation_is_due_by_the_interval_or_by_a_new_spec():
    status = plan_drift(spec(), DriftMonitorStatus(), DriftObserved(1, TARGET, found()), NOW).status
    assert not due(spec(), status, 1, NOW + timedelta(seconds=59))
    assert due(spec(), status, 1, NOW + timedelta(seconds=60))
    assert due(spec(), status, 2, NOW)
    assert not due(spec(suspend=True), status, 2, NOW)
    waiting = plan_drift(spec(), status, DriftObserved(1, TARGET), NOW + timedelta(seconds=20))
    assert (waiting.status, waiting.actions, waiting.recheck_after) == (status, (), 40)
