"""What runs of the stable revision besides its service follows the stable revision alone.

A revision scores and answers once it is promoted, and a canary changes nothing.
"""

from mooring_operator.api import reasons
from mooring_operator.api.rollout_status import Revision, WorkloadStatus
from mooring_operator.planning.actions import Notify
from mooring_operator.planning.manifests.workloads import Workload, consumers, cron_job, disruption_budget
from mooring_operator.planning.objects.owner import Manifest
from mooring_operator.planning.objects.ownership import already_says
from mooring_operator.planning.rollout.actions import ApplyWorkload, RemoveWorkload
from mooring_operator.planning.rollout.draft import Settled
from mooring_operator.planning.rollout.serving import is_unknown
from mooring_operator.planning.status import conditions

_CONDITIONS: dict[Workload, str] = {
    "batch": "BatchApplied",
    "stream": "StreamApplied",
    "disruption_budget": "DisruptionBudgetApplied",
}


def follow_stable(draft: Settled) -> Settled:
    """Have the workloads that the spec asks for run the stable revision, and no others."""
    owner, images, stable = draft.observed.owner, draft.observed.images, draft.stable
    batch, stream = draft.spec.batch, draft.spec.stream
    if is_unknown(draft):
        return draft
    if batch is not None and stable is not None:
        draft = _apply(draft, "batch", stable, cron_job(owner, stable, batch, images))
    else:
        draft = _remove(draft, "batch")
    budget = draft.spec.serving.pod_disruption_budget
    if budget is not None and stable is not None:
        draft = _apply(draft, "disruption_budget", stable, disruption_budget(owner, budget))
    else:
        draft = _remove(draft, "disruption_budget")
    if stream is not None and stable is not None:
        return _apply(draft, "stream", stable, consumers(owner, stable, stream, images))
    return _remove(draft, "stream")


def _remove(draft: Settled, workload: Workload) -> Settled:
    if workload not in draft.observed.workloads:
        return draft.change(**{workload: None})
    # The status keeps it until it is gone: it is what makes the operator look for it.
    return draft.request(RemoveWorkload(workload))


def _apply(draft: Settled, workload: Workload, stable: Revision, wanted: Manifest) -> Settled:
    seen = draft.observed.workloads.get(workload)
    status = WorkloadStatus(name=wanted["metadata"]["name"], revision=stable.revision)
    draft = draft.change(**{workload: status})
    if seen is not None and already_says(seen, wanted):
        return draft
    condition = _CONDITIONS[workload]
    known = conditions.find(draft.before.conditions, condition)
    taken = draft.observed.taken_workloads.get(workload)
    refusal = taken.message if taken is not None else draft.observed.refused_workloads.get(workload)
    if refusal is not None:
        if known is None or known.message != refusal:
            draft = draft.request(Notify("Warning", reasons.WORKLOAD_REFUSED, refusal))
        reason = reasons.NAME_TAKEN if taken is not None else reasons.REFUSED
        return draft.set_condition(condition, "False", reason, refusal)
    if known is not None:
        # It was refused, and nothing is known yet of this attempt.
        draft = draft.set_condition(condition, "False", known.reason, known.message)
    return draft.request(ApplyWorkload(workload, wanted))
