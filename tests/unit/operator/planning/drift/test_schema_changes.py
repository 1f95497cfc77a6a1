"""A schema change is told whatever becomes of the evaluation, once, and fails nothing."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from mooring_operator.api import DriftMonitorSpec, DriftMonitorStatus
from mooring_operator.api.drift_findings import FeatureDrift, SchemaChange
from mooring_operator.planning.actions import Notify
from mooring_operator.planning.drift.acting import RequestRollback
from mooring_operator.planning.drift.evaluations import DriftObserved, Findings, NoFindings, Target
from mooring_operator.planning.drift.plan import plan_drift
from mooring_operator.planning.objects.owner import Owner
from mooring_operator.planning.runs.run import RunState

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SPEC = DriftMonitorSpec.model_validate(
    {
        "target": {"name": "digits"},
        "baseline": {"uri": "s3://b/base"},
        "window": {"uri": "s3://b/window"},
        "interval": "1m",
        "actions": ["Rollback"],
    }
)
OWNER = Owner("team", "traffic", "9a1f2f6e-0000-4000-8000-000000000000", 1)
SEEN = DriftObserved(OWNER, Target("digits", "rev2", "rev1"))
TEXT = SchemaChange(name="zip", change="TypeChanged", baseline="int64", window="string")
GONE = SchemaChange(name="age", change="Vanished", baseline="double")
NEW = SchemaChange(name="made", change="New", window="double")
CALM, MOVED = FeatureDrift(name="x", drifted=False), FeatureDrift(name="y", drifted=True)


class Monitor:
    """A monitor whose evaluations find what a test says, one a minute."""

    def __init__(self):
        self.now, self.status = NOW, DriftMonitorStatus()

    def find(self, *features, changes=(), result=None):
        self.status = plan_drift(SPEC, self.status, SEEN, self.now).status
        result = result or Findings(1000, 400, "sha256:x", features, tuple(changes))
        run = RunState(self.status.run.run_id, "Succeeded")
        decision = plan_drift(SPEC, self.status, replace(SEEN, run=run, result=result), self.now)
        self.status, self.now = decision.status, self.now + timedelta(minutes=1)
        return decision

    def condition(self, kind):
        return next((c for c in self.status.conditions if c.type == kind), None)


def told(decision):
    return [(a.type, a.reason) for a in decision.actions if isinstance(a, Notify)]


@pytest.mark.parametrize(
    ("change", "said"),
    [(TEXT, "'zip' was int64 and is string"), (GONE, "'age' vanished"), (NEW, "'made' is new")],
)
def test_it_is_told_in_message_condition_and_event_and_is_no_drift(change, said):
    monitor = Monitor()
    decision = monitor.find(CALM, changes=[change])
    assert (monitor.status.phase, monitor.status.reason) == ("Watching", "NoDrift")
    assert monitor.status.message == f"0 of 1 features drifted over 400 rows; the schema changed: {said}"
    assert monitor.condition("SchemaChanged").message == said
    assert monitor.condition("Ready").status == "True"
    assert monitor.condition("Drifted").status == "False"
    assert ("Warning", "SchemaChanged") in told(decision)
    assert monitor.status.evaluation.schema_changes == [change]


def test_the_other_columns_are_judged_and_acted_on():
    decision = Monitor().find(CALM, MOVED, changes=[TEXT])
    assert decision.status.phase == "Drifted"
    assert "1 of 2 features drifted over 400 rows: y; the schema changed: 'zip'" in decision.status.message
    assert [a.revision for a in decision.actions if isinstance(a, RequestRollback)] == ["rev2"]


def test_it_is_told_once_anew_when_it_is_another_and_when_it_ends():
    monitor = Monitor()
    seen = [told(monitor.find(CALM, changes=changes)) for changes in ([TEXT], [TEXT], [GONE], [], [])]
    kinds = [[event for event in events if event[1].startswith("Schema")] for events in seen]
    assert kinds == [
        [("Warning", "SchemaChanged")],
        [],
        [("Warning", "SchemaChanged")],
        [("Normal", "SchemaUnchanged")],
        [],
    ]
    assert monitor.condition("SchemaChanged").status == "False"


def test_without_any_there_is_no_condition():
    monitor = Monitor()
    monitor.find(CALM)
    assert monitor.condition("SchemaChanged") is None


def test_where_nothing_can_be_compared_drift_stays_what_it_was():
    monitor = Monitor()
    monitor.find(MOVED)
    decision = monitor.find(changes=[TEXT])
    assert (monitor.status.phase, monitor.status.reason) == ("Watching", "SchemaChanged")
    assert (
        monitor.status.message
        == "no column could be compared; the schema changed: 'zip' was int64 and is string"
    )
    assert monitor.condition("Drifted").status == "True"
    assert told(decision) == [("Warning", "SchemaChanged")]


def test_an_evaluation_that_finds_nothing_out_leaves_it_as_it_was():
    monitor = Monitor()
    monitor.find(CALM, changes=[TEXT])
    monitor.find(result=NoFindings("InsufficientData", "3 rows", quiet=True))
    assert monitor.condition("SchemaChanged").status == "True"


def test_status_is_bounded_however_many_columns_changed():
    many = [SchemaChange(name="n" * 250, change="Vanished", baseline="t" * 250) for _ in range(20_000)]
    monitor = Monitor()
    monitor.find(CALM, changes=many)
    evaluation = monitor.status.evaluation
    assert (evaluation.schema_changed, len(evaluation.schema_changes)) == (20_000, 20)
    assert monitor.status.message.endswith("and 19997 more")
    assert len(monitor.status.model_dump_json()) < 20_000
