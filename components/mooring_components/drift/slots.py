"""Statistics of numbers that were counted in the slots of a profile.

Rows are counts per slot, the last one for missing values (`mooring_artifacts.window_states`). At the edges of the slots
distances are exact, and inside a slot none is larger than what both sides' rows in it allow.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from mooring_artifacts.window_states import Numbers as NumberFeature
from mooring_artifacts.window_states.cells import largest

from mooring_components.drift import statistics
from mooring_components.drift.comparison import MOST_CODES, ROWS_PER_CODE, Table
from mooring_components.drift.statistics import Numbers, Ordered

Rows = npt.NDArray[np.int64]


def distance_bounds(feature: NumberFeature, now: Rows) -> tuple[float, float]:
    """From where to where Kolmogorov and Smirnov's D lies, for certain; `now` are the window's rows per slot."""
    first, second = (np.append(0.0, np.cumsum(rows[:-1]) / rows[:-1].sum()) for rows in (feature.rows, now))
    lowest = float(np.abs(first - second).max())
    most = np.maximum(first[1:] - second[:-1], second[1:] - first[:-1])
    # Where one side has no row, or all have one value, the distance is largest at an edge.
    inside = ~alone(feature.edges) & (feature.rows[:-1] > 0) & (now[:-1] > 0)
    return lowest, max(lowest, float(most[inside].max(initial=0.0)))


def alone(edges: Numbers) -> npt.NDArray[np.bool_]:
    """Which of the len(edges) + 1 slots hold one value only; infinity counts as `cells.largest`."""
    single = np.nextafter(edges[:-1], np.inf, dtype=edges.dtype) == edges[1:]
    return np.concatenate([[False], single, [False]])


def places(edges: Numbers) -> Numbers:
    """Where the edges lie, as 64-bit numbers; what stands for infinity is infinite again."""
    most = largest(edges.dtype)
    wide = edges.astype(np.float64)
    return np.where(np.abs(edges) < most, wide, np.copysign(np.inf, wide))


def shift_of(before: Rows, now: Rows) -> float:
    """The rank shift, the values of a slot taken for equal; rows per slot of both sides, without the missing ones."""
    below = np.cumsum(before) - before / 2
    return float(now @ below) / (float(before.sum()) * float(now.sum())) - 0.5


def bin_rows(feature: NumberFeature, now: Rows, bins: int) -> tuple[Numbers, Numbers]:
    """Rows of both sides in quantile bins of the baseline, as `statistics.bin_rows` gives them.

    They are the same where `bins` divides the number of equal parts that cells are made of; else each bin ends where a
    cell does.
    """
    upper = np.append(feature.edges, np.inf)
    used = np.flatnonzero(feature.rows[:-1])
    before = feature.rows[:-1]
    below = (np.cumsum(before) - before)[used]
    edges = statistics.bin_edges(
        Ordered(upper[used].astype(feature.edges.dtype), below, int(before.sum())), bins
    )
    places = np.searchsorted(feature.edges, edges)
    first, second = (
        np.diff(np.cumsum(rows[:-1])[places], prepend=0, append=rows[:-1].sum()).astype(np.float64)
        for rows in (feature.rows, now)
    )
    return first, second


def certain_shift(feature: NumberFeature, now: Rows) -> float:
    """The rank shift that there is at least, however the rows lie inside of their slots."""
    before = feature.rows[:-1]
    shift = shift_of(before, now[:-1])
    inside = ~alone(feature.edges)
    unknown = float(before[inside] / before.sum() @ (now[:-1][inside] / now[:-1].sum())) / 2
    return float(np.copysign(max(abs(shift) - unknown, 0.0), shift))


def codes(feature: NumberFeature, now: Rows) -> Table | None:
    """Rows per value where the baseline's are few integers, which may be codes of categories; else None."""
    values = feature.edges[alone(feature.edges)[:-1]]
    if not np.all(np.rint(values) == values):
        return None
    used = int(np.count_nonzero(now[:-1]))
    if len(values) > MOST_CODES or not 2 < used <= now[:-1].sum() / ROWS_PER_CODE:
        return None
    return declared_codes(feature, now)


def declared_codes(feature: NumberFeature, now: Rows) -> Table | None:
    """Rows per value of what is codes; None where several values of the baseline share a slot.

    What the window alone has is one category between two that the baseline has.
    """
    single = np.append(alone(feature.edges)[:-1], False)
    if feature.rows[:-1][~single].any():
        return None
    table = np.stack([feature.rows[:-1], now[:-1]]).astype(np.float64)
    return table[:, table.any(axis=0)]
