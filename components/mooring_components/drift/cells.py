"""Compares a large baseline with a window without sorting it.

Every value falls into a cell by a map that is monotone in floating-point arithmetic, so rows per cell are ranks at the
cells' bounds. Only the few cells inside which the distance may be larger than at any bound, and those that hold a
quantile, are sorted. Integers of a small range have a cell each, and nothing has to be sorted.

The map is q = (K/2) / (1 + |t|) with t = (x - centre) / scale, and the cell is floor(q) left of the centre and
floor(K - q) right of it: each step is one correctly rounded monotone operation, and the whole line is covered.
(t / (1 + |t|) is not monotone: both parts move, and the quotient can fall by a bit.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mooring_components.drift import transport
from mooring_components.drift.statistics import Numbers, Ordered, Placed

SMALLEST_BASELINE = 50_000
_CELLS = 1 << 14
_SMALLEST_RANGE = 1 << 14
_BLOCK = 1 << 14
_SAMPLE = 4096

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Grid:
    """A map of numbers to cells: by `scale` around `centre`, or integers from `centre` on where `scale` is None."""

    centre: float
    scale: float | None
    cells: int

    def number(self, values: Numbers) -> npt.NDArray[np.int16] | None:
        """The cell of each value, (n,); None where a value is no integer of the range."""
        cells = np.empty(len(values), np.int16)
        buffer = np.empty(_BLOCK, values.dtype)
        with np.errstate(over="ignore"):
            for start in range(0, len(values), _BLOCK):
                block = values[start : start + _BLOCK]
                found = (
                    self._integers(block) if self.scale is None else self._place(block, buffer[: len(block)])
                )
                if found is None:
                    return None
                cells[start : start + _BLOCK] = found
        return cells

    def bounds(self) -> Numbers:
        """The (cells + 1,) numbers at which cells begin and end, but for rounding."""
        if self.scale is None:
            return self.centre + np.arange(self.cells + 1, dtype=np.float64) - 0.5
        place = np.arange(self.cells + 1, dtype=np.float64)
        with np.errstate(divide="ignore", over="ignore"):
            far = (self.cells / 2 / np.minimum(place, self.cells - place) - 1) / self.scale
        return self.centre + np.where(place < self.cells / 2, -far, far)

    def _integers(self, block: Numbers) -> Numbers | None:
        inside = (block >= self.centre) & (block < self.centre + self.cells) & (np.rint(block) == block)
        return block - block.dtype.type(self.centre) if inside.all() else None

    def _place(self, block: Numbers, out: Numbers) -> Numbers:
        kind = out.dtype.type
        np.subtract(block, kind(self.centre), out=out)
        np.multiply(out, kind(self.scale), out=out)
        left = out < 0
        np.abs(out, out=out)
        np.add(out, kind(1), out=out)
        np.divide(kind(self.cells / 2), out, out=out)
        np.subtract(kind(self.cells), out, out=out, where=~left)
        np.minimum(out, kind(self.cells - 0.5), out=out)
        return out


def place_in_cells(baseline: Numbers, window: Numbers, quantiles: Counts) -> Placed | None:
    """Compare as `statistics.place` does; None where cells would save nothing.

    The distance is the same to the last bit. The rank shift takes the values of a cell for equal.

    Args:
        baseline: (n,) numbers without NaN.
        window: (m,) sorted numbers without NaN, of the same type.
        quantiles: ranks of the baseline whose values will be asked for.
    """
    grid = _choose(baseline)
    if grid is None or (cells := grid.number(baseline)) is None:
        return None
    own = grid.number(window)
    if own is None:
        return None
    before, now = (np.bincount(found, minlength=grid.cells) for found in (cells, own))
    below, start = (np.concatenate([[0], np.cumsum(counts)]) for counts in (before, now))
    first, second = below / len(baseline), start / len(window)
    distance = float(np.abs(first - second).max())
    shift = float(now @ (below[1:] + below[:-1])) / (2.0 * len(baseline) * len(window)) - 0.5
    if grid.scale is None:
        used = np.flatnonzero(before)
        values = (grid.centre + used).astype(baseline.dtype)
        moved = float(np.abs(first - second)[1:-1].sum())
        return Placed(distance, shift, Ordered(values, below[used], len(baseline)), window, moved)
    # The most that the distance can be inside of a cell; where one side has no value it is largest at a bound.
    most = np.maximum(first[1:] - second[:-1], second[1:] - first[:-1])
    undecided = (most > distance) & (before > 0) & (now > 0)
    sorted_cells = undecided.copy()
    sorted_cells[_with_next(before, np.searchsorted(below, quantiles, "right") - 1)] = True
    if before[sorted_cells].sum() > len(baseline) // 4:
        return None
    values = np.sort(baseline[sorted_cells[cells]])
    gathered = np.concatenate([[0], np.cumsum(np.where(sorted_cells, before, 0))])
    offset = below - gathered
    inside = undecided[own]
    if inside.any():
        distance = max(distance, _largest_inside(values, offset, window, own, inside, len(baseline)))
    rank = np.arange(len(values)) + np.repeat(offset[:-1][sorted_cells], before[sorted_cells])
    ordered = Ordered(values, rank, len(baseline))
    return Placed(distance, shift, ordered, window, _moved(grid, first, second, ordered, window))


def _moved(grid: Grid, first: Numbers, second: Numbers, baseline: Ordered, window: Numbers) -> float:
    """What is certain of Wasserstein's distance: from the cells' bounds, and exactly beyond the baseline's range."""
    low, high = float(baseline.values[0]), float(baseline.values[-1])
    bounds = grid.bounds()
    inside = (bounds > low) & (bounds < high)
    below = np.searchsorted(window, low, "left") / len(window)
    upto = np.searchsorted(window, high, "right") / len(window)
    knots = np.concatenate([[low], bounds[inside], [high]])
    shares = (
        np.concatenate([[0.0], first[inside], [1.0]]),
        np.concatenate([[below], second[inside], [upto]]),
    )
    return transport.at_least(knots, *shares) + transport.beyond(window, low, high)


