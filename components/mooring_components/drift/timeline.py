"""The windows before this one as a picture: how many features drifted, and how evidence has grown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mooring_artifacts.drift_question import PastWindow

WIDTH = 480.0
HEIGHT = 100.0
_BEYOND = 10.0
"""Evidence is kept up to ten times its limit."""


@dataclass(frozen=True)
class Bar:
    """A window: where it stands, the height of its share of drifted features, and what it says."""

    left: float
    width: float
    height: float
    title: str


@dataclass(frozen=True)
class Timeline:
    """Bars, the line of evidence as the points of an SVG polyline, and the height of the limit; None without evidence.

    first, last: when the windows were.
    """

    bars: list[Bar]
    line: str
    limit: float | None
    first: str
    last: str


def draw_timeline(past: Sequence[PastWindow], limit: float | None) -> Timeline | None:
    """Draw windows, the oldest first; evidence on a scale of logarithms. None where there are fewer than two."""
    if len(past) < 2:
        return None
    step = WIDTH / len(past)
    bars = [
        Bar(
            left=round(place * step, 1),
            width=round(step * 0.8, 1),
            height=round(HEIGHT * one.drifted / one.tested, 1) if one.tested else 0.0,
            title=_describe(one),
        )
        for place, one in enumerate(past)
    ]
    top = math.log1p(_BEYOND * limit) if limit is not None else 1.0
    known = [(place, one.evidence) for place, one in enumerate(past) if one.evidence is not None]
    line = " ".join(
        f"{(place + 0.4) * step:.1f},{HEIGHT * (1 - min(math.log1p(value) / top, 1.0)):.1f}"
        for place, value in known
    )
    height = None if limit is None else round(HEIGHT * (1 - math.log1p(limit) / top), 1)
    return Timeline(bars, line if limit is not None else "", height, _moment(past[0]), _moment(past[-1]))


def _describe(one: PastWindow) -> str:
    evidence = "" if one.evidence is None else f", evidence {one.evidence:.3g}"
    return f"{_moment(one)}: {one.drifted} of {one.tested} features drifted{evidence}"


def _moment(one: PastWindow) -> str:
    return f"{one.time:%Y-%m-%d %H:%M}"
