"""DriftMonitors and policies whose status the planner itself wrote."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from mooring_operator.api import (
    ClusterModelPolicySpec,
    DriftMonitorSpec,
    DriftMonitorStatus,
    ModelPolicySpec,
    reasons,
)
from mooring_operator.api.analysis_template import (
    AnalysisTemplateSpec,
    ClusterAnalysisTemplateSpec,
    TemplateStatus,
)
from mooring_operator.api.drift_findings import FeatureDrift, SchemaChange
from mooring_operator.api.drift_performance import MetricFound, PerformanceEstimate, PerformanceStatus
from mooring_operator.api.drift_rows import Sought
from mooring_operator.api.model_policy import PolicyStatus
from mooring_operator.planning.analysis.template_status import judge_template, refuse_template
from mooring_operator.planning.drift.evaluations import DriftObserved, Findings, NoFindings, Target
from mooring_operator.planning.drift.plan import invalid_monitor, plan_drift
from mooring_operator.planning.drift.sources import Kept
from mooring_operator.planning.drift.targets import owned
from mooring_operator.planning.objects.owner import Owner
from mooring_operator.planning.policies.rules import RuleAnswers
from mooring_operator.planning.policies.status import judge_policy, refuse_policy
from mooring_operator.planning.runs.run import RunState

from tests.cluster.planned import resource

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
OWNER = Owner("ml", "traffic", "9a1f2f6e-0000-4000-8000-000000000000", 1)
SEEN = DriftObserved(OWNER, Target("digits", "rev2", "rev1"))
DRIFTED, QUIET = FeatureDrift(name="x", drifted=True), FeatureDrift(name="y", drifted=False)
FOUND = {
    "quiet": Findings(1000, 400, "sha256:x", (QUIET,)),
    "drifted": Findings(1000, 400, "sha256:x", (DRIFTED, QUIET)),
    "schema": Findings(1000, 400, "sha256:x", (), (SchemaChange(name="x", change="Vanished"),)),
    **{
        f"no-findings-{reason}": NoFindings(
            reason, "that says nothing", quiet=reason == reasons.INSUFFICIENT_DATA
        )
        for reason in reasons.OF_EVALUATIONS
    },
}


def monitor_spec(**fields: Any) -> DriftMonitorSpec:
    given = {"target": {"name": "digits"}, "baseline": {"uri": "s3://b/b"}, "window": {"uri": "s3://b/w"}}
    return DriftMonitorSpec.model_validate({**given, "interval": "1m", **fields})


def monitors() -> Iterator[dict[str, Any]]:
    """DriftMonitors for every phase and reason."""
    spec, empty = monitor_spec(), DriftMonitorStatus()
    yield _monitor(spec, None)
    begun = plan_drift(spec, empty, SEEN, NOW).status
    yield _monitor(spec, begun)
    assert begun.run is not None
    run = RunState(begun.run.run_id, "Succeeded")
    for result in FOUND.values():
        yield _monitor(spec, plan_drift(spec, begun, replace(SEEN, run=run, result=result), NOW).status)
    late, failed = NOW + timedelta(hours=9), replace(run, phase="Failed")
    for seen, when in (
        (replace(SEEN, run=replace(run, phase="Running")), late),
        (replace(SEEN, run=failed), NOW),
        (replace(SEEN, launch_failed="it hung up"), NOW),
        (replace(SEEN, launch_failed="Job is taken", name_taken=True), NOW),
        (replace(SEEN, target=None), NOW),
        (replace(SEEN, target=None, unwatchable=owned("digits-rev2", "digits")), NOW),
    ):
        once = plan_drift(spec, begun, seen, when).status
        yield _monitor(spec, once)
        yield _monitor(spec, plan_drift(spec, once, seen, when + timedelta(seconds=30)).status)
    for fields, observed in (
        ({"suspend": True}, SEEN),
        ({"window": {"uri": "file:///w"}}, SEEN),
        ({"window": {"uri": "s3://b/\N{GRINNING FACE}"}}, replace(SEEN, narrow_runs=True)),
    ):
        other = monitor_spec(**fields)
        yield _monitor(other, plan_drift(other, begun, observed, NOW).status)
    yield from _watching_what_is_captured()
    yield from _judging_by_labels()
    yield _monitor(spec, invalid_monitor(begun, "spec.window: unknown field", 1, NOW))


def _watching_what_is_captured() -> Iterator[dict[str, Any]]:
    spec = DriftMonitorSpec.model_validate({"target": {"name": "digits"}, "interval": "1h"})
    kept = Kept(since=NOW, store="s3://captured")
    day = timedelta(hours=24)
    for target, when in (
        (Target("digits", None, None), NOW),
        (Target("digits", "rev2", "rev1"), NOW),
        (Target("digits", "rev2", "rev1", kept), NOW),
        (Target("digits", "rev2", "rev1", replace(kept, retention=day)), NOW + 2 * day),
        (Target("digits", "rev2", "rev1", replace(kept, tested_on=Sought(uri="s3://b/t"))), NOW),
    ):
        status = plan_drift(spec, DriftMonitorStatus(), replace(SEEN, target=target), when).status
        yield _monitor(spec, status)


def _judging_by_labels() -> Iterator[dict[str, Any]]:
    spec = monitor_spec(performance={"grace": "1h", "estimate": True})
    kept = Kept(since=NOW - timedelta(days=2), store="s3://captured")
    seen = replace(SEEN, target=Target("digits", "rev2", "rev1", kept))
    begun = plan_drift(spec, DriftMonitorStatus(), seen, NOW).status
    yield _monitor(spec, begun)
    assert begun.run is not None
    run, accurate = RunState(begun.run.run_id, "Succeeded"), MetricFound(metric="accuracy", value=0.9)
    for judged in (
        PerformanceStatus(),
        PerformanceStatus(broken=["accuracy is 0.7"], estimate=PerformanceEstimate(message="no scores")),
        PerformanceStatus(estimate=PerformanceEstimate(metric=accurate)),
        PerformanceStatus(estimate=PerformanceEstimate(metric=accurate, broken=["accuracy is 0.9"])),
        *(PerformanceStatus(reason=reason, message="that says nothing") for reason in reasons.OF_PERFORMANCE),
    ):
        found = replace(FOUND["quiet"], performance=judged)
        yield _monitor(spec, plan_drift(spec, begun, replace(seen, run=run, result=found), NOW).status)


def policies() -> Iterator[dict[str, Any]]:
    """Policies of both kinds."""
    rules = {"rules": [{"name": "accurate", "expression": "metrics.accuracy >= 0.9"}]}
    policy = ModelPolicySpec.model_validate(rules)
    bound = ClusterModelPolicySpec.model_validate(rules)
    unclear = ClusterModelPolicySpec.model_validate({**rules, "allowedSources": ["s3://b/../c/"]})
    fine, wrong = RuleAnswers((None,)), RuleAnswers(("undeclared reference",))
    yield resource("ModelPolicy", "strict", policy, None)
    for kind, spec in (
        ("ModelPolicy", policy),
        ("ClusterModelPolicy", bound),
        ("ClusterModelPolicy", unclear),
    ):
        for read in (fine, wrong):
            yield resource(kind, "strict", spec, judge_policy(spec, PolicyStatus(), 1, NOW, read))
        refused = refuse_policy(PolicyStatus(), reasons.INVALID_SPEC, "spec.rules: unknown field", 1, NOW)
        yield resource(kind, "strict", spec, refused)


def templates() -> Iterator[dict[str, Any]]:
    """Templates of both kinds: what can be judged by, what cannot, and what cannot be read."""
    fine = {"metrics": [{"metric": "errorRate"}]}
    wrong = {"metrics": [{"metric": "errorRate", "fromArguments": {"points": "none"}}]}
    for kind, model in (
        ("AnalysisTemplate", AnalysisTemplateSpec),
        ("ClusterAnalysisTemplate", ClusterAnalysisTemplateSpec),
    ):
        for fields in (fine, wrong):
            spec = model.model_validate(fields)
            yield resource(kind, "house", spec, judge_template(spec, TemplateStatus(), 1, NOW))
        refused = refuse_template(TemplateStatus(), "spec.metrics: unknown field", 1, NOW)
        yield resource(kind, "house", model.model_validate(fine), refused)


def _monitor(spec: DriftMonitorSpec, status: DriftMonitorStatus | None) -> dict[str, Any]:
    return resource("DriftMonitor", "traffic", spec, status)
