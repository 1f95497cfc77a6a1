"""Sums that say how much rows depend on those before them, and that add over stretches of rows.

A stretch is rows that follow each other, as one replica saw them. For each lag from 1 to LAGS there are the pairs of
present values that far apart, and over these pairs the sums of

    level     products of ranks (numbers), or pairs of equal ones (categories)
    spread    products of the ranks' distances from the middle (numbers)
    gaps      pairs of rows that are both missing

Ranks are in RANKS parts of the baseline, from -(RANKS - 1) to RANKS - 1 in steps of two. Of a stretch the first
MOST_ROWS rows are looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

LAGS = 32
PARTS = 4
"""Sums of a feature: those of `LagSums`."""
RANKS = 64
MOST_ROWS = 1 << 13
LARGEST_PRODUCT = (RANKS - 1) ** 2


@dataclass(frozen=True)
class LagSums:
    """Sums by lag, (LAGS,) each; see above."""

    pairs: Ints
    level: Ints
    spread: Ints
    gaps: Ints

    def parts(self) -> tuple[Ints, Ints, Ints, Ints]:
        """All four, in the order of the binary form."""
        return self.pairs, self.level, self.spread, self.gaps


def sum_pairs(rows: int) -> Ints:
    """Pairs by lag among that many rows."""
    pairs: Ints = np.maximum(min(rows, MOST_ROWS) - np.arange(1, LAGS + 1), 0)
    return pairs


def rank_sums(ranks: npt.NDArray[Any]) -> tuple[Ints, Ints]:
    """Level and spread of (n,) ranks in the order of the rows."""
    whole = ranks[:MOST_ROWS].astype(np.float64)
    # Sums of integers far below 2 ** 53 are exact as doubles, in whatever order they are added.
    return _products(whole), _products(2 * np.abs(whole) - (RANKS - 1))


def equal_pairs(codes: npt.NDArray[Any]) -> Ints:
    """Pairs of equal ones among (n,) codes in the order of the rows."""
    codes = codes[:MOST_ROWS]
    return np.array(
        [int(np.count_nonzero(codes[lag:] == codes[: len(codes) - lag])) for lag in _lags(codes)], np.int64
    )


def gap_pairs(missing: npt.NDArray[np.bool_]) -> Ints:
    """Pairs of missing ones among (n,) rows."""
    if not missing.any():
        return np.zeros(LAGS, np.int64)
    return _products(missing[:MOST_ROWS].astype(np.float64))


def _products(series: npt.NDArray[np.float64]) -> Ints:
    return np.array([int(series[lag:] @ series[: len(series) - lag]) for lag in _lags(series)], np.int64)


def _lags(series: npt.NDArray[Any]) -> list[int]:
    return [min(lag, len(series)) for lag in range(1, LAGS + 1)]
