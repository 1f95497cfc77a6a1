"""Two-sample tests for one feature of numbers.

Arrays are one-dimensional. Missing values (NaN) have to be left out before; `contingency.missing_rate` tests them.
Each side is sorted once, and all statistics are read off the sorted arrays. Rows that depend on the rows before them
say less: an `inflation` divides what they count for (`dependence`).
Of scipy only `scipy.special` is used: importing `scipy.stats` takes longer than a whole evaluation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from mooring_components.drift import transport

Numbers = npt.NDArray[Any]
Counts = npt.NDArray[np.intp]

_EXACT_ROWS = 10_000
CONFIDENCE = 0.95
# From here down, twice the one-sided probability is the two-sided one to four digits and more.
_TAIL = 0.1


@dataclass(frozen=True)
class Ordered:
    """Rows in the order of their values, or those of them that matter.

    values: (k,) sorted. below: (k,) rows before each of them. rows: number of all rows.
    """

    values: Numbers
    below: Counts
    rows: int

    def at(self, ranks: Counts) -> Numbers:
        """The values of the rows at these ranks, counted from 0."""
        found: Numbers = self.values[np.searchsorted(self.below, ranks, "right") - 1]
        return found

    def upto(self, edges: Numbers) -> Counts:
        """Rows up to each edge, which is a value of theirs or the number below it."""
        places = np.searchsorted(self.values, edges, "right")
        return np.append(self.below, self.rows)[places]


@dataclass(frozen=True)
class Placed:
    """A window in its baseline.

    distance: Kolmogorov and Smirnov's D, the largest distance between the two empirical distributions; exact.
    shift: how much more often a row of the window is the larger of two than a row of the baseline, P(x < y) - 1/2;
        ties count half (Mann & Whitney 1947). It is never larger than D.
    baseline: its rows in order. window: (m,) sorted.
    moved: Wasserstein's distance, or what is certain of it (`transport`).
    """

    distance: float
    shift: float
    baseline: Ordered
    window: Numbers
    moved: float


def place(baseline: Numbers, window: Numbers) -> Placed:
    """Compare two samples, of which each is sorted once.

    D is largest just after one of the window's values or just before one.

    Args:
        baseline: (n,) numbers without NaN, n > 0.
        window: (m,) numbers without NaN, m > 0.
    """
    first, second = np.sort(baseline), np.sort(window)
    last = np.flatnonzero(second[1:] != second[:-1])
    end = np.append(last, len(second) - 1) + 1
    start = np.append(0, end[:-1])
    below, upto = (np.searchsorted(first, second[start], side) for side in ("left", "right"))
    before = np.abs(below / len(first) - start / len(second))
    after = np.abs(upto / len(first) - end / len(second))
    shift = float((below + upto) @ (end - start)) / (2.0 * len(first) * len(second)) - 0.5
    distance = float(max(before.max(), after.max()))
    ordered = Ordered(first, np.arange(len(first)), len(first))
    return Placed(distance, shift, ordered, second, transport.exact(first, second))


def kolmogorov_p(distance: float, baseline_rows: int, window_rows: int, inflation: float = 1.0) -> float:
    """The p-value of D: Kolmogorov's distribution at the effective sample size.

    Exact in the tail of small samples (twice the one-sided probability, Simard & L'Ecuyer 2011), and with Stephens'
    (1970) correction elsewhere: off by less than 3 % at p >= .1 and .02 % at p = .05.
    """
    effective = effective_rows(baseline_rows, window_rows) / inflation
    p_value = float(special.kolmogorov(stephens(effective) * distance))
    # The exact probability is slow and decides nothing where nothing is significant.
    if max(baseline_rows, window_rows) <= _EXACT_ROWS and p_value < 2 * _TAIL:
        tail = 2 * float(special.smirnov(max(round(effective), 1), distance))
        p_value = tail if tail < _TAIL else max(p_value, _TAIL)
    return p_value


def distance_lower_bound(
    distance: float, baseline_rows: int, window_rows: int, inflation: float = 1.0
) -> float:
    """The distance D that the two populations have at least, with 95 % confidence.

    The noise of D under any two distributions is at most what it is under one: its covariance differs from
    that of one Brownian bridge over their mixture by a term of rank one, so Anderson's inequality (1955)
    makes Kolmogorov's quantile a bound, in the limit of large samples.
    """
    effective = effective_rows(baseline_rows, window_rows) / inflation
    return max(distance - float(special.kolmogi(1 - CONFIDENCE)) / stephens(effective), 0.0)


def rank_p(shift: float, baseline_rows: int, window_rows: int, inflation: float = 1.0) -> float:
    """The two-sided p-value of a rank shift, in the normal approximation; ties make it larger than it is."""
    return float(2 * special.ndtr(-abs(shift) / _rank_error(baseline_rows, window_rows, inflation)))


def rank_lower_bound(shift: float, baseline_rows: int, window_rows: int, inflation: float = 1.0) -> float:
    """The distance D that two populations with this rank shift have at least, with 95 % confidence."""
    noise = float(special.ndtri(CONFIDENCE)) * _rank_error(baseline_rows, window_rows, inflation)
    return max(abs(shift) - noise, 0.0)


def bin_rows(placed: Placed, bins: int = 10) -> tuple[Numbers, Numbers]:
    """Rows of both sides in quantile bins of the baseline, the outermost beyond its range.

    The outer bins reach to infinity, so that no value is dropped; a value that is many rows of the baseline has a
    bin of its own.

    Args:
        placed: the two samples.
        bins: number of quantile bins before repeated edges are joined.
    """
    before, now = _finite(placed.baseline.values), _finite(placed.window)
    baseline = Ordered(before, placed.baseline.below, placed.baseline.rows)
    edges = bin_edges(baseline, bins)
    found = baseline.upto(edges), np.searchsorted(now, edges, "right")
    first, second = (
        np.diff(upto, prepend=0, append=rows).astype(np.float64)
        for upto, rows in zip(found, (baseline.rows, len(now)), strict=True)
    )
    return first, second


def bin_edges(ordered: Ordered, bins: int) -> Numbers:
    """Inner edges of the bins (a, b]: quantiles of the baseline, and both sides of values that fill a bin."""
    kind = ordered.values.dtype
    cuts = ordered.at(quantile_ranks(ordered.rows, bins))
    values, counts = np.unique(cuts, return_counts=True)
    below = np.nextafter(values[counts > 1], -np.inf, dtype=kind)
    # Beyond what the baseline knows, too, lies something: a value above its maximum is no value below it.
    outer = np.nextafter(ordered.values[[0]], -np.inf, dtype=kind)
    return np.unique(np.concatenate([cuts, below, ordered.values[[-1]], outer]))


def quantile_ranks(rows: int, parts: int) -> Counts:
    """The ranks, counted from 0, at which `parts` equal parts of some rows meet."""
    return (np.arange(1, parts) * rows) // parts


def population_stability_index(
    first: Numbers, second: Numbers, inflation: float = 1.0
) -> tuple[float, float]:
    """The population stability index over the bins of `bin_rows`, and its p-value.

    Each bin counts half a row more, so that none is empty. Without drift the index over 1/n + 1/m follows a
    chi-square distribution with bins - 1 degrees of freedom (Yurdakul 2018). That holds inside the baseline's range;
    how many rows lie beyond either end has an exact probability, and the three are combined by Bonferroni's
    inequality.
    """
    within = second[1:-1].copy()
    within[0] += second[0]
    within[-1] += second[-1]
    rows = first.sum() / inflation, second.sum() / inflation
    p_values = [
        stability_p(first[1:-1], within, inflation),
        *(_beyond(count / inflation, *rows) for count in second[[0, -1]]),
    ]
    return stability(first, second), min(1.0, len(p_values) * min(p_values))


def stability(first: Numbers, second: Numbers) -> float:
    """The population stability index of two sides' rows per bin."""
    return _index(*_smoothed(first, second))


def stability_p(first: Numbers, second: Numbers, inflation: float = 1.0) -> float:
    """The p-value of that index."""
    share, other = _smoothed(first, second)
    if len(share) < 2:
        return 1.0
    scale = inflation * (1 / share.sum() + 1 / other.sum())
    return float(special.chdtrc(len(share) - 1, _index(share, other) / scale))


def effective_rows(first: float, second: float) -> float:
    """The size of one sample whose distribution is as certain as the difference of two."""
    return first * second / (first + second)


def stephens(effective: float) -> float:
    """What D is multiplied by to follow Kolmogorov's distribution (Stephens 1970)."""
    root = float(np.sqrt(effective))
    return root + 0.12 + 0.11 / root


def log_choose(count: float, chosen: float | Numbers) -> Numbers:
    """The logarithm of the binomial coefficient."""
    logarithm: Numbers = (
        special.gammaln(count + 1) - special.gammaln(chosen + 1) - special.gammaln(count - chosen + 1)
    )
    return logarithm


def _rank_error(baseline_rows: int, window_rows: int, inflation: float) -> float:
    first, second = baseline_rows / inflation, window_rows / inflation
    return float(np.sqrt((first + second + 1) / (12 * first * second)))


def _finite(ordered: Numbers) -> Numbers:
    """Infinities are the second largest numbers here, so that a bin still fits below the smallest."""
    if np.isfinite(ordered[0]) and np.isfinite(ordered[-1]):
        return ordered
    largest = np.nextafter(np.finfo(ordered.dtype).max, 0, dtype=ordered.dtype)
    return np.clip(ordered, -largest, largest)


def _beyond(count: float, baseline_rows: float, window_rows: float) -> float:
    """The probability that the `count` largest of all rows are all rows of the window."""
    log = log_choose(window_rows, count) - log_choose(baseline_rows + window_rows, count)
    return min(1.0, float(np.exp(log)))


def _smoothed(first: Numbers, second: Numbers) -> tuple[Numbers, Numbers]:
    used = (first + second) > 0
    if not used.all():
        first, second = first[used], second[used]
    return first + 0.5, second + 0.5


def _index(first: Numbers, second: Numbers) -> float:
    """The population stability index of rows per bin, none of which is empty."""
    share, other = first / first.sum(), second / second.sum()
    return float((other - share) @ np.log(other / share))
