"""Both distributions of a column as bars, for an SVG of our own."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from mooring_components.drift import columns
from mooring_components.drift.precision import common_precision, numbers

WIDTH, HEIGHT = 360, 120
_BINS = 24
_CATEGORIES = 8
_TAIL = 0.005
_ROOM = 4.0


@dataclass(frozen=True)
class Bar:
    """The shares of both sides in a bin, as places in the picture, and what they are in words."""

    left: float
    width: float
    before: float
    now: float
    title: str


@dataclass(frozen=True)
class Picture:
    """Bars, and the labels below them, each with its place."""

    bars: list[Bar]
    labels: list[tuple[float, str, str]]


def draw(before: pa.ChunkedArray, now: pa.ChunkedArray, kind: str) -> Picture | None:
    """The picture of a column that was compared as `kind`; None where there is nothing to draw."""
    if kind == columns.CATEGORY:
        return _draw_categories(*(columns.decoded(side).cast(pa.large_string()) for side in (before, now)))
    precision = common_precision(before.type, now.type)
    if precision is None:
        return None
    sides = [numbers(side, precision).astype(np.float64) for side in (before, now)]
    sides = [side[np.isfinite(side)] for side in sides]
    if not any(map(len, sides)):
        return None
    return _draw_numbers(*sides, dates=kind == columns.TIME)


def _draw_numbers(before: np.ndarray, now: np.ndarray, *, dates: bool) -> Picture:
    # The width of the largest numbers' range is none.
    before, now = before / _ROOM, now / _ROOM
    known = [side for side in (before, now) if len(side)]
    low = min(float(np.quantile(side, _TAIL)) for side in known)
    high = max(float(np.quantile(side, 1 - _TAIL)) for side in known)
    if not high > low:
        low, high = low - 0.5, low + 0.5
    edges = np.linspace(low, high, _BINS + 1)
    counts = [np.histogram(np.clip(side, low, high), edges)[0] for side in (before, now)]
    # What lies further out is in the outermost bars.
    words = ["", ""] if dates else [f"{edge * _ROOM:.4g}" for edge in (low, high)]
    titles = [
        "" if dates else f"{first * _ROOM:.4g} to {last * _ROOM:.4g}"
        for first, last in itertools.pairwise(edges)
    ]
    labels = [(0.0, words[0], "start"), (float(WIDTH), words[1], "end")]
    return Picture(_bars(counts, titles, 1.0), labels)


def _draw_categories(before: pa.ChunkedArray, now: pa.ChunkedArray) -> Picture | None:
    sides: list[dict[str, int]] = []
    for side in (before, now):
        found = side.drop_null().value_counts()
        sides.append(dict(zip(found.field(0).to_pylist(), found.field(1).to_pylist(), strict=True)))
    sums = [max(sum(side.values()), 1) for side in sides]
    every = list(dict.fromkeys([*sides[0], *sides[1]]))
    if not every:
        return None
    share = {
        name: max(side.get(name, 0) / total for side, total in zip(sides, sums, strict=True))
        for name in every
    }
    shown = sorted(every, key=lambda name: (-share[name], name))[:_CATEGORIES]
    counts = [np.array([side.get(name, 0) for name in shown], np.float64) for side in sides]
    names = [name if len(name) <= 9 else name[:8] + "…" for name in shown]
    if len(shown) < len(every):
        counts = [
            np.append(known, total - known.sum())
            for known, total in zip(counts, (sum(side.values()) for side in sides), strict=True)
        ]
        shown, names = [*shown, f"{len(every) - len(shown)} others"], [*names, "others"]
    step = WIDTH / len(names)
    labels = [((place + 0.5) * step, name, "middle") for place, name in enumerate(names)]
    return Picture(_bars(counts, [name[:100] for name in shown], 0.8), labels)


def _bars(counts: list[np.ndarray], titles: list[str], filled: float) -> list[Bar]:
    first, second = (side / max(float(side.sum()), 1.0) for side in counts)
    highest = max(float(first.max()), float(second.max()), 1e-12)
    step = WIDTH / len(titles)
    return [
        Bar(
            round(place * step + step * (1 - filled) / 2, 2),
            round(step * filled, 2),
            round(float(first[place]) / highest * HEIGHT, 2),
            round(float(second[place]) / highest * HEIGHT, 2),
            f"{title}: {first[place]:.1%} before, {second[place]:.1%} now".removeprefix(": "),
        )
        for place, title in enumerate(titles)
    ]
