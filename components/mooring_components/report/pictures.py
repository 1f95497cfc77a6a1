"""Where things stand in the pictures of a test, as numbers for SVGs of our own."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from mooring_artifacts.gates import Interval
from mooring_artifacts.importances import Importances

from mooring_components.evidence import Bin, Confusion, Curve, Grid

SIDE = 240
WIDTH, HEIGHT = 360, 140
STRIP = 150
BAR = 22
_BINS = 30
_TAIL = 0.99
_ROOM = 0.08


@dataclass(frozen=True)
class Strip:
    """A value with its interval and its limits, on a line of 150; what is not there is None."""

    value: float
    low: float | None
    high: float | None
    marks: list[float]


@dataclass(frozen=True)
class Rect:
    """A rectangle, how dark it is from 0 to 1, what it says, and what it means in words."""

    left: float
    top: float
    width: float
    height: float
    dark: float
    text: str
    title: str


@dataclass(frozen=True)
class Line:
    """Points of a polyline as SVG writes them, and what it means in words."""

    points: str
    title: str


@dataclass(frozen=True)
class Dot:
    """A circle, and what it means in words."""

    x: float
    y: float
    radius: float
    title: str


def draw_strip(
    value: float, interval: Interval | None, marks: Sequence[float], others: Sequence[float] = ()
) -> Strip:
    """Place a value, its interval and limits beside each other, on a scale that has room for `others`, too."""
    around = (
        [] if interval is None else [bound for bound in (interval.low, interval.high) if bound is not None]
    )
    # Halves, as the width of the range of the largest numbers is none.
    every = [each / 2 for each in (value, *around, *marks, *others)]
    low, high = min(every), max(every)
    wide = (high - low) or 1.0
    low, wide = low - _ROOM * wide, wide * (1 + 2 * _ROOM)

    def place(number: float) -> float:
        return round((number / 2 - low) / wide * STRIP, 1)

    known = len(around) == 2
    return Strip(
        place(value),
        place(around[0]) if known else None,
        place(around[1]) if known else None,
        [place(mark) for mark in marks],
    )


def draw_confusion(confusion: Confusion) -> list[Rect]:
    """A row of cells for each label, dark where many of its rows are; the last column has the other answers."""
    labels, size = confusion.labels, SIDE / max(len(confusion.labels) + 1, 2)
    cells = []
    for row, counts in enumerate(confusion.counts):
        total = max(sum(counts), 1)
        for column, count in enumerate(counts):
            said = labels[column] if column < len(labels) else "something else"
            cells.append(
                Rect(
                    round(column * size, 2),
                    round(row * size, 2),
                    round(size, 2),
                    round(size, 2),
                    round(count / total, 3),
                    str(count) if count else "",
                    f"{labels[row]} called {said}: {count} of {total}",
                )
            )
    return cells


def draw_curves(curves: Sequence[Curve]) -> list[Line]:
    """ROC curves in a square."""
    return [
        Line(
            " ".join(
                f"{x * SIDE:.1f},{(1 - y) * SIDE:.1f}" for x, y in zip(curve.false, curve.true, strict=True)
            ),
            f"{curve.label}: area {curve.area:.4f}",
        )
        for curve in curves
    ]


def draw_calibration(bins: Sequence[Bin]) -> list[Dot]:
    """A dot for each bin: to the right the confidence, upwards how often it was right; its area is its rows."""
    most = max((each.rows for each in bins), default=1)
    return [
        Dot(
            round(each.confidence * SIDE, 1),
            round((1 - each.right) * SIDE, 1),
            round(3 + 9 * (each.rows / most) ** 0.5, 1),
            f"{each.rows} rows: confidence {each.confidence:.1%}, right {each.right:.1%}",
        )
        for each in bins
    ]


def draw_amounts(grid: Grid) -> list[Rect]:
    """Cells that hold rows: to the right what was said, upwards what is right."""
    counts = np.array(grid.counts)
    size, most = SIDE / len(counts), max(int(counts.max()), 1)
    step = grid.high / len(counts) - grid.low / len(counts)
    return [
        Rect(
            round(said * size, 2),
            round(SIDE - (actual + 1) * size, 2),
            round(size, 2),
            round(size, 2),
            round(0.12 + 0.88 * (counts[actual, said] / most) ** 0.5, 3),
            "",
            f"{counts[actual, said]} rows: about {grid.low + (actual + 0.5) * step:.4g}, "
            f"estimated {grid.low + (said + 0.5) * step:.4g}",
        )
        for actual, said in np.argwhere(counts)
    ]


def draw_importances(found: Importances) -> list[Rect]:
    """A bar for each feature, one below the other; the longest is the whole width."""
    most = max((feature.size for feature in found.features), default=1.0)
    return [
        Rect(
            0,
            place * BAR,
            round(WIDTH * feature.size / most, 2),
            BAR - 4,
            1.0,
            feature.name,
            f"{feature.name}: {feature.size:.4g}, {feature.share:.1%} of all",
        )
        for place, feature in enumerate(found.features)
    ]


@dataclass(frozen=True)
class Histogram:
    """Bars, lines at quantiles with their places and words, and the words at both ends."""

    bars: list[Rect]
    quantiles: list[tuple[float, str]]
    ends: tuple[str, str]


def draw_latencies(milliseconds: Sequence[float]) -> Histogram:
    """How often requests took how long; the slowest hundredth is in the last bar."""
    times = np.asarray(milliseconds)
    low, high = float(times.min()), float(np.quantile(times, _TAIL))
    if not high > low:
        low, high = 0.0, max(2 * high, 1e-6)
    edges = np.linspace(low, high, _BINS + 1)
    counts = np.histogram(np.clip(times, low, high), edges)[0]
    step, most = WIDTH / _BINS, max(int(counts.max()), 1)
    bars = [
        Rect(
            round(place * step, 2),
            round(HEIGHT * (1 - counts[place] / most), 2),
            round(step - 1, 2),
            round(HEIGHT * counts[place] / most, 2),
            1.0,
            "",
            f"{counts[place]} requests: {first:.4g} to {last:.4g} ms",
        )
        for place, (first, last) in enumerate(itertools.pairwise(edges))
    ]
    lines = [
        (round((float(np.quantile(times, share)) - low) / (high - low) * WIDTH, 1), name)
        for share, name in ((0.5, "p50"), (0.95, "p95"))
    ]
    return Histogram(bars, lines, (f"{low:.3g} ms", f"{high:.3g} ms (p99)"))
