"""Faults of what a restart finds: an action that is lost, done twice, or out of order, and what nobody wrote down."""

import uuid
from dataclasses import replace
from typing import Any

from mooring_operator.planning.rollout import checks, decision, retained
from mooring_operator.planning.rollout.actions import DropCommand, Route, StartCheck
from mooring_operator.planning.status import reading

from tests.unit.operator.planning.planted.planting import (
    ANEW,
    ASKED,
    CHECKED,
    CRASH,
    CUT_OFF,
    EVERY,
    JUDGED,
    TURN,
    Faults,
    Function,
    always,
)


def _check_is_started_by_one_decision(original: Function) -> Function:
    """Take the status that names a check for its start."""

    def start(draft: Any, check: Any, known: Any) -> Any:
        before = draft.before.candidate
        settled = original(draft, check, known)
        if before is None or before.check is None or before.check.id != known.id:
            return settled
        return replace(settled, requests=tuple(r for r in settled.requests if not isinstance(r, StartCheck)))

    return start


def _routes_what_is_new(original: Function) -> Function:
    """Take a status that stays as it is for traffic that is as it says."""

    def actions(draft: Any) -> Any:
        same = draft.status == draft.before
        return tuple(action for action in original(draft) if not (same and isinstance(action, Route)))

    return actions


def _another_name_until_it_is_seen(original: Function) -> Function:
    def name(draft: Any, check: Any) -> str:
        known = draft.candidate.check
        if known is not None and known.step == draft.candidate.step and known.seen_at is not None:
            return str(known.id)
        return str(uuid.uuid5(uuid.UUID(original(draft, check)), str(draft.now)))

    return name


def _drops_what_it_has_read(original: Function) -> Function:
    return lambda draft: tuple(DropCommand(name, value) for name, value in draft.observed.commands.items())


def _unwritten(*path: str) -> Any:
    """Have a field of the status be known to the process alone that decided on it."""

    def fault(original: Function) -> Function:
        def read(model: Any, found: Any) -> Any:
            return original(model, _without(found, path))

        return read

    return fault


def _without(found: Any, path: tuple[str, ...]) -> Any:
    name, *rest = path
    if isinstance(found, list):
        return [_without(item, path) for item in found]
    if not isinstance(found, dict) or name not in found:
        return found
    kept = {key: value for key, value in found.items() if key != name}
    return {**kept, name: _without(found[name], tuple(rest))} if rest else kept


FAULTS: Faults = {
    "a check is started by one decision alone": (
        CHECKED,
        checks,
        "_start",
        _check_is_started_by_one_decision,
    ),
    "a check is started again under another name": (CRASH, checks, "_id", _another_name_until_it_is_seen),
    "traffic is set by one decision alone": (CRASH, decision, "_traffic_actions", _routes_what_is_new),
    "pods go before the route does": (CUT_OFF, retained, "_may_be_routed", always(False)),
    "a command is dropped before it is done": (ASKED, decision, "_dropped_commands", _drops_what_it_has_read),
    "since when it is unready is not written": (
        EVERY,
        reading,
        "read_status",
        _unwritten("candidate", "unreadySince"),
    ),
    "how many pods carry all is not written": (
        ANEW,
        reading,
        "read_status",
        _unwritten("candidate", "stablePods"),
    ),
    "what has left is not written": (CRASH, reading, "read_status", _unwritten("retained")),
    "that it begun is not written": (EVERY, reading, "read_status", _unwritten("candidate", "begun")),
    "evidence is not written": (JUDGED, reading, "read_status", _unwritten("analysis")),
    "what is left behind is not written": (TURN, reading, "read_status", _unwritten("abandonedRuns")),
}
