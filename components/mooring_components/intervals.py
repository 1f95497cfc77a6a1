"""Intervals of 95 % for what is measured on a sample of rows, and for differences of two models on the same rows.

Which form is used for what follows from simulated coverage: Wilson for shares, a multinomial bootstrap over the cells
of a confusion matrix, logit-transformed normal intervals for areas, the central limit theorem for means.

References: Wilson (1927); DeLong, DeLong, Clarke-Pearson (1988); Pepe (2003), 5.2.5; Agresti, Min (2005).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

Z = 1.959963984540054
"""The quantile .975 of the normal distribution."""
_DRAWS = 2000
_MOST_DRAWN = 20_000_000
_MOST_CELLS = 20_000
_MOST_AT_ONCE = 1_000_000


@dataclass(frozen=True)
class Estimate:
    """A value with its interval; `low` and `high` are None where no interval is known to hold."""

    value: float
    low: float | None = None
    high: float | None = None

    def negated(self) -> Estimate:
        """The estimate of the opposite."""
        low = None if self.high is None else -self.high
        return Estimate(-self.value, low, None if self.low is None else -self.low)


def share(hits: int, rows: int) -> Estimate:
    """`hits` of `rows`, with Wilson's interval."""
    p, z2 = hits / rows, Z * Z
    middle = (p + z2 / (2 * rows)) / (1 + z2 / rows)
    half = Z / (1 + z2 / rows) * np.sqrt(p * (1 - p) / rows + z2 / (4 * rows * rows))
    return Estimate(p, max(0.0, float(middle - half)), min(1.0, float(middle + half)))


def mean(values: Floats) -> Estimate:
    """The mean of (rows,) values, by the central limit theorem."""
    return normal(float(values.mean()), values)


def normal(value: float, influence: Floats) -> Estimate:
    """An estimate whose rows have this influence on it, (rows,): the interval is as wide as their spread says."""
    rows = len(influence)
    if rows < 2:
        return Estimate(value)
    half = Z * float(influence.std(ddof=1)) / np.sqrt(rows)
    return Estimate(value, float(value - half), float(value + half))


def logit(value: float, influence: Floats) -> Estimate:
    """As `normal`, for a value between 0 and 1, on the logit scale; none at 0 and 1."""
    plain = normal(value, influence)
    if plain.low is None or not 0 < value < 1:
        return Estimate(value)
    half = (value - plain.low) / (value * (1 - value))
    center = np.log(value / (1 - value))
    low, high = 1 / (1 + np.exp(half - center)), 1 / (1 + np.exp(-half - center))
    return Estimate(value, float(low), float(high))


def paired_shares(only_first: int, only_second: int, rows: int) -> Estimate:
    """The share of rows that the first model gets right less that of the second, by Agresti and Min.

    `only_first` and `only_second` are the rows that one of them alone gets right.
    """
    b, c, n = only_first + 0.5, only_second + 0.5, rows + 2.0
    middle = (b - c) / n
    half = Z * np.sqrt((b + c) - (b - c) ** 2 / n) / n
    value = (only_first - only_second) / rows
    return Estimate(value, max(-1.0, float(middle - half)), min(1.0, float(middle + half)))


def bootstrap(counts: Counts, statistics: Callable[[Counts], Floats]) -> list[Estimate]:
    """Estimates of what `statistics` makes of (draws, cells) counts, (draws, statistics): percentiles of drawn tables.

    None where there are too many cells to draw them often enough.
    """
    values = statistics(counts[None, :])[0]
    draws = min(_DRAWS, _MOST_DRAWN // max(1, len(counts)))
    rows = int(counts.sum())
    if len(counts) > _MOST_CELLS or rows < 2:
        return [Estimate(float(value)) for value in values]
    # The same data gets the same verdict.
    random, shares = np.random.default_rng(0), counts / rows
    # Some at a time: what is made of each draw is several times as large.
    block = max(1, _MOST_AT_ONCE // len(counts))
    sizes = [min(block, draws - start) for start in range(0, draws, block)]
    found = np.concatenate([statistics(random.multinomial(rows, shares, size=size)) for size in sizes])
    low, high = np.percentile(found, [2.5, 97.5], axis=0)
    return [Estimate(*map(float, row)) for row in zip(values, low, high, strict=True)]
