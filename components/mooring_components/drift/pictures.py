"""Both distributions of a column as bars, for an SVG of our own."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from mooring_artifacts.window_states import Categories, Numbers

from mooring_components.drift import columns
from mooring_components.drift.precision import common_precision, numbers

WIDTH, HEIGHT = 360, 120
_BINS = 24
_CATEGORIES = 8
_TAIL = 0.005
_ROOM = 4.0
_LARGEST = float(np.finfo(np.float64).max)
_UNSEEN = "not in the baseline"


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
        return _draw_shares([_rows_of(side) for side in (before, now)])
    precision = common_precision(before.type, now.type)
    if precision is None:
        return None
    sides = [numbers(side, precision).astype(np.float64) for side in (before, now)]
    sides = [side[np.isfinite(side)] for side in sides]
    if not any(map(len, sides)):
        return None
    return _draw_numbers(*sides, dates=kind == columns.TIME)


def draw_counted(feature: Numbers | Categories, now: npt.NDArray[np.int64]) -> Picture | None:
    """The picture of a feature of a profile, and of a window's rows per slot; None where there is nothing to draw."""
    sides = [rows[:-1] for rows in (feature.rows, now)]
    if not all(side.any() for side in sides):
        return None
    if isinstance(feature, Categories):
        names = [*feature.values, _UNSEEN]
        return _draw_shares([dict(zip(names, side.tolist(), strict=True)) for side in sides])
    finite = np.clip(feature.edges.astype(np.float64), -_LARGEST, _LARGEST)
    return _draw_slots(finite / _ROOM, sides)


def _draw_slots(edges: np.ndarray, sides: list[npt.NDArray[np.int64]]) -> Picture:
    """Spread the rows of each slot evenly over it; `edges` are in `_ROOM`."""
    shares = [np.cumsum(side[:-1]) / side.sum() for side in sides]
    low, high = (
        pick(float(np.interp(tail, share, edges)) for share in shares)
        for pick, tail in ((min, _TAIL), (max, 1 - _TAIL))
    )
    if not high > low:
        low, high = low - 0.5, low + 0.5
    inner = np.linspace(low, high, _BINS + 1)[1:-1]
    counts = [np.diff(np.interp(inner, edges, share), prepend=0.0, append=1.0) for share in shares]
    return _number_picture(counts, low, high, dates=False)


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
    return _number_picture(counts, low, high, dates=dates)


def _number_picture(counts: list[np.ndarray], low: float, high: float, *, dates: bool) -> Picture:
    """Bars from low to high, both in `_ROOM`; what lies further out is in the outermost ones."""
    edges = np.linspace(low, high, _BINS + 1)
    words = ["", ""] if dates else [f"{edge * _ROOM:.4g}" for edge in (low, high)]
    titles = [
        "" if dates else f"{first * _ROOM:.4g} to {last * _ROOM:.4g}"
        for first, last in itertools.pairwise(edges)
    ]
    labels = [(0.0, words[0], "start"), (float(WIDTH), words[1], "end")]
    return Picture(_bars(counts, titles, 1.0), labels)


def _rows_of(side: pa.ChunkedArray) -> dict[str, int]:
    """Rows per category; one text in a dictionary is never written out for each of its rows."""
    if pa.types.is_dictionary(side.type):
        side = side.unify_dictionaries()
    found = side.drop_null().value_counts()
    names = columns.as_text(found.field(0).cast(columns.value_type(side.type)))
    rows: Counter[str] = Counter()
    for name, count in zip(names.to_pylist(), found.field(1).to_pylist(), strict=True):
        rows[name] += count
    return dict(rows)


def _draw_shares(sides: list[dict[str, int]]) -> Picture | None:
    """The most frequent categories, and all others in one bar."""
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
