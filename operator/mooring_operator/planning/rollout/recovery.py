"""Finds out which revision is stable where the status does not say it, and revisions serve.

A restored backup has no status, and a status can be edited by hand. The spec is not taken for a first revision then:
it would get all requests of those that serve, without a step.
"""

from collections.abc import Sequence

from mooring_operator.api import reasons
from mooring_operator.api.runtimes import PinnedRuntime
from mooring_operator.planning.rollout.actions import ForgetRuntime
from mooring_operator.planning.rollout.draft import Draft, Settled
from mooring_operator.planning.rollout.gates import wait_for_the_runtime
from mooring_operator.planning.rollout.runtimes import NoRuntime
from mooring_operator.planning.rollout.serving import is_unknown
from mooring_operator.planning.rollout.situation import revision_named
from mooring_operator.planning.routes import Running
from mooring_operator.planning.status.wording import one_line

_SOON, _LOOK_AGAIN = 1.0, 60.0
_MOST_NAMED = 3


def recover_what_serves(draft: Draft) -> Draft:
    """What has the requests is stable, where the spec asks for it; else nothing moves until somebody decides."""
    if not is_unknown(draft):
        return _have_it_all(draft)
    serving, target = draft.observed.serving, _target(draft)
    if target is None:
        return wait_for_the_runtime(draft)
    if draft.observed.runtime_asked:
        draft = draft.request(ForgetRuntime())
    if draft.asked("retry", target) is not None:
        # Nothing of what is left of the status is to make it look lost once more.
        return draft.forget_serving().without_candidate(previous=None, retained=[])
    if serving[0].revision != target:
        return _wait_for_a_person(draft, serving, target)
    return _recover(draft, serving, target)


def _target(draft: Draft) -> str | None:
    """Give the revision that the spec asks for; None while it is not known what it would run on."""
    before, first = draft.before, draft.observed.serving[0].revision
    told = before.reason == reasons.STATUS_UNREADABLE and first != before.failed_revision
    if told and before.observed_generation == draft.observed.owner.generation:
        # Nobody is asked again and again what it would run on.
        return before.failed_revision
    return None if isinstance(draft.observed.runtime, NoRuntime) else draft.target


def _recover(draft: Draft, serving: Sequence[Running], target: str) -> Settled:
    runtime = draft.observed.runtime
    stable = revision_named(target, draft.spec, draft.resolved).model_copy(
        update={
            "workload": serving[0].workload,
            "runtime": runtime if isinstance(runtime, PinnedRuntime) else None,
            "since": draft.now,
        }
    )
    if draft.candidate is not None and draft.candidate.revision == target:
        draft = draft.without_candidate()
    message = (
        f"the status named no stable revision: revision {target} is taken for it, for {_listed(serving)}"
    )
    draft = draft.change(stable=stable, failed_revision=None, failed_attempt=0)
    return draft.settle("Promoting", reasons.STATUS_REPAIRED, message, recheck_after=_SOON)


def _have_it_all(draft: Draft) -> Draft:
    """For a while others may still have requests on their way to them."""
    before, stable = draft.before, draft.stable
    if before.reason != reasons.STATUS_REPAIRED or stable is None or stable.since is None:
        return draft
    left = (draft.spec.rollout.scale_down_delay - draft.elapsed(stable.since)).total_seconds()
    if left <= 0:
        return draft
    return draft.settle(before.phase, before.reason, before.message, recheck_after=left)


def _wait_for_a_person(draft: Draft, serving: Sequence[Running], target: str) -> Settled:
    message = (
        f"status.stable is missing, and {_listed(serving)}; the spec asks for revision {target}, which would get all "
        "requests at once. Nothing is moved. Apply the spec of "
        f"{f'revision {serving[0].revision}' if serving[0].revision else 'what serves'} first, and it is stable again; "
        "or have the new one take over without steps, by mooring retry"
    )
    draft = draft.change(failed_revision=target)
    return draft.settle("Failed", reasons.STATUS_UNREADABLE, message, recheck_after=_LOOK_AGAIN, stalled=True)


def _listed(serving: Sequence[Running]) -> str:
    named = ", ".join(map(str, serving[:_MOST_NAMED]))
    more = len(serving) - _MOST_NAMED
    return one_line(f"{named} and {more} more" if more > 0 else named, 700)
