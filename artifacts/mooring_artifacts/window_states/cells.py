"""Puts numbers into the slots between edges, without searching for most of them.

A map that is monotone in floating-point arithmetic puts each number on a fine grid. Where no edge lies in a cell of
that grid all of its numbers have one slot, which a table knows. Where one or two do, numbers are compared with them;
the few others are searched for. What comes out is what `numpy.searchsorted` gives, wherever the edges lie: the grid
makes it fast and decides nothing.

The map is q = (K/2) / (1 + |t|) with t = (x - centre) * scale, and the cell is floor(q) left of the centre and
floor(K - q) right of it: each step is one correctly rounded monotone operation, and the whole line is covered.
(t / (1 + |t|) is not monotone: both parts move, and the quotient can fall by a bit.)
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[Any]
Slots = npt.NDArray[np.int16]

_SMALLEST_GRID, _LARGEST_GRID = 1 << 12, 1 << 16
_CELLS_PER_EDGE = 32
_BLOCK = 1 << 14
# What the table has for a cell with one or two edges is -1 less the number of edges before it.
_MANY = np.iinfo(np.int16).min


def largest(kind: npt.DTypeLike) -> Any:
    """What larger numbers count as, infinity among them: the second largest of a floating-point type."""
    found = np.dtype(kind).type
    return np.nextafter(np.finfo(found).max, found(0))


class Cells:
    """The slots between `edges`, (k,) sorted numbers of one floating-point type, k > 0: len(edges) + 1 of them."""

    def __init__(self, edges: Values) -> None:
        self.edges = edges
        kind = edges.dtype.type
        finite = edges[np.isfinite(edges)].astype(np.float64)
        low, centre, high = (
            (float(finite[len(finite) * part // 4]) for part in (1, 2, 3)) if len(finite) else (0, 0, 0)
        )
        limits = np.finfo(edges.dtype)
        with np.errstate(over="ignore", divide="ignore"):
            scale = np.float64(1) / np.float64(high - low)
        self._centre, self._scale = kind(centre), kind(np.clip(scale, limits.tiny, limits.max / 4))
        self._largest = largest(edges.dtype)
        wanted = 1 << (len(edges) * _CELLS_PER_EDGE).bit_length()
        self._grid = min(max(wanted, _SMALLEST_GRID), _LARGEST_GRID)
        self._ends = np.append(edges, [np.inf, np.inf]).astype(edges.dtype)
        self._table = self._make_table()

    def find(self, values: Values) -> Slots:
        """The slot of each of (n,) numbers without NaN: the number of edges that are smaller.

        The numbers have the edges' type. What is larger than `largest` counts as that, and so below zero.
        """
        slots = np.empty(len(values), np.int16)
        buffer = np.empty(min(len(values), _BLOCK), values.dtype)
        for start in range(0, len(values), _BLOCK):
            block = values[start : start + _BLOCK]
            found = self._table[self._place(block, buffer[: len(block)])]
            mixed = np.flatnonzero(found < 0)
            found[mixed] = self._compare(block[mixed], found[mixed])
            slots[start : start + _BLOCK] = found
        return slots

    def _compare(self, values: Values, entries: Slots) -> Slots:
        """The slots of numbers whose cells have edges, by what the table has for them."""
        before = -1 - entries
        many = np.flatnonzero(entries == _MANY)
        before[many] = 0
        slots: Slots = before + (values > self._ends[before]) + (values > self._ends[before + 1])
        finite = np.clip(values[many], -self._largest, self._largest)
        slots[many] = np.searchsorted(self.edges, finite, "left")
        return slots

    def _make_table(self) -> Slots:
        """The slot of each cell of the grid, or what to do about the edges in it."""
        with_edge = self._place(self.edges, np.empty_like(self.edges))
        table = np.searchsorted(with_edge, np.arange(self._grid)).astype(np.int16)
        cells, held = np.unique(with_edge, return_counts=True)
        table[cells] = np.where(held <= 2, -1 - table[cells], _MANY)
        # Infinity and the largest number come out here, whose slots are those of `largest`.
        ends = np.array([self._largest, np.finfo(self.edges.dtype).max, np.inf], self.edges.dtype)
        ends = np.concatenate([-ends, ends])
        table[self._place(ends, np.empty_like(ends))] = _MANY
        return table

    def _place(self, values: Values, out: Values) -> npt.NDArray[np.int32]:
        kind = out.dtype.type
        with np.errstate(over="ignore", invalid="ignore"):
            np.subtract(values, self._centre, out=out)
            np.multiply(out, self._scale, out=out)
            left = out < 0
            np.abs(out, out=out)
            np.add(out, kind(1), out=out)
            np.divide(kind(self._grid / 2), out, out=out)
            np.subtract(kind(self._grid), out, out=out, where=~left)
            np.minimum(out, kind(self._grid - 0.5), out=out)
        return out.astype(np.int32)