def _with_next(before: Counts, wanted: Counts) -> Counts:
    """These cells, the first and the last, and the next one of each that holds something: ranks end where it begins."""
    used = np.flatnonzero(before)
    places = np.append(np.searchsorted(used, wanted), [0, len(used) - 1])
    found: Counts = used[np.minimum(np.append(places, places + 1), len(used) - 1)]
    return found


def _largest_inside(
    values: Numbers, offset: Counts, window: Numbers, own: npt.NDArray[np.int16], inside: Any, rows: int
) -> float:
    """The largest distance just before and after the window's values of the cells that are undecided."""
    place = np.flatnonzero(inside)
    looked, cell = window[place], own[place]
    start, end = (np.searchsorted(window, looked, side) for side in ("left", "right"))
    below, upto = (np.searchsorted(values, looked, side) + offset[cell] for side in ("left", "right"))
    before = np.abs(below / rows - start / len(window))
    after = np.abs(upto / rows - end / len(window))
    return float(max(before.max(), after.max()))


def _choose(baseline: Numbers) -> Grid | None:
    sample = np.sort(baseline[:: max(len(baseline) // _SAMPLE, 1)])
    if not (np.isfinite(sample[0]) and np.isfinite(sample[-1])):
        return None
    if np.all(np.rint(sample) == sample):
        low, high = float(baseline.min()), float(baseline.max())
        if high - low < _SMALLEST_RANGE and abs(low) < 1 << 23:
            return Grid(low, None, int(high - low) + 1)
    low, centre, high = (float(sample[len(sample) * part // 4]) for part in (1, 2, 3))
    if not high > low:
        return None
    scale = 1 / (high - low)
    limits = np.finfo(baseline.dtype)
    return Grid(centre, scale, _CELLS) if limits.tiny < scale < limits.max / 4 else None
