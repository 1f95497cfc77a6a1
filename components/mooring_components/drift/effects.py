"""How large a difference is and of what kind: numbers that are shown beside the tests, and decide nothing.

Those of bins are the same, to the last bit, of rows and of what was counted in slots; those of categories are but for
rounding, where the baseline has no more of them than a profile has slots.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from mooring_components.drift import columns, contingency
from mooring_components.drift.comparison import Measured
from mooring_components.drift.statistics import Numbers


@dataclass(frozen=True)
class Effects:
    """The size of a feature's difference; None where it has none of the kind.

    jensen_shannon: distance from 0 to 1, over the bins of the stability index, or over categories.
    moved: Wasserstein's distance of numbers, in their own unit, or what is certain of it.
    likelihood_ratio: G of categories, and its p-value.
    unseen: share of the window's values that the baseline has none of, of categories and few integers. Of counted
        windows at least so many: what a profile has no slot for is one category.
    out_of_range: share of the window's numbers that are smaller or larger than all of the baseline.
    """

    jensen_shannon: float | None = None
    moved: float | None = None
    likelihood_ratio: tuple[float, float] | None = None
    unseen: float | None = None
    out_of_range: float | None = None


NOTHING = Effects()


def size_effects(measured: Measured) -> Effects:
    """Give the sizes of what was measured of a column; rows that depend on each other count as they do in tests."""
    sides = measured.samples.bins if measured.samples is not None else measured.table
    if sides is None or not all(measured.present):
        return NOTHING
    table, moved = measured.table, None
    # The unit of times is that of how they are stored, which nobody sees.
    if measured.samples is not None and measured.column.kind == columns.NUMBER:
        moved = measured.samples.moved if math.isfinite(measured.samples.moved) else None
    return Effects(
        jensen_shannon=jensen_shannon(sides[0], sides[1]),
        moved=moved,
        likelihood_ratio=None
        if table is None
        else contingency.likelihood_ratio(table[0], table[1], measured.inflation or 1.0),
        unseen=None if table is None else unseen_share(table[0], table[1]),
        out_of_range=None if measured.samples is None else out_of_range_share(measured.samples.bins[1]),
    )


def jensen_shannon(first: Numbers, second: Numbers) -> float:
    """The square root of Jensen and Shannon's divergence in bits: 0 of equal shares, 1 of sides that share nothing.

    It is a metric (Endres & Schindelin 2003). Of bins it is at most that of the numbers themselves.

    Args:
        first, second: (k,) rows of both sides per bin or category, at least one row each.
    """
    share, other = first / first.sum(), second / second.sum()
    middle = (share + other) / 2
    bits = float((special.rel_entr(share, middle) + special.rel_entr(other, middle)).sum()) / (
        2 * math.log(2)
    )
    return math.sqrt(min(max(bits, 0.0), 1.0))


def unseen_share(baseline: Numbers, window: Numbers) -> float:
    """The share of the window's rows in categories of which the baseline has no row; (k,) rows per category each."""
    return float(window[baseline == 0].sum() / window.sum())


def out_of_range_share(window: Numbers) -> float:
    """The share of the window's rows in the outermost of the bins, which lie beyond the baseline's range."""
    return float(np.sum(window[[0, -1]]) / window.sum())
