"""How a candidate comes along: its pods, its part of the traffic, and its clock."""

from datetime import timedelta
from typing import Any

from mooring_operator.api import reasons
from mooring_operator.api.rollout_status import Phase
from mooring_operator.planning.rollout.draft import Draft, RolloutDraft, Settled
from mooring_operator.planning.rollout.traffic import routing_of, seen_of, share_of, variant_of
from mooring_operator.planning.routes import Variant
from mooring_operator.planning.status import conditions
from mooring_operator.planning.status.wording import because, keeps_serving
from mooring_operator.planning.strategies import capacity

# Seconds. Replicas come and go without a sign on what is watched; most else shows there.
LOOK_AGAIN = 2.0
LOOK_AGAIN_SELDOM = 15.0

ROUTER = "RouterReady"
"""The condition in which a router says what it cannot give."""
_A_MOMENT = timedelta(seconds=10)


def note_progress(draft: RolloutDraft) -> RolloutDraft:
    """Note what both sides are seen to have; a clock that stood goes on where it was."""
    draft = _note_clock(_note_pods(draft))
    candidate, variant = draft.candidate, own_variant(draft)
    if _nobody_can_tell(draft):
        return draft
    routed = variant.weight if variant is not None and candidate.runs else None
    if routed != candidate.routed:
        lost = min(candidate.settled, routed or 0)
        return draft.change_candidate(routed=routed, routed_since=draft.now, settled=lost)
    since = candidate.routed_since
    if draft.spec.rollout.max_surge is None or since is None or candidate.settled == (routed or 0):
        return draft
    if draft.elapsed(since) < draft.spec.rollout.scale_down_delay:
        return draft
    return draft.change_candidate(settled=routed or 0)


_NOBODY = "nothing answers"
STARTS_AGAIN = "starts again"
"""What becomes of a stable revision that has stopped for a candidate which is given up."""
REFUSED_WAY_OUT = "; correct spec.serving, or what refuses it"


def drop_if_hopeless(draft: RolloutDraft) -> RolloutDraft | Settled:
    """Reject a candidate that is refused, blocked, or unready for longer than it may be."""
    candidate = draft.candidate
    stays = who_serves(draft, STARTS_AGAIN)
    name = f"revision {candidate.revision}"
    if draft.observed.refused is not None:
        return draft.reject(
            reasons.SERVICE_REFUSED, f"{name}: {draft.observed.refused}{REFUSED_WAY_OUT}{stays}"
        )
    if not candidate.runs:
        return draft
    variant = own_variant(draft)
    if variant is not None and variant.blocked is not None:
        return draft.reject(reasons.CANDIDATE_BLOCKED, f"{name}: {variant.blocked}{stays}")
    if waits_for(draft):
        return draft
    if variant is not None and variant.ready and not _pods_missing(draft):
        return draft.change_candidate(unready_since=None) if candidate.unready_since else draft
    since = candidate.unready_since or draft.now
    deadline = draft.spec.rollout.progress_deadline
    if draft.elapsed(since) >= deadline:
        message = f"{name} was not ready for {int(deadline.total_seconds())} s{why_unready(draft)}{stays}"
        return draft.reject(reasons.PROGRESS_DEADLINE_EXCEEDED, message)
    return draft.change_candidate(unready_since=since)


def settle_waiting(
    draft: RolloutDraft, phase: Phase, reason: str, message: str, *, recheck_after: float | None = None
) -> Settled:
    """Stop here until the candidate comes along; where something outside is away, say so and nothing else."""
    cause = waits_for(draft)
    if cause and _passes_in_a_moment(draft):
        return draft.settle(phase, reason, message, recheck_after=LOOK_AGAIN)
    if cause:
        serves = who_serves(draft, _NOBODY)
        said = f"revision {draft.candidate.revision} waits, and its clock stands: {cause}{serves}"
        return draft.settle(phase, reasons.WAITING, said, recheck_after=LOOK_AGAIN_SELDOM)
    return draft.settle(phase, reason, message, recheck_after=recheck_after or until_deadline(draft))


