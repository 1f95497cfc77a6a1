"""Two-sample tests for one feature, and the correction for testing many.

Arrays are one-dimensional. Missing values (NaN) have to be left out before; `missing_rate` tests them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import special, stats

Numbers = npt.NDArray[np.float64]
Strings = npt.NDArray[np.object_]

_EXACT_ROWS = 10_000
_SMALLEST_EXPECTED = 5.0


def kolmogorov_smirnov(baseline: Numbers, window: Numbers) -> tuple[float, float]:
    """The largest distance D between the two empirical distributions, and its p-value.

    D is exact, ties included. The p-value is Kolmogorov's distribution at the effective sample size
    (Simard & L'Ecuyer 2011) for small samples, with Stephens' (1970) correction for large ones.

    Args:
        baseline: (n,) numbers without NaN, n > 0.
        window: (m,) numbers without NaN, m > 0.
    """
    first, second = np.sort(baseline), np.sort(window)
    everything = np.concatenate([first, second])
    left = np.searchsorted(first, everything, side="right") / len(first)
    right = np.searchsorted(second, everything, side="right") / len(second)
    distances = left - right
    distance = float(max(distances.max(), -distances.min()))
    effective = len(first) * len(second) / (len(first) + len(second))
    if max(len(first), len(second)) <= _EXACT_ROWS:
        with np.errstate(divide="ignore"):  # scipy divides by the size of samples that it does not look at
            return distance, float(stats.kstwo.sf(distance, max(round(effective), 1)))
    root = np.sqrt(effective)
    return distance, float(special.kolmogorov((root + 0.12 + 0.11 / root) * distance))


def population_stability_index(baseline: Numbers, window: Numbers, bins: int = 10) -> tuple[float, float]:
    """The population stability index over quantile bins of the baseline, and its p-value.

    The outer bins reach to infinity, so that no value is dropped; a value that is many rows of the
    baseline has a bin of its own; each bin counts half a row more, so that none is empty. Without drift the
    index over 1/n + 1/m follows a chi-square distribution with bins - 1 degrees of freedom (Yurdakul 2018).

    Args:
        baseline: (n,) numbers without NaN, n > 0.
        window: (m,) numbers without NaN, m > 0.
        bins: number of quantile bins before repeated edges are joined.
    """
    edges = _edges(baseline, bins)
    return _stability(_counts(baseline, edges), _counts(window, edges))


def categories(baseline: Strings, window: Strings) -> tuple[tuple[float, float], tuple[float, float]]:
    """Cramer's V with the p-value of the chi-square test of a two-sample table, and the stability index.

    Categories that are expected less than five times in the smaller sample are pooled: one that is new
    and rare proves nothing.
    """
    _, codes = np.unique(np.concatenate([baseline, window]).astype(str), return_inverse=True)
    total = int(codes.max()) + 1
    table = np.stack(
        [
            np.bincount(codes[: len(baseline)], minlength=total),
            np.bincount(codes[len(baseline) :], minlength=total),
        ]
    ).astype(np.float64)
    expected = table.sum(axis=0) * min(len(baseline), len(window)) / (len(baseline) + len(window))
    rare = expected < _SMALLEST_EXPECTED
    if rare.any():
        table = np.column_stack([table[:, ~rare], table[:, rare].sum(axis=1)])
    if table.shape[1] < 2:
        return (0.0, 1.0), (0.0, 1.0)
    statistic, p_value, _, _ = stats.chi2_contingency(table, correction=False)
    strength = float(np.sqrt(statistic / table.sum()))
    return (strength, float(p_value)), _stability(table[0], table[1])


def missing_rate(baseline_missing: int, baseline_rows: int, window_missing: int, window_rows: int) -> float:
    """The p-value of the shares of missing values being the same: Fisher's exact test."""
    if baseline_missing == window_missing == 0:
        return 1.0
    table = [
        [baseline_missing, baseline_rows - baseline_missing],
        [window_missing, window_rows - window_missing],
    ]
    return float(stats.fisher_exact(table).pvalue)


def benjamini_hochberg(p_values: Numbers, rate: float) -> npt.NDArray[np.bool_]:
    """Which hypotheses to reject so that at most a share of `rate` of them is rejected wrongly.

    Source: Benjamini & Hochberg 1995.

    Args:
        p_values: (k,) of k tests.
        rate: false discovery rate, between 0 and 1.
    """
    count = len(p_values)
    if count == 0:
        return np.zeros(0, dtype=np.bool_)
    order = np.argsort(p_values)
    below = p_values[order] <= rate * np.arange(1, count + 1) / count
    rejected = np.zeros(count, dtype=np.bool_)
    if below.any():
        rejected[order[: np.flatnonzero(below).max() + 1]] = True
    return rejected


def _edges(baseline: Numbers, bins: int) -> Numbers:
    """Inner edges of the bins (a, b]: quantiles of the baseline, and both sides of values that fill a bin."""
    ordered = np.sort(baseline)
    cuts = ordered[(np.arange(1, bins) * len(ordered)) // bins]
    values, counts = np.unique(cuts, return_counts=True)
    below = np.nextafter(values[counts > 1], -np.inf)
    # Beyond what the baseline knows, too, lies something: a value above its maximum is no value below it.
    inner = np.concatenate([cuts, below, ordered[[-1]], np.nextafter(ordered[[0]], -np.inf)])
    return np.unique(inner)


def _counts(values: Numbers, edges: Numbers) -> Numbers:
    bins = np.searchsorted(edges, values, side="left")
    return np.bincount(bins, minlength=len(edges) + 1).astype(np.float64)


def _stability(first: Numbers, second: Numbers) -> tuple[float, float]:
    used = (first > 0) | (second > 0)
    first, second = first[used] + 0.5, second[used] + 0.5
    share, other = first / first.sum(), second / second.sum()
    index = float(np.sum((other - share) * np.log(other / share)))
    if len(first) < 2:
        return index, 1.0
    scale = 1 / first.sum() + 1 / second.sum()
    return index, float(stats.chi2.sf(index / scale, len(first) - 1))
