"""Measurements of an analysis that take a while: what of them is left when it ends."""

from datetime import datetime

from mooring_operator.api.analysis import Analysis, AnalysisStatus
from mooring_operator.api.model_deployment import ModelDeploymentSpec
from mooring_operator.api.rollout_status import ModelDeploymentStatus
from mooring_operator.planning.analysis.in_namespace import under_way
from mooring_operator.planning.analysis.measuring import UsedQuery
from mooring_operator.planning.objects.owner import Owner
from mooring_operator.planning.rollout.analysis import evidence_of, goes_on
from mooring_operator.planning.rollout.draft import Settled


def left_behind(draft: Settled) -> list[tuple[str, UsedQuery]]:
    """Give the measurements that go on, for all that is known, and that nobody waits for any more."""
    old, new, analysis = draft.before.analysis, draft.status.analysis, draft.spec.rollout.analysis
    if old is None or analysis is None:
        return []
    same = new is not None and (new.candidate, new.since) == (old.candidate, old.since)
    if same and goes_on(analysis, draft.status, draft.now):
        return []
    if not old.evidence and not goes_on(analysis, draft.before, draft.now):
        return []
    # What was taken in this pass has ended.
    seen = new if new is not None and same else old
    return _under_way(draft.observed.owner, seen, analysis, draft.now)


def runs_of_the_deleted(
    owner: Owner, spec: ModelDeploymentSpec, status: ModelDeploymentStatus, now: datetime
) -> list[str]:
    """Give the runs of pipelines that measure for a deployment that is gone; its Jobs go with it."""
    found, analysis = status.analysis, spec.rollout.analysis
    if found is None or analysis is None or not goes_on(analysis, status, now):
        return []
    return [run_id for run_id, query in _under_way(owner, found, analysis, now) if not query.is_a_job]


def _under_way(
    owner: Owner, found: AnalysisStatus, analysis: Analysis, now: datetime
) -> list[tuple[str, UsedQuery]]:
    evidence = evidence_of(found, analysis)
    return under_way(owner, found.candidate, found.since, now, evidence.queries, evidence.tallies)
