"""Steps that end by evidence: they wait for a verdict, or need not wait any longer."""

from datetime import timedelta

from mooring_operator.api import reasons
from mooring_operator.api.analysis import Analyse
from mooring_operator.planning.actions import Notify
from mooring_operator.planning.rollout.analysis import evidence_of, verdict_of_step
from mooring_operator.planning.rollout.approvals import approved
from mooring_operator.planning.rollout.draft import RolloutDraft, Settled
from mooring_operator.planning.rollout.progress import STARTS_AGAIN, until_deadline, who_serves
from mooring_operator.planning.status.wording import because

_LONGEST_ANSWER = timedelta(minutes=5)
"""After a step, for what was counted in it: who does not answer by then does not answer."""
_SOON = 5.0
_ON_ITS_WAY = "what was counted up to then has not been answered yet"


def await_verdict(draft: RolloutDraft, step: Analyse) -> RolloutDraft | Settled:
    """Wait until the evidence of this step says PASS, or for as long as the step allows."""
    if draft.spec.rollout.analysis is None or draft.candidate.returns:
        return draft
    draft, verdict = verdict_of_step(draft)
    if verdict == "PASS":
        return draft
    candidate, found = draft.candidate, draft.status.analysis
    known = found.message if found is not None else ""
    problem = draft.observed.counting.problem or (found.problem if found is not None else "")
    said = f"revision {candidate.revision} at {candidate.weight}% of traffic"
    left = (step.duration - draft.elapsed(candidate.step_started_at)).total_seconds()
    if left > 0:
        end = f"{candidate.step_started_at + step.duration:%H:%M:%S} UTC"
        message = f"{said} is judged until {end} at most (step {candidate.step}){because(problem or known)}"
        recheck = min(left, until_deadline(draft) or left)
        return draft.settle("Canary", reasons.ANALYSING, message, recheck_after=recheck)
    is_open = not problem and _is_unanswered(draft, step)
    if is_open and timedelta(seconds=-left) < _LONGEST_ANSWER:
        message = f"{said} is judged (step {candidate.step}){because(_ON_ITS_WAY)}"
        return draft.settle("Canary", reasons.ANALYSING, message, recheck_after=_SOON)
    problem = problem or (_ON_ITS_WAY if is_open else _unmeasured(draft))
    message = f"{said}: too little evidence (step {candidate.step}){because(problem or known)}"
    allowed = approved(draft, "Paused")
    if allowed is not None:
        return allowed
    # What could not be counted is nobody's fault.
    match "Pause" if problem else step.on_insufficient:
        case "Pass":
            return draft.request(Notify("Normal", reasons.ANALYSIS_INSUFFICIENT, f"{message}; it goes on"))
        case "Fail":
            return draft.reject(reasons.ANALYSIS_INSUFFICIENT, message + who_serves(draft, STARTS_AGAIN))
        case _:
            pause = until_deadline(draft)
            return draft.settle("Paused", reasons.PAUSED_BY_ANALYSIS, message, recheck_after=pause)


def _is_unanswered(draft: RolloutDraft, step: Analyse) -> bool:
    """Whether there is a look of this step that nobody has told of yet: an answer that takes its time is none."""
    found = draft.status.analysis
    if found is None:
        return False
    end = draft.candidate.step_started_at + step.duration
    return draft.observed.counting.until(found.until, end) > found.until


def _unmeasured(draft: RolloutDraft) -> str:
    """Say which query comes to no number, be it not often enough to be said before: that rolls nothing back."""
    found, analysis = draft.status.analysis, draft.spec.rollout.analysis
    if found is None or analysis is None:
        return ""
    evidence = evidence_of(found, analysis)
    return next(
        (
            f"{query.where}: its last {tally.consecutive_errors} measurements came to no number"
            for query in evidence.queries
            if (tally := evidence.tallies[query.name]).consecutive_errors and not query.query.dry_run
        ),
        "",
    )


def ends_early(draft: RolloutDraft) -> tuple[RolloutDraft, bool]:
    """Whether the evidence ends what has a duration before it is over."""
    analysis = draft.spec.rollout.analysis
    if analysis is None or not analysis.early_promotion:
        return draft, False
    draft, verdict = verdict_of_step(draft)
    return draft, verdict == "PASS"
