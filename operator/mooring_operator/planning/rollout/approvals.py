"""Decides which approvals count, and notes them."""

from typing import Literal

from mooring_operator.api import reasons
from mooring_operator.api.names import REQUESTED_BY, asker_annotation
from mooring_operator.api.rollout import Approve
from mooring_operator.api.rollout_status import MAX_APPROVERS, Candidate
from mooring_operator.planning.actions import Notify
from mooring_operator.planning.rollout.actions import DropCommand
from mooring_operator.planning.rollout.commands import Asked, one_line
from mooring_operator.planning.rollout.draft import RolloutDraft, Settled
from mooring_operator.planning.status.wording import because, by_whom
from mooring_operator.planning.strategies.course import Stage, course_of

# Seconds until the annotation of an approval that was noted is looked for again.
_LOOK_AGAIN = 2.0


def approved(
    draft: RolloutDraft, phase: Literal["Paused", "AwaitingApproval"]
) -> RolloutDraft | Settled | None:
    """Note an approval of this step, and go on when its annotation is gone; None where nobody has approved.

    Going on at once, a rollout that could not remove the annotation would take it for the next
    step's approval too.
    """
    candidate, before = draft.candidate, draft.before
    asked = draft.asked("approve", candidate.revision)
    noted = before.reason == reasons.APPROVED and _same_step(before.candidate, candidate)
    if asked is None:
        return draft if noted else None
    message = (
        f"revision {candidate.revision} was approved{by_whom(asked.by)} at {candidate.weight}% of traffic"
        f"{because(asked.note)}"
    )
    if not (noted and before.message.startswith(message)):
        draft = draft.request(Notify("Normal", reasons.APPROVED, message))
        if asked.by:
            others = [user for user in candidate.approved_by if user != asked.by]
            draft = draft.change_candidate(approved_by=[*others, asked.by][-MAX_APPROVERS:])
    taken_up = DropCommand("approve", draft.observed.commands["approve"])
    return draft.request(taken_up).settle(phase, reasons.APPROVED, message, recheck_after=_LOOK_AGAIN)


def without_own_approval(draft: RolloutDraft, step: Approve) -> RolloutDraft:
    """Drop an approval that the step does not count: it is for someone else than who asked for the revision."""
    return _without_own(draft, "approve") if _is_for_someone_else(step) else draft


def without_own_promotion(draft: RolloutDraft) -> RolloutDraft:
    """Drop a promotion that would skip an approval by someone else."""
    return _without_own(draft, "promote") if _awaits_someone_else(draft) else draft


def goes_back(draft: RolloutDraft) -> bool:
    """Whether the spec has gone back to a revision that was promoted before, and nobody else has to approve of it."""
    return draft.candidate.returns and not _awaits_someone_else(draft)


def _awaits_someone_else(draft: RolloutDraft) -> bool:
    return any(map(_is_for_someone_else, course_of(draft.spec.rollout)[draft.candidate.step :]))


def _is_for_someone_else(stage: Stage) -> bool:
    return isinstance(stage, Approve) and stage.by == "SomeoneElse"


def _without_own(draft: RolloutDraft, command: str) -> RolloutDraft:
    asked = draft.asked(command, draft.candidate.revision)
    if asked is None or (problem := _problem(draft, command, asked)) is None:
        return draft
    commands = {name: value for name, value in draft.observed.commands.items() if name != command}
    dropped = DropCommand(command, draft.observed.commands[command])
    message = f"{command} of {draft.candidate.revision}: {problem}"
    told = Notify("Warning", reasons.APPROVAL_REFUSED, message)
    return draft.with_commands(commands).request(dropped, told)


def _problem(draft: RolloutDraft, command: str, asked: Asked) -> str | None:
    """Why a command is not by someone else than who asked for the revision; None where it is."""
    requester = draft.candidate.requested_by or one_line(draft.observed.requested_by)
    wanted = "a step of spec.rollout is for someone else than who asked for the revision to approve"
    if not requester:
        given = f"; this was given{by_whom(asked.by)}" if asked.by else ""
        return f"{wanted}, and nobody is noted as that (annotation {REQUESTED_BY}){given}"
    if not asked.by:
        return f"{wanted}, and nobody is noted as who gives it (annotation {asker_annotation(command)})"
    return f"{wanted}; that was {requester}" if asked.by == requester else None


def _same_step(before: Candidate | None, now: Candidate) -> bool:
    return before is not None and (before.revision, before.step, before.steps_hash) == (
        now.revision,
        now.step,
        now.steps_hash,
    )