def who_serves(draft: RolloutDraft, otherwise: str) -> str:
    """Say behind a semicolon whom users get, or `otherwise` where the stable revision has stopped for the candidate."""
    stable, variant = draft.stable, variant_of(draft, draft.stable)
    if stable is None or draft.spec.rollout.strategy != "Recreate" or not draft.candidate.runs:
        return keeps_serving(stable)
    if variant is not None and variant.pods:
        return keeps_serving(stable)
    return f"; revision {stable.revision} has stopped for it, and {otherwise}"


def own_variant(draft: RolloutDraft) -> Variant | None:
    """Give how the candidate does, as the router tells it."""
    return variant_of(draft, draft.candidate)


def in_effect(draft: RolloutDraft) -> bool:
    """Whether the candidate has the traffic that it should get, and the pods for it."""
    candidate, variant = draft.candidate, own_variant(draft)
    if variant is None or not variant.ready:
        return False
    routed = variant.weight or 0
    if draft.stable is None or not draft.observed.router.serves_each:
        return routed == candidate.weight
    share, seen = share_of(draft, candidate), seen_of(draft, candidate)
    pods = max(capacity.needed(candidate.weight, seen.whole), share.pods)
    if share.weight != candidate.weight or seen.pods < pods:
        return False
    if draft.observed.router.weighs_by_pods and candidate.weight not in (0, 100):
        least = 100 * pods // (pods + capacity.beside(candidate.weight, pods))
        return least <= routed <= candidate.weight
    return routed == candidate.weight and not _missing_beside(draft)


def waits_for(draft: RolloutDraft) -> str:
    """Name what the candidate waits for that is not its own doing; nothing where it is all its own."""
    service, variant = draft.observed.service, own_variant(draft)
    return (
        draft.observed.unwritten
        or (variant.waiting if variant is not None else "")
        or (service.problem if service is not None and not is_being_taken_up(draft) else "")
    )


def is_being_taken_up(draft: Draft) -> bool:
    """Whether what decides about requests has a moment yet to say that it knows what was changed: nothing is wrong."""
    service = draft.observed.service
    if service is None or not service.lagging:
        return False
    known = conditions.find(draft.before.conditions, ROUTER)
    if known is None or known.status == "True":
        return True
    return known.status == "Unknown" and draft.elapsed(known.last_transition_time) < _A_MOMENT


def _passes_in_a_moment(draft: RolloutDraft) -> bool:
    """Whether a controller has yet to answer for what was just changed, as it does after every change: no news."""
    service, since = draft.observed.service, draft.candidate.waiting_since
    if draft.observed.unwritten or (service is not None and service.problem) or since is None:
        return False
    return draft.elapsed(since) < _A_MOMENT


def waiting_for(draft: RolloutDraft) -> str:
    """Say what keeps the candidate from the traffic that it should get."""
    variant = own_variant(draft)
    if variant is None:
        return f"waiting for {draft.observed.router.controller} to start it"
    if not variant.ready or _pods_missing(draft):
        return f"waiting for it to become ready{why_unready(draft)}"
    return _missing_beside(draft) or f"it has {variant.weight or 0}% so far"


def why_unready(draft: RolloutDraft) -> str:
    """Say why the candidate is not ready, behind a colon; nothing where nothing is known."""
    variant = own_variant(draft)
    if variant is not None and variant.message:
        return because(variant.message)
    missing = _pods_missing(draft) if variant is not None else ""
    return because(missing)


def out_of_effect(draft: RolloutDraft) -> str:
    """Say behind a semicolon what there is no more of what the candidate was given, and that stable does not answer."""
    stable, candidate = draft.stable, draft.candidate
    if stable is None or not candidate.runs:
        return ""
    said = ""
    if not in_effect(draft):
        said = f"; that is not in effect now: {waits_for(draft) or waiting_for(draft)}"
    serving = variant_of(draft, stable)
    asked = share_of(draft, candidate)
    if serving is not None and serving.pods == 0 and asked.weight < 100:
        said += f"; revision {stable.revision} has no pod that is ready{because(serving.message)}"
    return said


