"""A baseline that many windows are compared with: its numbers are sorted and put into cells once.

A window is counted in the cells. Only its values in the few cells that may hold the largest distance are sorted and
searched for in the baseline. D is the one of all rows, to the last bit; the rank shift takes the values of a cell for
equal, as `cells` does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from mooring_artifacts.window_states import Numbers as NumberFeature
from mooring_artifacts.window_states.cells import largest
from mooring_artifacts.window_states.preparing import number_edges

from mooring_components.drift import columns, comparison, dependence, slots, statistics, transport
from mooring_components.drift.comparison import MOST_CODES, Measured, NumberSummary
from mooring_components.drift.precision import Precision, numbers
from mooring_components.drift.schema import Compared
from mooring_components.drift.slots import Rows
from mooring_components.drift.statistics import Numbers, Ordered

# Finer than what a state has: fewer of the window's values may hold the largest distance.
_PARTS = 2000


@dataclass(frozen=True)
class PreparedNumbers:
    """One column at one precision: (n,) sorted values, and the cells with their rows."""

    ordered: Ordered
    feature: NumberFeature
    ranks: Numbers

    @property
    def few(self) -> bool:
        """Whether it has no more different values than codes may have."""
        return len(self.feature.edges) <= 2 * MOST_CODES


def prepare_numbers(name: str, values: Numbers) -> PreparedNumbers:
    """Sort (n,) numbers without NaN, n > 0."""
    values = np.sort(values)
    feature = NumberFeature(name, edges := number_edges(values, _PARTS), np.zeros(len(edges) + 2, np.int64))
    rows = np.bincount(feature.cells.find(values), minlength=feature.slots).astype(np.int64)
    ordered = Ordered(values, np.arange(len(values)), len(values))
    ranks = values[statistics.quantile_ranks(len(values), dependence.RANKS)]
    return PreparedNumbers(ordered, replace(feature, rows=rows), ranks)


def count_window(baseline: PreparedNumbers, window: Numbers) -> tuple[float, Rows]:
    """D, and the window's rows per slot.

    Args:
        baseline: the baseline.
        window: (m,) numbers without NaN of the baseline's type, in any order, m > 0.
    """
    feature = baseline.feature
    found = feature.cells.find(window)
    now = np.bincount(found, minlength=feature.slots).astype(np.int64)
    below, start = (np.append(0, np.cumsum(rows[:-1])) for rows in (feature.rows, now))
    first, second = below / baseline.ordered.rows, start / len(window)
    distance = float(np.abs(first - second).max())
    most = np.maximum(first[1:] - second[:-1], second[1:] - first[:-1])
    several = ~slots.alone(feature.edges)
    # Infinity lies where another number has its slot.
    several[:-1] |= np.abs(feature.edges) >= largest(feature.edges.dtype)
    undecided = (most > distance) & several & (feature.rows[:-1] > 0) & (now[:-1] > 0)
    if not undecided.any():
        return distance, now
    looked = np.sort(window[undecided[found]])
    held = now[:-1][undecided]
    offset = np.repeat(start[:-1][undecided] - (np.cumsum(held) - held), held)
    ranks, places = (
        [np.searchsorted(side, looked, end) for end in ("left", "right")]
        for side in (baseline.ordered.values, looked)
    )
    for rank, place in zip(ranks, places, strict=True):
        there = np.abs(rank / baseline.ordered.rows - (place + offset) / len(window))
        distance = max(distance, float(there.max()))
    return distance, now


class PreparedBaseline:
    """A table of which every column is read and prepared when it is first compared, and kept."""

    def __init__(self, table: columns.Table) -> None:
        self._table = table
        self._numbers: dict[tuple[str, Precision], PreparedNumbers | None] = {}
        self._rows: dict[str, int] = {}
        self._columns: dict[str, pa.ChunkedArray] = {}
        self.num_rows, self.schema = table.num_rows, table.schema

    def column(self, name: str) -> pa.ChunkedArray:
        """The values of one column."""
        if name not in self._columns:
            self._columns[name] = self._table.column(name)
        return self._columns[name]

    def measure(self, column: Compared, now: pa.ChunkedArray, bins: int) -> Measured:
        """Measure a window's column, as `comparison.measure` does."""
        numeric = column.kind in (columns.NUMBER, columns.TIME)
        prepared = self._prepare(column) if numeric else None
        if prepared is None:
            return comparison.measure(column, self.column(column.name), now, bins)
        values = numbers(now, column.precision)
        rows = self._rows[column.name], len(now)
        present = prepared.ordered.rows, len(values)
        gaps = comparison.gaps(now) if len(values) < len(now) else np.zeros(0, np.bool_)
        measured = Measured(column, rows, present, missing_inflation=dependence.of_missing(gaps))
        if not len(values):
            return measured
        distance, counted = count_window(prepared, values)
        summary = NumberSummary(
            distance,
            slots.shift_of(prepared.feature.rows[:-1], counted[:-1]),
            _bins(prepared, values, counted, bins),
            _moved(prepared.feature, values, counted),
        )
        table = None
        if column.kind == columns.NUMBER and not column.sure and prepared.few:
            table = comparison.count_codes(prepared.ordered.values, np.sort(values))
        inflation = dependence.of_numbers(values, prepared.ranks)
        return replace(measured, samples=summary, table=table, inflation=inflation)

    def _prepare(self, column: Compared) -> PreparedNumbers | None:
        key = column.name, column.precision
        if key not in self._numbers:
            held = self._table.column(column.name)
            values, self._rows[column.name] = numbers(held, column.precision), len(held)
            self._numbers[key] = prepare_numbers(column.name, values) if len(values) else None
        return self._numbers[key]


def _moved(feature: NumberFeature, window: Numbers, counted: Rows) -> float:
    """What is certain of Wasserstein's distance: from the slots, and exactly beyond the baseline's range."""
    edges = slots.places(feature.edges)
    shares = [np.cumsum(rows[:-2]) / rows[:-1].sum() for rows in (feature.rows, counted)]
    return transport.at_least(edges, *shares) + transport.beyond(window, edges[0], edges[-1])


def _bins(baseline: PreparedNumbers, window: Numbers, counted: Rows, bins: int) -> tuple[Numbers, Numbers]:
    """The rows of both sides in quantile bins, as `statistics.bin_rows` gives them."""
    if _PARTS % bins == 0:
        return slots.bin_rows(baseline.feature, counted, bins)
    most = largest(window.dtype)
    before = replace(baseline.ordered, values=np.clip(baseline.ordered.values, -most, most))
    edges = statistics.bin_edges(before, bins)
    places = np.searchsorted(edges, np.clip(window, -most, most))
    first = np.diff(before.upto(edges), prepend=0, append=before.rows).astype(np.float64)
    return first, np.bincount(places, minlength=len(edges) + 1).astype(np.float64)
