"""Faults of what strategies ask for: setReplicas, maxSurge, copies of requests, the variants of a test."""

from dataclasses import replace
from typing import Any

from mooring_operator.planning.rollout import progress, traffic, trials, variants
from mooring_operator.planning.routing import Mirror
from mooring_operator.planning.strategies import capacity

from tests.unit.operator.planning.planted.planting import (
    BESIDE,
    COUNTED,
    SAFETY,
    TESTED,
    Faults,
    Function,
    always,
)


def _whatever_replicas(original: Function) -> Function:
    return lambda draft, candidate: original(draft, candidate.model_copy(update={"replicas": ""}))


def _rounded_down(original: Function) -> Function:
    return lambda share, whole: (
        max(1, int(share[:-1]) * whole // 100) if share.endswith("%") else original(share, whole)
    )


def _one_more(original: Function) -> Function:
    def surge(draft: Any, whole: int) -> int | None:
        allowed = original(draft, whole)
        return None if allowed is None else allowed + 1

    return surge


def _beside_what_should_be_there(original: Function) -> Function:
    """Count the pods that the stable revision should have, and not those that it has yet."""
    return lambda asked, seen, *, surge=None: original(
        asked, replace(seen, stable_pods=min(1, seen.stable_pods)), surge=surge
    )


def _settled_at_once(original: Function) -> Function:
    def note(draft: Any) -> Any:
        noted = original(draft)
        return noted.change_candidate(settled=noted.candidate.routed or 0)

    return note


def _copies(percent: int | None) -> Any:
    def fault(original: Function) -> Function:
        def exposed(draft: Any, routing: Any, running: Any) -> Any:
            asked = original(draft, routing, running)
            if asked.mirror is None:
                return asked
            return replace(asked, mirror=percent and Mirror(running.revision, percent))

        return exposed

    return fault


def _goes_on_copying(original: Function) -> Function:
    def exposed(draft: Any, routing: Any, running: Any) -> Any:
        shadow = draft.spec.rollout.shadow
        if shadow is None or not draft.observed.router.mirrors:
            return original(draft, routing, running)
        return original(draft, routing, running.model_copy(update={"mirror": shadow.percent}))

    return exposed


def _matches_nobody(original: Function) -> Function:
    return lambda draft, routing, running: replace(original(draft, routing, running), rules=())


def _part_before_pods(original: Function) -> Function:
    def seen(draft: Any, candidate: Any, side: Any) -> Any:
        return replace(original(draft, candidate, side), weight=side.asked.weight)

    return seen


def _pods_of_one(original: Function) -> Function:
    return lambda draft, candidate, side: replace(original(draft, candidate, side), pods=1)


def _no_pods_after_the_test(original: Function) -> Function:
    def noted(draft: Any, known: Any, side: Any) -> Any:
        entry = original(draft, known, side)
        return entry.model_copy(update={"pods": None}) if side is None and known.variant else entry

    return noted


FAULTS: Faults = {
    "setReplicas is ignored": (SAFETY, traffic, "seen_of", _whatever_replicas),
    "a percentage of replicas is rounded down": (COUNTED, capacity, "count", _rounded_down),
    "one pod more than maxSurge": (SAFETY, traffic, "_surge", _one_more),
    "maxSurge is beside what should be there": (SAFETY, capacity, "share", _beside_what_should_be_there),
    "with a surge pods leave at once": (SAFETY, progress, "note_progress", _settled_at_once),
    "copies of all requests": (SAFETY, traffic, "_exposed", _copies(100)),
    "no copies": (SAFETY, traffic, "_exposed", _copies(None)),
    "copies go on behind the shadow": (SAFETY, traffic, "_exposed", _goes_on_copying),
    "who matches goes nowhere": (TESTED, traffic, "_exposed", _matches_nobody),
    "a variant has its part before its pods": (BESIDE, traffic, "seen_of_side", _part_before_pods),
    "a variant has one pod": (BESIDE, traffic, "seen_of_side", _pods_of_one),
    "who matches is sent to a variant without pods": (
        BESIDE,
        traffic.SideSeen,
        "is_ready",
        lambda _: property(lambda side: True),
    ),
    "a test begins without its variants": (BESIDE, trials, "variants_awaited", always("")),
    "a variant goes with its test": (BESIDE, variants, "_noted", _no_pods_after_the_test),
    "a variant runs on behind its test": (
        BESIDE,
        variants,
        "goes_on",
        lambda original: (
            lambda draft: bool(
                draft.spec.rollout.ab_test and draft.stable and draft.candidate and draft.candidate.runs
            )
        ),
    ),
}
