"""Two-sample tests for categories and for missing values: rows per category, compared with rows per category."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from mooring_components.drift.statistics import (
    CONFIDENCE,
    Numbers,
    effective_rows,
    log_choose,
    stability,
    stability_p,
)

Codes = npt.NDArray[Any]

_SMALLEST_EXPECTED = 5.0
_FISHER_EXPECTED = 100.0


def count(first: Codes, second: Codes) -> Numbers:
    """The (2, k) rows per category of two sides, categories being numbered from 0."""
    size = int(max(first.max(), second.max())) + 1
    return np.stack([np.bincount(side, minlength=size) for side in (first, second)]).astype(np.float64)


def categories(
    baseline: Numbers, window: Numbers, inflation: float = 1.0
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Total variation distance with the p-value of a two-sample contingency table, and the stability index.

    Categories that are expected less than five times in the smaller sample are pooled. Where even the
    pool is expected less often than that, chi-square does not hold: Fisher's exact test compares its share,
    and Bonferroni's inequality combines both. So one row of an unseen category proves nothing.

    Args:
        baseline: (k,) rows per category, at least one row.
        window: (k,) rows per category, at least one row.
        inflation: what rows that depend on each other are divided by.
    """
    table = np.stack([baseline, window]).astype(np.float64) / inflation
    common, pool, pooled = _pool(table)
    rows = table.sum(axis=1)
    distance = float(np.abs(pooled[0] / rows[0] - pooled[1] / rows[1]).sum() / 2)
    if pool.any() and _expected(pooled)[-1] < _SMALLEST_EXPECTED:
        exact = missing_rate(*np.rint([pool[0], rows[0], pool[1], rows[1]]).astype(int))
        p_value = min(1.0, 2 * min(exact, _chi_square(common))) if common.shape[1] > 1 else exact
    else:
        p_value = _chi_square(pooled)
    counted = pooled * inflation
    return (distance, p_value), (
        stability(counted[0], counted[1]),
        stability_p(counted[0], counted[1], inflation),
    )


def likelihood_ratio(baseline: Numbers, window: Numbers, inflation: float = 1.0) -> tuple[float, float]:
    """G, twice the logarithm of the likelihood ratio of two populations against one, and its p-value (Wilks 1938).

    Categories that are expected less than five times in the smaller sample are pooled, and left out where even the pool
    is; the arguments are those of `categories`. It is close to chi-square where neither is far from what is expected.
    """
    common, pool, pooled = _pool(np.stack([baseline, window]).astype(np.float64) / inflation)
    if pool.any() and _expected(pooled)[-1] < _SMALLEST_EXPECTED:
        pooled = common
    rows, columns = pooled.sum(axis=1, keepdims=True), pooled.sum(axis=0, keepdims=True)
    if pooled.shape[1] < 2 or not rows.all():
        return 0.0, 1.0
    statistic = max(0.0, 2 * float(special.rel_entr(pooled, rows * columns / rows.sum()).sum()))
    return statistic, float(special.chdtrc(pooled.shape[1] - 1, statistic))


def variation_lower_bound(
    distance: float, baseline: Numbers, window: Numbers, inflation: float = 1.0
) -> float:
    """The total variation distance that two populations of categories have at least, with 95 % confidence.

    The noise is at most half the sum of the categories' standard errors on average, and exceeds that by
    McDiarmid's inequality (1989). `baseline` and `window` are (k,) rows per category.
    """
    effective = effective_rows(baseline.sum(), window.sum()) / inflation
    most = average_noise(baseline, window, inflation) + np.sqrt(-np.log(1 - CONFIDENCE) / (2 * effective))
    return max(distance - float(most), 0.0)


def average_noise(baseline: Numbers, window: Numbers, inflation: float = 1.0) -> float:
    """The total variation distance of two samples of one population, at most, on average."""
    share = (baseline + window) / (baseline.sum() + window.sum())
    effective = effective_rows(baseline.sum(), window.sum()) / inflation
    return float(np.sqrt(share * (1 - share) / effective).sum() / 2)


def missing_rate(baseline_missing: int, baseline_rows: int, window_missing: int, window_rows: int) -> float:
    """The two-sided p-value of the shares of missing values being the same.

    Fisher's exact test; chi-square with Yates' correction where every cell is expected a hundred times and
    more.
    """
    missing, rows = baseline_missing + window_missing, baseline_rows + window_rows
    if missing in (0, rows) or 0 in (baseline_rows, window_rows):
        return 1.0
    if min(missing, rows - missing) * min(baseline_rows, window_rows) / rows >= _FISHER_EXPECTED:
        return _chi_square(
            np.array(
                [
                    [baseline_missing, baseline_rows - baseline_missing],
                    [window_missing, window_rows - window_missing],
                ],
                dtype=np.float64,
            ),
            continuity=0.5,
        )
    possible = np.arange(max(0, missing - baseline_rows), min(missing, window_rows) + 1)
    log = log_choose(window_rows, possible) + log_choose(baseline_rows, missing - possible)
    probability = np.exp(log - log_choose(rows, np.array(missing)))
    # Probabilities that are equal but for rounding are equally extreme.
    extreme = probability <= probability[window_missing - possible[0]] * (1 + 1e-7)
    return min(1.0, float(probability[extreme].sum()))


def rate_lower_bound(
    baseline_missing: int, baseline_rows: int, window_missing: int, window_rows: int
) -> float:
    """What the shares of missing values differ by at least, with 95 % confidence (Agresti & Caffo 2000)."""
    rows = np.array([baseline_rows, window_rows]) + 2
    share = (np.array([baseline_missing, window_missing]) + 1) / rows
    noise = float(special.ndtri((1 + CONFIDENCE) / 2) * np.sqrt((share * (1 - share) / rows).sum()))
    return max(abs(float(share[1] - share[0])) - noise, 0.0)


def _pool(table: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """Columns of a (2, k) table that are expected often enough, (2, c), the sum of the others, (2,), and both."""
    rare = _expected(table) < _SMALLEST_EXPECTED
    common, pool = table[:, ~rare], table[:, rare].sum(axis=1)
    return common, pool, np.column_stack([common, pool]) if pool.any() else common


def _expected(table: Numbers) -> Numbers:
    """How often each column of a (2, k) table is expected in the smaller of its two samples."""
    rows = table.sum(axis=1)
    expected: Numbers = table.sum(axis=0) * rows.min() / rows.sum()
    return expected


def _chi_square(table: Numbers, continuity: float = 0.0) -> float:
    """The p-value of Pearson's test of a (2, k) table."""
    rows, columns = table.sum(axis=1, keepdims=True), table.sum(axis=0, keepdims=True)
    if table.shape[1] < 2 or not rows.all():
        return 1.0
    expected = rows * columns / rows.sum()
    off = np.maximum(np.abs(table - expected) - continuity, 0)
    return float(special.chdtrc(table.shape[1] - 1, (off**2 / expected).sum()))
