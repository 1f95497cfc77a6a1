"""How steps and weights are written, the same in every command."""

from typing import TYPE_CHECKING

from mooring_operator.api.types import format_duration

if TYPE_CHECKING:
    from mooring_operator.api.rollout import Step

_BAR_WIDTH = 20


def describe_step(step: "Step") -> str:
    """Write a step in a few words: ``weight 10%``, ``pause 5m``, ``approval``."""
    if step.set_weight is not None:
        return f"weight {step.set_weight}%"
    if step.pause is not None:
        return (
            f"pause {format_duration(step.pause.duration)}" if step.pause.duration else "pause until approved"
        )
    approval = "approval by someone else" if step.approve and step.approve.by == "SomeoneElse" else "approval"
    message = step.approve.message if step.approve else ""
    return f"{approval}: {message}" if message else approval


def bar(percent: int, *, ascii_only: bool = False, width: int = _BAR_WIDTH) -> str:
    """Draw `percent` as a bar of `width` characters; anything above zero shows."""
    filled = max(round(percent * width / 100), 1 if percent else 0)
    full, empty = ("#", ".") if ascii_only else ("█", "░")
    return full * filled + empty * (width - filled)
