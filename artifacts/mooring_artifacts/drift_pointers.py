"""Where the evidence points when traffic has drifted or predictions got worse: at the data, the world or the model.

It is advice. What is missing, was never seen or lies out of range is more often a fault of what sends the rows than
news about the world; another distribution with predictions that are as good as before is the world; predictions
that are worse are for the model to mend.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from mooring_artifacts.text import shortened, visible

At = Literal["DataPipeline", "World", "Model"]
Action = Literal["InspectData", "RenewBaseline", "MeasurePerformance", "Retrain"]
Performance = Literal["Dropped", "Holds", "Unknown", "Unmeasurable"]
MISSING = "Missing"
"""What the test of the share of missing values is called."""

_NAMED = 5
_LONGEST = 30


@dataclass(frozen=True)
class Moved:
    """A feature that drifted.

    test: what decided. distance: of the distributions, from 0 to 1. unseen, out_of_range: shares of the window's values
    that the baseline has not.
    """

    name: str
    test: str
    distance: float
    unseen: float = 0.0
    out_of_range: float = 0.0

    @classmethod
    def found(
        cls,
        name: str,
        test: str,
        distances: Iterable[float],
        jensen_shannon: float | None,
        unseen: float | None,
        out_of_range: float | None,
    ) -> Moved:
        """Give what was found of a feature, None where nothing was.

        Args:
            name, test, unseen, out_of_range: as above.
            distances: what the tests measured that measure distance.
            jensen_shannon: distance; without those tests its bits say how far distributions are apart.
        """
        distance = max(distances, default=(jensen_shannon or 0.0) ** 2)
        return cls(name, test, distance, unseen or 0.0, out_of_range or 0.0)

    @property
    def by_data(self) -> str:
        """How values are odd, where that decided or is half of the distance and more; else empty."""
        if self.test == MISSING:
            return "missing"
        if 2 * max(self.unseen, self.out_of_range) < self.distance or not self.distance:
            return ""
        return "unseen" if self.unseen >= self.out_of_range else "out of range"


@dataclass(frozen=True)
class Pointer:
    """Where the evidence points, what it supports, and why."""

    at: At
    action: Action
    message: str


def point(moved: Sequence[Moved], performance: Performance, *, drifted: bool) -> list[Pointer]:
    """Say what the evidence supports, the data first: whatever else is done is done with it.

    Args:
        moved: the features that drifted, those that moved most first.
        performance: whether predictions got worse; Unmeasurable where the monitor could not ask for it.
        drifted: whether the traffic has drifted; where it has not, `moved` says nothing.
    """
    moved = moved if drifted else ()
    odd = [feature for feature in moved if feature.by_data]
    others = [feature for feature in moved if not feature.by_data]
    dropped, found = performance == "Dropped", []
    if odd:
        found.append(_data(odd, dropped=dropped))
    if dropped and (others or not odd):
        found.append(_model(others))
    elif drifted and not dropped and (others or not odd):
        found.append(_world(others, performance))
    return found


def _data(odd: Sequence[Moved], *, dropped: bool) -> Pointer:
    kinds = {
        kind: [each for each in odd if each.by_data == kind] for kind in ("missing", "unseen", "out of range")
    }
    said = "; ".join(f"{kind}: {_names(features)}" for kind, features in kinds.items() if features)
    worse = "predictions got worse, and " if dropped else ""
    return Pointer(
        "DataPipeline", "InspectData", f"{worse}values are odd ({said}): look at what sends them first"
    )


def _world(others: Sequence[Moved], performance: Performance) -> Pointer:
    said = f"{_subject(others)} moved"
    if performance == "Holds":
        message = f"{said} and predictions are as good as before: newer rows make a better baseline"
        return Pointer("World", "RenewBaseline", message)
    how = "labels would say" if performance == "Unmeasurable" else "labels would say (spec.performance)"
    message = f"{said}, and whether predictions are still right is not known: {how}"
    return Pointer("World", "MeasurePerformance", message)


def _model(others: Sequence[Moved]) -> Pointer:
    why = (
        f"{_subject(others)} moved and predictions got worse"
        if others
        else "predictions got worse on like rows"
    )
    return Pointer("Model", "Retrain", f"{why}: train it on newer rows")


def _subject(features: Sequence[Moved]) -> str:
    return _names(features) if features else "traffic"


def _names(features: Sequence[Moved]) -> str:
    named = ", ".join(shortened(visible(each.name), _LONGEST) for each in features[:_NAMED])
    return named if len(features) <= _NAMED else f"{named} and {len(features) - _NAMED} more"
