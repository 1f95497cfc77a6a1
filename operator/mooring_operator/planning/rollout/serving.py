"""Whether the status still says what serves."""

from mooring_operator.api import reasons
from mooring_operator.api.rollout_status import ModelDeploymentStatus
from mooring_operator.planning.rollout.draft import Draft


def may_be_lost(status: ModelDeploymentStatus) -> bool:
    """Whether a status without a stable revision may once have had one: what serves has to be looked at."""
    if status.stable is not None:
        return False
    candidate = status.candidate
    had_one = status.previous is not None or bool(status.retained)
    return candidate is None or had_one or candidate.stable_pods is not None


def is_unknown(draft: Draft) -> bool:
    """Whether revisions serve, and which one is stable was not known when they were looked at: nothing may be moved."""
    return bool(draft.observed.serving)


def has_just_been_recovered(draft: Draft) -> bool:
    """Whether what others had of the requests is gone, so that they may go."""
    return draft.before.reason == reasons.STATUS_REPAIRED != draft.status.reason
