"""What becomes of a candidate for the run that it waits for: it waits on, has passed, or ends."""

from mooring_operator.api import reasons
from mooring_operator.api.rollout_status import CIStatus
from mooring_operator.planning.rollout.draft import RolloutDraft, Settled
from mooring_operator.planning.status.wording import keeps_serving


def wait(draft: RolloutDraft, message: str, recheck_after: float) -> Settled:
    """Settle on a run that is under way."""
    draft = draft.set_condition("Tested", "Unknown", reasons.TESTING, message)
    return draft.settle("Testing", reasons.TESTING, message, recheck_after=recheck_after)


def passed(draft: RolloutDraft, status: CIStatus) -> RolloutDraft:
    """Go on: the run met every gate."""
    known = draft.change(ci=status)
    beside = f"; {status.message}" if status.message else ""
    message = f"run {status.run_id} met every gate{beside}"
    return known.set_condition("Tested", "True", reasons.CI_PASSED, message)


def reject_run(draft: RolloutDraft, status: CIStatus, reason: str, message: str) -> Settled:
    """End the candidate for what became of its run."""
    stays = keeps_serving(draft.stable, otherwise="nothing of it is served")
    failed = draft.change(ci=status.model_copy(update={"verdict": "Failed", "message": message}))
    return failed.set_condition("Tested", "False", reason, message).reject(reason, message + stays)
