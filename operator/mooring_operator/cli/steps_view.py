"""How steps and weights are written, the same in every command."""

from mooring_operator.api.analysis import Analyse
from mooring_operator.api.checks import Check
from mooring_operator.api.rollout import Approve, Pause
from mooring_operator.api.strategies import ABTest
from mooring_operator.api.types import format_duration
from mooring_operator.planning.strategies.course import Exposure, Stage, Trial

_BAR_WIDTH = 20


def describe_stage(stage: Stage, test: ABTest | None = None) -> str:
    """Write a stage in a few words: ``weight 10%``, ``pause 5m``, ``approval``."""
    match stage:
        case Exposure():
            return _describe_exposure(stage, test)
        case Pause():
            return f"pause {format_duration(stage.duration)}" if stage.duration else "pause until approved"
        case Approve():
            approval = "approval by someone else" if stage.by == "SomeoneElse" else "approval"
            return f"{approval}: {stage.message}" if stage.message else approval
        case Analyse():
            return f"analysis, {format_duration(stage.duration)} at most"
        case Check():
            return f"{stage.title}, {format_duration(stage.timeout)} at most"
        case Trial(test):
            names = ", ".join(variant.name for variant in test.variants)
            sides = f"side by side with {names}" if names else "side by side"
            if test.duration is None and test.until is None:
                return f"{sides} until decided"
            end = (
                f"{test.until:%Y-%m-%d %H:%M} UTC"
                if test.duration is None
                else format_duration(test.duration)
            )
            until = "for" if test.duration is not None else "until"
            return f"{sides} {until} {end}, then {'promoted' if test.then == 'Promote' else 'rolled back'}"


def _describe_exposure(exposure: Exposure, test: ABTest | None) -> str:
    parts = [f"weight {exposure.weight}%"]
    if exposure.mirror:
        parts = [f"copies of {exposure.mirror}%"]
    if exposure.replicas:
        parts.append(
            f"{exposure.replicas} of the pods"
            if exposure.replicas.endswith("%")
            else f"{exposure.replicas} pods"
        )
    if exposure.matched and test is not None and any(match.to == "New" for match in test.matches):
        parts.append("requests that match")
    return ", ".join(parts)


def bar(percent: int, *, ascii_only: bool = False, width: int = _BAR_WIDTH) -> str:
    """Draw `percent` as a bar of `width` characters; anything above zero shows."""
    filled = max(round(percent * width / 100), 1 if percent else 0)
    full, empty = ("#", ".") if ascii_only else ("█", "░")
    return full * filled + empty * (width - filled)