def until_deadline(draft: RolloutDraft) -> float | None:
    """Seconds until a candidate that is waited for has to be looked at again; None while there is no need."""
    candidate = draft.candidate
    if not candidate.runs or (candidate.unready_since is None and in_effect(draft)):
        return None
    # Up to 100% what is watched tells who is ready; that all replicas are there, or what is routed, only a look does.
    variant = own_variant(draft)
    soon = candidate.weight == 100 or (variant is not None and variant.ready)
    pause = LOOK_AGAIN if draft.stable is not None and soon else LOOK_AGAIN_SELDOM
    since = candidate.unready_since or candidate.step_started_at
    left = (draft.spec.rollout.progress_deadline - draft.elapsed(since)).total_seconds()
    return max(min(left, pause), 0.1) if candidate.unready_since else pause


def _note_pods(draft: RolloutDraft) -> RolloutDraft:
    """Note the most pods that the stable revision has had: as many carry all traffic."""
    stable, known = draft.stable, draft.candidate.stable_pods
    if stable is None or not draft.candidate.runs or not draft.observed.router.serves_each:
        return draft
    variant = variant_of(draft, stable)
    seen = (variant.pods if variant is not None else None) or (
        0 if known else stable.serving_spec.min_replicas
    )
    whole = max(known or 1, seen)
    return draft if whole == known else draft.change_candidate(stable_pods=whole)


def _note_clock(draft: RolloutDraft) -> RolloutDraft:
    candidate = draft.candidate
    stood: dict[str, Any] = {}
    if waits_for(draft):
        stood = {} if candidate.waiting_since else {"waiting_since": draft.now}
    elif candidate.waiting_since is not None:
        unready = candidate.unready_since
        later = unready + draft.elapsed(max(candidate.waiting_since, unready)) if unready else None
        stood = {"waiting_since": None, "unready_since": later}
    return draft.change_candidate(**stood) if stood else draft


def _nobody_can_tell(draft: RolloutDraft) -> bool:
    """Whether a candidate that has had traffic may still have it: its pods are there, and no gateway says what it does.

    Then status keeps what was seen last.
    """
    service, variant = draft.observed.service, own_variant(draft)
    unsettled = service is not None and service.unsettled and variant is not None and variant.ready
    return unsettled and draft.candidate.runs and draft.candidate.routed is not None


def _missing_beside(draft: RolloutDraft) -> str:
    """Say what differs from what the candidate is to get beside its weight; nothing where the router does not tell.

    What is asked for as soon as it has its pods is in the routing that is carried out; an earlier spec may have asked
    for more.
    """
    candidate, routing, variant = draft.candidate, routing_of(draft), own_variant(draft)
    beside = variant.beside if variant is not None else None
    if routing is None or beside is None:
        return ""
    copied = routing.mirror.percent if routing.mirror is not None else 0
    if beside.mirrored != copied:
        if not beside.mirrored:
            return "no copies of requests go to it yet"
        more = f"go to it, and not of {copied}% yet" if copied else "still go to it"
        return f"copies of {beside.mirrored}% of requests {more}"
    led = any(rule.revision == candidate.revision for rule in routing.rules)
    if beside.matched != led:
        return f"requests that match {'do not go to it yet' if led else 'still go to it'}"
    if routing.preview and beside.previewed is False:
        return "its preview address does not lead to it yet" + because(beside.unpreviewed)
    return ""


def _pods_missing(draft: RolloutDraft) -> str:
    """Say which pods the candidate lacks; nothing where it lacks none, or where the router does not tell."""
    if draft.stable is None or not draft.observed.router.serves_each:
        return ""
    wanted, ready = share_of(draft, draft.candidate).pods, seen_of(draft, draft.candidate).pods
    return f"{ready} of {wanted} pods are ready" if ready < wanted else ""
