"""Revisions that have lost their traffic: they keep their pods for a while, and some stay without any to go back to."""

from collections.abc import Iterator
from datetime import datetime
from typing import TypeVar

from mooring_operator.api.rollout_status import Retained
from mooring_operator.planning.rollout.draft import Draft
from mooring_operator.planning.strategies import capacity

DraftT = TypeVar("DraftT", bound=Draft)

# Seconds between two looks at a revision that keeps traffic until others have the pods for it.
_LOOK_AGAIN = 2.0


def trim(draft: DraftT) -> DraftT:
    """Drop the revisions whose time is over, and that no history keeps."""
    kept, room = [], draft.spec.revision_history_limit
    for known in draft.status.retained:
        if known.variant is not None or is_leaving(draft, known):
            kept.append(known)
        elif not known.rejected and room > 0:
            room -= 1
            kept.append(known.model_copy(update={"pods": None, "weight": 0}))
    return draft if kept == draft.status.retained else draft.change(retained=kept)


def is_leaving(draft: Draft, known: Retained) -> bool:
    """Whether a revision still has its pods: for a while after it has lost its traffic, or until it has."""
    if known.pods is None:
        return False
    if draft.elapsed(known.left_at) < draft.spec.rollout.scale_down_delay:
        return True
    return keeps(draft, known) > 0 or _may_be_routed(draft, known)


def at_hand_until(draft: Draft) -> datetime | None:
    """Say how long the last of those that have lost their traffic keep pods to go back to; None: no longer."""
    ends = [
        known.left_at + draft.spec.rollout.scale_down_delay
        for known in draft.status.retained
        if known.variant is None and known.pods
    ]
    return max((end for end in ends if end > draft.now), default=None)


def keeps(draft: Draft, known: Retained) -> int:
    """Give the percent that a revision which is being left keeps, for want of pods beside it.

    What serves nobody any more keeps nothing, nor does what has been waited for too long.
    """
    if known.weight == 0 or draft.stable is None or draft.observed.service is None:
        return 0
    seen = draft.observed.service.variants
    own, stable = seen.get(known.revision), seen.get(draft.stable.revision)
    if own is None or not own.ready:
        return 0
    if draft.elapsed(known.left_at) >= draft.spec.rollout.progress_deadline:
        return 0
    if stable is None or stable.pods is None:
        return 0
    lacks = 100 - capacity.carried(stable.pods, known.stable_pods)
    # Where there are too few pods on both sides together, each has its part of what there is.
    return min(known.weight, lacks, capacity.part(own.pods or 0, stable.pods))


def _may_be_routed(draft: Draft, known: Retained) -> bool:
    """Whether requests are seen to go to a revision, or nobody can tell that none do."""
    service = draft.observed.service
    variant = service.variants.get(known.revision) if service is not None else None
    return service is not None and variant is not None and (service.unsettled or bool(variant.weight))


def look_again(draft: Draft) -> float | None:
    """Seconds until the next one of them has to be looked at; None where none has pods."""
    return min(_pauses(draft, draft.now), default=None)


def _pauses(draft: Draft, now: datetime) -> Iterator[float]:
    for known in draft.status.retained:
        if is_leaving(draft, known):
            left = (known.left_at + draft.spec.rollout.scale_down_delay - now).total_seconds()
            yield max(left, _LOOK_AGAIN)
