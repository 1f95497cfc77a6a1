"""Takes over what runs already, as the first revision of a deployment."""

from mooring_operator.api import reasons
from mooring_operator.planning.actions import Notify
from mooring_operator.planning.rollout.commands import one_line
from mooring_operator.planning.rollout.compliance import refuse_what_is_forbidden
from mooring_operator.planning.rollout.draft import Draft, Settled
from mooring_operator.planning.rollout.situation import revision_named
from mooring_operator.planning.status.wording import by_whom

_LOOK_AGAIN = 60.0


def look_again(draft: Draft) -> float | None:
    """Seconds until what was taken over is looked at again: nobody tells of an edit, for it has no label of ours."""
    taken_over = draft.stable is not None and draft.stable.adopted is not None
    return _LOOK_AGAIN if taken_over else None


def refuse_to_take_over(draft: Draft) -> Draft:
    """Nothing is touched that is somebody else's, or that would be another thing afterwards."""
    adoption = draft.observed.adoption
    if adoption is None or not adoption.refusal:
        return draft
    return draft.stop(reasons.ADOPTION_REFUSED, adoption.refusal, temporary=adoption.temporary, soon=5.0)


def take_over_what_runs(draft: Draft) -> Draft:
    """What runs is the stable revision from now on; it has its traffic, so it goes through no tests and no steps."""
    adoption = draft.observed.adoption
    if adoption is None or draft.stable is not None:
        return draft
    allowed = refuse_what_is_forbidden(draft)
    if isinstance(allowed, Settled):
        return allowed
    draft = allowed.supersede("what runs already was taken over")
    wanted = revision_named(draft.target, draft.spec, draft.resolved)
    stable = wanted.model_copy(update={"adopted": adoption.service, "since": draft.now})
    name = adoption.service.partition("/")[0]
    by = by_whom(one_line(draft.observed.requested_by))
    message = f"revision {stable.revision} was taken over as {name} runs it{by}"
    taken = draft.record(stable, "Promoted", reasons.ADOPTED, message)
    return taken.change(stable=stable, failed_revision=None, failed_attempt=0).request(
        Notify("Normal", reasons.ADOPTED, message)
    )
