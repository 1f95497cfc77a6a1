"""A step that starts a check: it waits for the outcome, and goes by it."""

from datetime import timedelta

from mooring_operator.api import reasons
from mooring_operator.api.checks import IN_WORDS, Check, CheckStatus, Outcome
from mooring_operator.planning import identity
from mooring_operator.planning.actions import Notify
from mooring_operator.planning.checks import CheckState, Question
from mooring_operator.planning.rollout.actions import DropCommand, StartCheck
from mooring_operator.planning.rollout.approvals import approved
from mooring_operator.planning.rollout.draft import RolloutDraft, Settled
from mooring_operator.planning.rollout.progress import STARTS_AGAIN, own_variant, until_deadline, who_serves
from mooring_operator.planning.runs import abandoned_runs
from mooring_operator.planning.runs.run import pause_in_run
from mooring_operator.planning.status.wording import because

_GRACE = timedelta(minutes=5)
"""Whoever runs a check ends it in time; one that has not ended so long after that is left."""
_TRY_AGAIN = 15.0


def await_check(draft: RolloutDraft, check: Check) -> RolloutDraft | Settled:
    """Start the check of this step, wait for its outcome, and go by it."""
    draft, known = _asked(draft, check)
    if known.outcome is not None:
        return _go_by(draft, check, known)
    problem, state = draft.observed.check_problem, draft.observed.check
    if state is not None and state.check_id == known.id and state.outcome is not None:
        # However long ago: the operator may have been away, or the rollout held.
        return _conclude(draft, check, known, state)
    if problem is not None and problem.final:
        return _conclude(draft, check, known, CheckState(known.id, "Insufficient", problem.message))
    if draft.elapsed(known.started_at) > check.timeout + _GRACE:
        late = CheckState(known.id, "Insufficient", "it has not ended in the time that it has")
        return _conclude(_leave(draft, known.id), check, known, late)
    if problem is not None:
        return _wait(draft, check, f"it cannot be started yet: {problem.message}", _TRY_AGAIN)
    if state is None or state.check_id != known.id:
        return _start(draft, check, known)
    if known.seen_at is None:
        draft = draft.change_candidate(check=known.model_copy(update={"seen_at": draft.now}))
    pause = pause_in_run(draft.elapsed(known.started_at), check.timeout)
    return _wait(draft, check, state.message, pause)


def left_behind(draft: Settled) -> str | None:
    """Give the check that goes on, for all that is known, and that nobody waits for any more."""
    old = draft.before.candidate.check if draft.before.candidate is not None else None
    new = draft.candidate.check if draft.candidate is not None else None
    if old is None or old.outcome is not None or (new is not None and new.id == old.id):
        return None
    seen = draft.observed.check
    has_ended = seen is not None and seen.check_id == old.id and seen.outcome is not None
    return None if has_ended else old.id


def _asked(draft: RolloutDraft, check: Check) -> tuple[RolloutDraft, CheckStatus]:
    """Give the check of this step as status has it; one that was lost says nothing, and is asked again."""
    known = draft.candidate.check
    if known is not None and _is_lost(draft, known):
        draft = _leave(draft, known.id, ended=True)
    check_id = _id(draft, check)
    if known is None or known.id != check_id:
        known = CheckStatus(id=check_id, kind=check.kind, step=draft.candidate.step, started_at=draft.now)
        draft = draft.change_candidate(check=known)
    return draft, known


def _start(draft: RolloutDraft, check: Check, known: CheckStatus) -> Settled:
    """Have the check started; where that is tried again, what was said of it stands until it is known better."""
    draft, before = draft.request(StartCheck(_question(draft, check, known))), draft.before
    tried = before.candidate is not None and before.candidate.check == known
    if tried and before.reason == reasons.CHECKING:
        return draft.settle("Canary", reasons.CHECKING, before.message, recheck_after=1.0)
    return _wait(draft, check, "", 1.0)


def _question(draft: RolloutDraft, check: Check, known: CheckStatus) -> Question:
    variant = own_variant(draft)
    address = variant.address if variant is not None else ""
    return Question(known.id, check, draft.candidate, draft.stable, known.started_at, address)


def _id(draft: RolloutDraft, check: Check) -> str:
    owner, candidate = draft.observed.owner.uid, draft.candidate
    return abandoned_runs.first_free(
        draft.status.abandoned_runs, lambda round_: identity.check_id_of(owner, candidate, check, round_)
    )


def _is_lost(draft: RolloutDraft, known: CheckStatus) -> bool:
    """Whether what runs the check was there and is there no more."""
    before = draft.before.candidate.check if draft.before.candidate is not None else None
    asked_about = before is not None and before.id == known.id
    return asked_about and not known.outcome and known.seen_at is not None and draft.observed.check is None


def _leave(draft: RolloutDraft, check_id: str, *, ended: bool = False) -> RolloutDraft:
    runs = draft.status.abandoned_runs
    return draft.change(
        abandoned_runs=abandoned_runs.abandon(runs, check_id, draft.now, ended=ended, check=True)
    )


def _conclude(
    draft: RolloutDraft, check: Check, known: CheckStatus, state: CheckState
) -> RolloutDraft | Settled:
    """Note the outcome; what people approved of before they could know it does not count."""
    ended = {"outcome": state.outcome, "message": state.message, "ended_at": draft.now}
    known = CheckStatus.model_validate({**known.model_dump(), **ended})
    draft = draft.change_candidate(check=known)
    if known.outcome == "Pass":
        told = _sentence(draft, check, "Pass", state.message)
        return draft.request(Notify("Normal", reasons.CHECK_PASSED, told))
    if draft.asked("approve", draft.candidate.revision) is not None:
        commands = dict(draft.observed.commands)
        dropped = DropCommand("approve", commands.pop("approve"))
        draft = draft.with_commands(commands).request(dropped)
    return _go_by(draft, check, known)


def _go_by(draft: RolloutDraft, check: Check, known: CheckStatus) -> RolloutDraft | Settled:
    if known.outcome is None or known.outcome == "Pass":
        return draft
    message = _sentence(draft, check, known.outcome, known.message)
    if check.consequence_of(known.outcome) == "RollBack":
        reason = reasons.CHECK_FAILED if known.outcome == "Fail" else reasons.CHECK_INSUFFICIENT
        return draft.reject(reason, message + who_serves(draft, STARTS_AGAIN))
    return approved(draft, "Paused") or draft.settle(
        "Paused", reasons.PAUSED_BY_CHECK, message, recheck_after=until_deadline(draft)
    )


def _wait(draft: RolloutDraft, check: Check, why: str, pause: float) -> Settled:
    candidate = draft.candidate
    message = f"{_subject(draft, check)} is under way (step {candidate.step}){because(why)}"
    recheck = min(pause, until_deadline(draft) or pause)
    return draft.settle("Canary", reasons.CHECKING, message, recheck_after=recheck)


def _sentence(draft: RolloutDraft, check: Check, outcome: Outcome, why: str) -> str:
    return f"{_subject(draft, check)} {IN_WORDS[outcome]}{because(why)}"


def _subject(draft: RolloutDraft, check: Check) -> str:
    candidate = draft.candidate
    return f"revision {candidate.revision} at {candidate.weight}% of traffic: {check.title}"
