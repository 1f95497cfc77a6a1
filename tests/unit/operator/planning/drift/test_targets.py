"""A monitor of an InferenceService, or of two data sets, compares files and asks nobody for anything."""

from datetime import UTC, datetime

import pytest
from mooring_operator.api import DriftMonitorSpec, DriftMonitorStatus
from mooring_operator.api.drift_findings import FeatureDrift
from mooring_operator.planning.actions import Notify
from mooring_operator.planning.drift import targets
from mooring_operator.planning.drift.evaluations import DriftObserved, Findings, Target
from mooring_operator.planning.drift.plan import LaunchEvaluation, plan_drift
from mooring_operator.planning.objects.owner import Owner
from mooring_operator.planning.runs.run import RunState
from mooring_operator.planning.status import conditions

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
OWNER = Owner("team", "traffic", "9a1f2f6e-0000-4000-8000-000000000000", 1)
FILES = {"baseline": {"uri": "s3://b/base"}, "window": {"uri": "s3://b/window"}}
SERVICE = {"kind": "InferenceService", "name": "llm"}


@pytest.mark.parametrize("target", [None, SERVICE])
def test_two_data_sets_are_compared_and_nobody_is_asked_for_anything(target):
    spec = DriftMonitorSpec.model_validate({**FILES, **({"target": target} if target else {})})
    seen = Target(target["name"] if target else "", None, None)
    launched = plan_drift(spec, DriftMonitorStatus(), DriftObserved(OWNER, seen), NOON)
    [run] = [each.run for each in launched.actions if isinstance(each, LaunchEvaluation)]
    found = Findings(1000, 400, "sha256:0", (FeatureDrift(name="age", drifted=True),))
    ended = DriftObserved(OWNER, seen, run=RunState(run.run_id, "Succeeded"), result=found)
    decision = plan_drift(spec, launched.status, ended, NOON)
    assert (decision.status.phase, decision.status.evaluation.revision) == ("Drifted", "")
    assert all(isinstance(each, Notify) for each in decision.actions)
    assert conditions.find(decision.status.conditions, "DataFresh") is None


@pytest.mark.parametrize(
    ("found", "reason", "says"),
    [
        (targets.missing("InferenceService", "llm"), "TargetNotFound", "there is no InferenceService 'llm'"),
        (
            targets.missing("InferenceService", "llm", other_exists=True),
            "TargetNotFound",
            "set spec.target.kind to ModelDeployment: there is one of this name",
        ),
        (
            targets.owned("digits-rev2", "digits"),
            "TargetOwned",
            "set spec.target to {kind: ModelDeployment, name: digits}",
        ),
    ],
)
def test_a_target_that_cannot_be_watched_is_said(found, reason, says):
    spec = DriftMonitorSpec.model_validate({**FILES, "target": SERVICE})
    decision = plan_drift(spec, DriftMonitorStatus(), DriftObserved(OWNER, None, unwatchable=found), NOON)
    assert (decision.status.phase, decision.status.reason) == ("Failed", reason)
    assert says in decision.status.message
    assert conditions.find(decision.status.conditions, "Stalled").status == "True"
