"""How far values have moved: Wasserstein's distance of the first order, in the values' own unit.

It is the area between the two empirical distributions, so what all rows have to move by, on average, to become those of
the other side (Vallender 1974). A few rows far away make it large, and it decides nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[Any]


def exact(first: Numbers, second: Numbers) -> float:
    """The distance of two samples, (n,) and (m,) sorted numbers without NaN, n and m > 0.

    Infinity and NaN come out where one side holds infinities, or numbers whose difference is beyond the largest.
    """
    knots = np.sort(np.concatenate([first, second])).astype(np.float64)
    shares = [np.searchsorted(side, knots[:-1], "right") / len(side) for side in (first, second)]
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.abs(shares[0] - shares[1]) @ np.diff(knots))


def at_least(knots: Numbers, first: Numbers, second: Numbers) -> float:
    """The distance that there is for certain, between the first of some numbers and the last.

    Between two of them each side's share is no smaller than at the one and no larger than at the other. So what is
    given is off by at most the rows between two knots, of both sides together, times how far the two are apart.

    Args:
        knots: (k,) numbers in order.
        first, second: (k,) share of each side's rows up to each of them.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        return float(certain_gap(first[:-1], first[1:], second[:-1], second[1:]) @ np.diff(knots))


def certain_gap(before: Numbers, upto: Numbers, other_before: Numbers, other_upto: Numbers) -> Numbers:
    """What two shares differ by at least, each of which lies between two."""
    gap: Numbers = np.maximum(np.maximum(before - other_upto, other_before - upto), 0.0)
    return gap


def beyond(window: Numbers, low: float, high: float) -> float:
    """What rows of (m,) numbers that lie beyond a range add to the distance of one that lies within it."""
    below, above = window[window < low].astype(np.float64), window[window > high].astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        return float(((low - below).sum() + (above - high).sum()) / len(window))
