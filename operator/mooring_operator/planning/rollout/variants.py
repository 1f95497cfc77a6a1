"""The kept revisions that answer beside the stable and the new one while an A/B test goes on: its variants."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

from mooring_operator.api.rollout_status import Retained
from mooring_operator.api.strategies import ABVariant
from mooring_operator.planning.rollout import retained
from mooring_operator.planning.rollout.draft import Draft
from mooring_operator.planning.strategies import capacity

DraftT = TypeVar("DraftT", bound=Draft)


@dataclass(frozen=True)
class Side:
    """A variant as the spec asks for it, and the revision that status keeps."""

    asked: ABVariant
    revision: Retained

    def __str__(self) -> str:
        """Give it as messages name it."""
        return f"variant {self.asked.name} ({self.asked.revision})"


def running(draft: Draft) -> list[Side]:
    """Give the variants that run now: those of a test that goes on, as far as there are such revisions."""
    if not goes_on(draft) or not draft.observed.router.splits_many:
        return []
    return [
        Side(asked, known)
        for asked in variants_of(draft)
        for known in draft.status.retained
        if known.revision == asked.revision and not why_not(draft, asked) and not _is_needed(draft, known)
    ]


def _is_needed(draft: Draft, known: Retained) -> bool:
    """Whether a revision that was left serves what the stable one has no pods for: that comes first."""
    return known.variant is None and retained.keeps(draft, known) > 0


def goes_on(draft: Draft) -> bool:
    """Whether an A/B test goes on."""
    candidate, test = draft.candidate, draft.spec.rollout.ab_test
    return (
        test is not None
        and draft.stable is not None
        and candidate is not None
        and candidate.runs
        and candidate.matched
    )


def variants_of(draft: Draft) -> list[ABVariant]:
    """Give the variants that the spec asks for."""
    test = draft.spec.rollout.ab_test
    return test.variants if test is not None else []


def why_not(draft: Draft, asked: ABVariant) -> str:
    """Say why a revision cannot be a variant; nothing where it can."""
    for role, revision in (("stable", draft.stable), ("new", draft.candidate)):
        if revision is not None and revision.revision == asked.revision:
            return f"it is the {role} revision, which takes part as that"
    kept = [known.revision for known in draft.status.retained if not known.rejected]
    if asked.revision in kept:
        return ""
    there = f"status.retained has {', '.join(kept)}" if kept else "status.retained has none"
    return f"it is not kept, {there} (spec.revisionHistoryLimit is {draft.spec.revision_history_limit})"


def refused(draft: Draft) -> Iterator[str]:
    """Say which of the spec's variants cannot take part, and why."""
    for index, asked in enumerate(variants_of(draft)):
        if why := why_not(draft, asked):
            yield f"spec.rollout.abTest.variants[{index}].revision {asked.revision}: {why}"


def follow(draft: DraftT) -> DraftT:
    """Note what the variants are to get and are seen to get; one whose test is over keeps its pods for a while."""
    sides = {side.revision.revision: side for side in running(draft)}
    entries = [_noted(draft, known, sides.get(known.revision)) for known in draft.status.retained]
    return draft if entries == draft.status.retained else draft.change(retained=entries)


def _noted(draft: Draft, known: Retained, side: Side | None) -> Retained:
    if side is not None:
        service = draft.observed.service
        seen = service.variants.get(known.revision) if service is not None else None
        gets = {"weight": side.asked.weight, "routed": seen.weight if seen is not None else None}
        return known.model_copy(update={"variant": side.asked.name, "pods": None, **gets})
    if known.variant is None:
        return known
    before = draft.before.candidate
    whole = (before.stable_pods if before is not None else None) or 1
    pods = capacity.needed(known.weight, whole)
    left = {"left_at": draft.now, "pods": pods, "stable_pods": whole}
    return known.model_copy(update={"variant": None, "routed": None, **left})
