"""Tells of columns that baseline and window do not share."""

from collections.abc import Sequence

from mooring_operator.api import reasons
from mooring_operator.api.drift_findings import SchemaChange
from mooring_operator.api.drift_status import DriftMonitorStatus
from mooring_operator.planning.actions import Notify
from mooring_operator.planning.status import conditions

CONDITION = "SchemaChanged"

_NAMED = 3


def describe(changes: Sequence[SchemaChange]) -> str:
    """Say what has changed in one clause."""
    said = ", ".join(_one(change) for change in changes[:_NAMED])
    return said + (f" and {len(changes) - _NAMED} more" if len(changes) > _NAMED else "")


def condition(
    status: DriftMonitorStatus, changes: Sequence[SchemaChange] | None
) -> dict[str, tuple[str, str, str]]:
    """Give the condition after an evaluation; without one, None, it stays as it was. None until the first change."""
    known = conditions.find(status.conditions, CONDITION)
    if changes:
        return {CONDITION: ("True", reasons.SCHEMA_CHANGED, describe(changes))}
    if known is None:
        return {}
    if changes is None:
        return {CONDITION: (known.status, known.reason, known.message)}
    return {CONDITION: ("False", reasons.SCHEMA_UNCHANGED, "baseline and window have the same columns")}


def told(before: DriftMonitorStatus, after: DriftMonitorStatus) -> tuple[Notify, ...]:
    """Tell once of each change of the schema, and of its end."""
    old, new = (
        next(
            ((one.status, one.reason, one.message) for one in status.conditions if one.type == CONDITION),
            None,
        )
        for status in (before, after)
    )
    if new is None or new == old:
        return ()
    return (Notify("Warning" if new[0] == "True" else "Normal", new[1], new[2]),)


def _one(change: SchemaChange) -> str:
    match change.change:
        case "New":
            return f"{change.name!r} is new"
        case "Vanished":
            return f"{change.name!r} vanished"
        case "TypeChanged":
            return f"{change.name!r} was {change.baseline} and is {change.window}"
