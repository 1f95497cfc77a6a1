"""Conditions as Knative's library keeps them, which KServe builds on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Condition:
    """One condition without its time; ``informational`` ones do not gate ``Ready``."""

    type: str
    status: str
    reason: str = ""
    message: str = ""
    informational: bool = False


def ready_condition(dependents: Sequence[Condition]) -> Condition:
    """``Ready``: false or unknown with the reason of the first dependent that is."""
    for status in ("False", "Unknown"):
        for dependent in dependents:
            if dependent.status == status:
                return Condition("Ready", status, dependent.reason, dependent.message)
    return Condition("Ready", "True")


def render_conditions(
    wanted: Iterable[Condition], previous: Sequence[Mapping[str, Any]], now: str
) -> list[dict[str, Any]]:
    """The list for status, sorted by type; what has not changed keeps its ``lastTransitionTime``."""
    before = {condition["type"]: condition for condition in previous}
    rendered = []
    for condition in sorted(wanted, key=lambda condition: condition.type):
        entry = {"type": condition.type, "status": condition.status}
        if condition.informational:
            entry["severity"] = "Info"
        if condition.reason:
            entry["reason"] = condition.reason
        if condition.message:
            entry["message"] = condition.message
        old = before.get(condition.type, {})
        unchanged = {key: value for key, value in old.items() if key != "lastTransitionTime"} == entry
        rendered.append(
            {**entry, "lastTransitionTime": old.get("lastTransitionTime", now) if unchanged else now}
        )
    return rendered
