"""Terms of a regression over columns of rows: hat functions of numbers, one column for each frequent category.

What lies outside of the rows that terms were learned from is held at their edge, and counted.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Column = npt.NDArray[Any]
"""(rows,): float64, where NaN is missing, or text as objects, where None is."""

PREDICTION = ""
"""The column of what the model said; it has the most terms."""
_KNOTS = 8
_PAIRED = 5
_ROWS_PER_TERM = 20
_MOST_TERMS = 160
_FREQUENT = 30
_RANKED_BINS = 5
_ROUNDED = 1e-6
"""The same number may be single precision in one file, and double in another."""


@dataclass(frozen=True)
class Numeric:
    """Hat functions over knots (k,), the first left out, and whether a value is missing where that was common.

    low, high: as far as the tails of what was learned reach.
    """

    name: str
    knots: Floats
    low: float
    high: float
    middle: float
    may_miss: bool

    def columns(self, values: Column) -> list[Floats]:
        """The terms of values, (rows,) each."""
        there = np.isfinite(values)
        inside = np.clip(np.where(there, values, self.middle), self.knots[0], self.knots[-1])
        peaks = np.eye(len(self.knots))[1:]
        found: list[Floats] = [np.interp(inside, self.knots, peak) for peak in peaks]
        return [*found, (~there).astype(np.float64)] if self.may_miss else found

    def score(self, values: Column) -> Floats:
        """How far values, (rows,), are from the middle, as a share of the knots' width."""
        inside = np.clip(np.where(np.isfinite(values), values, self.middle), self.knots[0], self.knots[-1])
        found: Floats = (inside - self.middle) / (self.knots[-1] - self.knots[0])
        return found

    def outside(self, values: Column) -> Flags:
        """Say of each row whether nothing like it was learned."""
        missing = np.isnan(values)
        beyond: Flags = (values < self.low) | (values > self.high)
        return beyond if self.may_miss else beyond | missing


@dataclass(frozen=True)
class Categorical:
    """A column for each of `levels`; those that are only `known` count as the most frequent one, which has none."""

    name: str
    levels: tuple[object, ...]
    known: frozenset[object]

    def columns(self, values: Column) -> list[Floats]:
        """The terms of values, (rows,) each."""
        return [(values == level).astype(np.float64) for level in self.levels]

    def outside(self, values: Column) -> Flags:
        """Say of each row whether its category was never seen."""
        return np.fromiter((value not in self.known for value in values), np.bool_, len(values))


@dataclass(frozen=True)
class Pair:
    """The product of two numbers, each of which is held within its knots and measured from its middle."""

    first: Numeric
    second: Numeric

    def column(self, rows: Mapping[str, Column]) -> Floats:
        """The term of rows, (rows,)."""
        return self.first.score(rows[self.first.name]) * self.second.score(rows[self.second.name])


@dataclass(frozen=True)
class Terms:
    """All terms; `left_out` are columns for which there were too few rows."""

    terms: tuple[Numeric | Categorical, ...]
    pairs: tuple[Pair, ...]
    left_out: tuple[str, ...]

    def design(self, rows: Mapping[str, Column]) -> Floats:
        """The matrix of the regression, (rows, terms + 1); its first column is 1."""
        ones = np.ones(len(rows[PREDICTION]))
        found = [column for term in self.terms for column in term.columns(rows[term.name])]
        return np.stack([ones, *found, *(pair.column(rows) for pair in self.pairs)], axis=1)

    def outside(self, rows: Mapping[str, Column]) -> Flags:
        """Say of each row whether one of its values is like none that was learned."""
        found = np.zeros(len(rows[PREDICTION]), np.bool_)
        for term in self.terms:
            found |= term.outside(rows[term.name])
        return found


def choose_terms(rows: Mapping[str, Column], loss: Floats) -> Terms:
    """Choose as many terms as the rows can bear: of the prediction first, then of the columns that tell most.

    Args:
        rows: columns, `PREDICTION` among them.
        loss: (rows,), of which columns tell something.
    """
    budget = min(len(loss) // _ROWS_PER_TERM, _MOST_TERMS)
    names = sorted(rows, key=lambda name: (name != PREDICTION, -_explained(rows[name], loss)))
    chosen: list[Numeric | Categorical] = []
    left_out = []
    for place, name in enumerate(names):
        # What tells most gets three times its share.
        room = min(3 * budget // (len(names) - place), budget, _KNOTS - 1)
        term = _term(name, rows[name], max(1, room))
        if _size(term) > budget:
            left_out.append(name)
            continue
        chosen.append(term)
        budget -= _size(term)
    numeric = [term for term in chosen if isinstance(term, Numeric) and len(term.knots) > 1][:_PAIRED]
    pairs = [Pair(*both) for both in itertools.combinations(numeric, 2)]
    return Terms(tuple(chosen), tuple(pairs[: max(0, budget)]), tuple(left_out))


def _size(term: Numeric | Categorical) -> int:
    return len(term.levels) if isinstance(term, Categorical) else len(term.knots) - 1 + term.may_miss


def _term(name: str, values: Column, room: int) -> Numeric | Categorical:
    if values.dtype == object:
        return _categorical(name, values, room)
    return _numeric(name, values, room + 1)


def _numeric(name: str, values: Column, most: int) -> Numeric:
    known = values[np.isfinite(values)]
    missing = len(values) - len(known)
    if not len(known):
        return Numeric(name, np.zeros(1), -np.inf, np.inf, 0.0, may_miss=False)
    knots = np.unique(np.quantile(known, _spaced(most)))
    least, few, middle, many, greatest = np.quantile(known, [0, 0.01, 0.5, 0.99, 1])
    # The ends of a sample are not those of what it is drawn from: by as much as its tails are long.
    low, high = float(least - (few - least)), float(greatest + (greatest - many))
    low, high = low - _ROUNDED * abs(low), high + _ROUNDED * abs(high)
    return Numeric(name, knots, low, high, float(middle), may_miss=_FREQUENT <= missing < len(values))


def _spaced(count: int) -> Floats:
    """Give probabilities from 0 to 1 that lie closer at both ends, where traffic moves to."""
    found: Floats = (1 - np.cos(np.pi * np.linspace(0, 1, count))) / 2
    return found


def _categorical(name: str, values: Column, room: int) -> Categorical:
    levels, counts = _count(values)
    order = np.argsort(-counts, kind="stable")
    frequent = [levels[place] for place in order if counts[place] >= _FREQUENT]
    return Categorical(name, tuple(frequent[1 : room + 1]), frozenset(levels))


def _count(values: Column) -> tuple[Sequence[object], npt.NDArray[np.int64]]:
    counts: dict[object, int] = {}
    for value in values:
        counts[value] = counts.get(value, 0) + 1
    return list(counts), np.array(list(counts.values()))


def _explained(values: Column, loss: Floats) -> float:
    """The share of the variance of the loss that the groups of a column explain."""
    if values.dtype == object:
        known = np.unique([str(value) for value in values], return_inverse=True)[1]
    else:
        filled = np.where(np.isfinite(values), values, np.nanmedian(values) if len(values) else 0.0)
        edges = np.unique(np.quantile(filled, np.linspace(0, 1, _RANKED_BINS + 1)[1:-1]))
        known = np.searchsorted(edges, filled, side="right")
    sums, rows = np.bincount(known, weights=loss), np.bincount(known)
    means = sums / np.maximum(rows, 1)
    return float((rows * np.square(means - loss.mean())).sum())
