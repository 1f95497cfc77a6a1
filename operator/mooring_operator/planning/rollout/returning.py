"""Goes back to the revision that was promoted before: asked for, or because of what the stable one answers."""

from mooring_operator.api import reasons
from mooring_operator.api.rollout_status import Candidate, Revision
from mooring_operator.planning.actions import Notify
from mooring_operator.planning.rollout import variants
from mooring_operator.planning.rollout.actions import DropCommand
from mooring_operator.planning.rollout.analysis import watch_the_promoted
from mooring_operator.planning.rollout.candidates import named
from mooring_operator.planning.rollout.draft import Draft, RolloutDraft, Settled
from mooring_operator.planning.rollout.holds import hold_forward
from mooring_operator.planning.rollout.steps import restore
from mooring_operator.planning.status.wording import because, by_whom


def go_back_when_asked(draft: Draft) -> Draft:
    """Bring the previous revision back beside the stable one; it takes over as soon as it is ready."""
    stable, previous, current = draft.stable, draft.status.previous, draft.candidate
    if stable is None or (current is not None and current.restores):
        return draft
    asked = draft.asked("rollback", stable.revision)
    if asked is None:
        return draft
    if previous is None:
        message = (
            f"cannot roll back from {stable.revision}, as asked{by_whom(asked.by)}: no revision was promoted "
            "before it"
        )
        return draft.request(Notify("Warning", reasons.NOTHING_TO_ROLL_BACK_TO, message))
    draft = draft.supersede(f"revision {stable.revision} is being left", reason=reasons.ROLLBACK_REQUESTED)
    taken_up = DropCommand("rollback", draft.observed.commands["rollback"])
    return _returning(draft.request(taken_up), previous, asked.note, asked.by)


def go_back_on_evidence(draft: Draft) -> Draft:
    """Leave a revision that is watched after its promotion, and answers worse than what was there before."""
    draft, why = watch_the_promoted(draft)
    stable, previous = draft.stable, draft.status.previous
    if not why or stable is None or previous is None:
        return draft
    told = f"revision {stable.revision} is left after its promotion: {why}"
    draft = draft.request(Notify("Warning", reasons.ANALYSIS_FAILED, told))
    return _returning(draft, previous, why, "analysis")


def finish_going_back(draft: Draft) -> Draft:
    """While the previous revision comes back, what the spec asks for has to wait."""
    candidate, left = draft.candidate, draft.stable
    if candidate is None or not candidate.restores or left is None:
        return draft
    return restore(draft.with_candidate(candidate), left)


def decide_for_another_arm(draft: RolloutDraft) -> RolloutDraft | Settled:
    """A person has decided a test: the stable revision stays, or a variant takes over as soon as it can."""
    stable, current = draft.stable, draft.candidate
    if stable is None or not variants.goes_on(draft):
        return draft
    asked = draft.asked("promote", stable.revision)
    if asked is not None:
        decided = f"revision {current.revision} lost its test against revision {stable.revision}"
        return draft.reject(reasons.ABORTED, f"{decided}, decided{by_whom(asked.by)}{because(asked.note)}")
    for side in variants.running(draft):
        won = side.revision.revision
        if (asked := draft.asked("promote", won)) is None:
            continue
        if (held := hold_forward(draft)) is not None:
            return held
        why = f"revision {won} was promoted in its place"
        decided_draft = draft.supersede(why, reason=reasons.ROLLBACK_REQUESTED)
        taken_up = DropCommand("promote", draft.observed.commands["promote"])
        note = f"it won the test as variant {side.asked.name}{because(asked.note)}"
        returning = _returning(
            decided_draft.request(taken_up),
            side.revision.as_revision(),
            note,
            asked.by,
        )
        return restore(returning.change_candidate(stable_pods=current.stable_pods), stable)
    return draft


def _returning(draft: Draft, previous: Revision, note: str, by: str) -> RolloutDraft:
    """Go on with the previous revision on its way back."""
    found = draft.status.analysis
    if found is not None and found.candidate == previous.revision:
        # Whoever asks for it has overruled what was found of it.
        draft = draft.change(analysis=None)
    returning = Candidate(
        **previous.model_dump(exclude={"workload", "since"}),
        restores=True,
        note=note,
        requested_by=by,
        started_at=draft.now,
        step_started_at=draft.now,
    )
    return draft.with_candidate(named(draft, returning))
