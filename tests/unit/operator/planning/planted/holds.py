"""Faults of what holds a rollout, and of what is kept to go back to."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from mooring_operator.planning.rollout import approvals, holds, retained
from mooring_operator.planning.rollout import plan as rules
from mooring_operator.planning.rollout.draft import Draft

from tests.unit.operator.planning.planted.planting import (
    BACK,
    FREEZE,
    KEPT,
    SAFETY,
    Faults,
    Function,
    always,
)

_EARLY = timedelta(minutes=1)


def _a_minute_early(original: Function) -> Function:
    def hold(draft: Any) -> Any:
        held = original(replace(draft, now=draft.now + _EARLY))
        return None if held is None else replace(held, now=draft.now)

    return hold


def _polls(original: Function) -> Function:
    def hold(draft: Any) -> Any:
        held = original(draft)
        return None if held is None else replace(held, recheck_after=1.0)

    return hold


def _oldest_first(original: Function) -> Function:
    def trim(draft: Any) -> Any:
        turned = draft.change(retained=draft.status.retained[::-1])
        return original(turned)

    return trim


def _never_kept(original: Function) -> Function:
    def take_up(draft: Any) -> Any:
        taken = original(draft)
        return taken.change_candidate(returns=False)

    return take_up


FAULTS: Faults = {
    "a freeze holds what begins alone": (SAFETY, holds, "hold_forward", always(None)),
    "a freeze is over a minute early": (SAFETY, holds, "_hold_in_a_freeze", _a_minute_early),
    "a freeze holds what goes back": (BACK, holds, "_brings_back", always(False)),
    "who waits for a thaw looks all the time": (FREEZE, holds, "_hold_in_a_freeze", _polls),
    "notBefore is over a minute early": (SAFETY, holds, "_wait_until_its_time", _a_minute_early),
    "what is gone back to takes all steps": (SAFETY, approvals, "goes_back", always(False)),
    "what is gone back to is like any other": (SAFETY, rules, "take_up_the_candidate", _never_kept),
    "what is gone back to stays kept": (SAFETY, Draft, "forget", lambda _: lambda draft, revision: draft),
    "the oldest is kept": (KEPT, retained, "trim", _oldest_first),
}
