"""How much less the rows of a window say because each depends on those before it.

The mean of dependent rows varies as much as that of fewer independent ones: 1 + 2 sum r(lag) times fewer, r being the
autocorrelation. The sum ends at the first lag whose r is noise (below 1/sqrt(m)). What does not end within a tenth of
the window is a level that changed or rows that somebody sorted, not dependence of rows on their neighbours: a
mean over it would call every window short, so it says nothing here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[Any]

# Autocorrelation is estimated on this many rows in a stretch.
_MOST_ROWS = 1 << 15
_MOST_STEPS = 16
_HORIZON = 10
RANKS = 64
_MOST_CATEGORIES = 8


def inflation(series: Values) -> float | None:
    """By what the variance of the series' mean is more than that of independent rows; None where it does not end.

    Args:
        series: (m,) numbers in the order of the rows.
    """
    centred = series - series.mean()
    variance = float(centred @ centred)
    rows = len(centred)
    if variance == 0:
        return 1.0
    total, noise, horizon = 1.0, rows**-0.5, rows // _HORIZON
    for lag, correlation in enumerate(_correlations(centred, variance, horizon), 1):
        if correlation < noise:
            return total
        if lag == horizon:
            break
        total += 2 * correlation
    return None if horizon else 1.0


def of_numbers(window: Values, quantiles: Values) -> float | None:
    """The inflation of a window's numbers, in the order of its rows: that of ranks or of their distances, the larger.

    Ranks see that large follows large, their distances from the middle that extreme follows extreme, on either side:
    a window of a loud time is wide as a whole.

    Args:
        window: (m,) numbers in the order of the rows.
        quantiles: the RANKS - 1 values at which RANKS equal parts of the baseline meet.
    """
    ranks = np.searchsorted(quantiles, _stretch(window), "right")
    whole, spread = (
        inflation(series.astype(np.float32)) for series in (ranks, np.abs(2 * ranks - (RANKS - 1)))
    )
    if whole is None or spread is None:
        return None
    return max(whole, spread)


def of_categories(codes: Values) -> float | None:
    """The inflation of a window's categories: the mean over the most frequent ones.

    Args:
        codes: (m,) the number of each row's category, in the order of the rows.
    """
    codes = _stretch(codes)
    counts = np.bincount(codes)
    frequent = np.argsort(counts)[::-1][:_MOST_CATEGORIES]
    found = [inflation((codes == code).astype(np.float32)) for code in frequent if counts[code]]
    known = [one for one in found if one is not None]
    return sum(known) / len(known) if len(known) == len(found) else None


def of_pairs(products: Values, pairs: Values, expected: float, variance: float) -> float | None:
    """The inflation by sums over pairs of rows, of which there are those of the first lags only.

    What lies beyond them is taken to fall as it did before.

    Args:
        products: (k,) sums of the products of pairs 1, 2, ..., k rows apart.
        pairs: (k,) how many pairs these are.
        expected: what a product is on average where rows do not depend on each other.
        variance: of single rows.
    """
    if variance <= 0:
        return 1.0
    horizon = int(pairs[0]) // _HORIZON
    known = min(horizon, int(np.count_nonzero(pairs)))
    if not known:
        return 1.0 if pairs[0] else None
    correlations = (products[:known] / pairs[:known] - expected) / variance
    noise = float(pairs[0]) ** -0.5
    quiet = np.flatnonzero(correlations < noise)
    if quiet.size:
        return 1 + 2 * float(correlations[: quiet[0]].sum())
    last, middle = float(correlations[-1]), float(correlations[known // 2 - 1])
    if known == horizon or not last < middle:
        return None
    ratio = (last / middle) ** (1 / (known - known // 2))
    left = np.log(noise / last) / np.log(ratio)
    if known + left > horizon:
        return None
    return 1 + 2 * float(correlations.sum() + last * ratio * (1 - ratio**left) / (1 - ratio))


def of_many_pairs(products: Values, pairs: Values, expected: Values, variances: Values) -> list[float | None]:
    """The inflations by sums over pairs of several features at once, as `of_pairs` gives them.

    Args:
        products, pairs: (f, k) as there.
        expected, variances: (f,) as there.
    """
    lags = np.arange(pairs.shape[1])
    horizon = np.minimum(pairs[:, 0] // _HORIZON, np.count_nonzero(pairs, axis=1))
    with np.errstate(divide="ignore", invalid="ignore"):
        correlations = (products / pairs - expected[:, None]) / variances[:, None]
        quiet = (correlations < pairs[:, :1] ** -0.5) & (lags < horizon[:, None])
    first = np.argmax(quiet, axis=1)
    sums = np.concatenate([np.zeros((len(pairs), 1)), np.cumsum(correlations, axis=1)], axis=1)
    ended = quiet.any(axis=1) & (variances > 0)
    known = (1 + 2 * sums[np.arange(len(pairs)), first]).tolist()
    return [
        known[place]
        if ended[place]
        else of_pairs(products[place], pairs[place], expected[place], variances[place])
        for place in range(len(pairs))
    ]


def of_missing(missing: Values) -> float | None:
    """The inflation of the share of missing values; None where there are none."""
    if not missing.any():
        return None
    return inflation(_stretch(missing).astype(np.float32))


def _stretch(values: Values) -> Values:
    start = max(len(values) - _MOST_ROWS, 0) // 2
    return values[start : start + _MOST_ROWS]


def _correlations(centred: Values, variance: float, horizon: int) -> Iterator[float]:
    """The autocorrelation at lags 1 to `horizon`; the first ones alone are cheaper one by one."""
    for lag in range(1, min(horizon, _MOST_STEPS) + 1):
        yield float(centred[:-lag] @ centred[lag:]) / variance
    if horizon > _MOST_STEPS:
        size = 1 << int(np.ceil(np.log2(2 * len(centred))))
        spectrum = np.fft.rfft(centred, size)
        yield from (
            np.fft.irfft(np.abs(spectrum) ** 2, size)[_MOST_STEPS + 1 : horizon + 1] / variance
        ).tolist()
