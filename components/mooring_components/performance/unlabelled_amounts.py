"""MAE and RMSE of a window's requests, from the loss of labelled rows with features and predictions like theirs."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from mooring_artifacts.feature_settings import AS_CATEGORIES, NOTHING_DECLARED, FeatureSettings
from mooring_inference.capture.layout import PREDICTION as PREDICTIONS

from mooring_components.datasets import name_some
from mooring_components.drift import columns
from mooring_components.intervals import Estimate
from mooring_components.outcomes import Answers, Estimated
from mooring_components.performance.losses import MOST_OUTSIDE, check, estimate_loss, learn
from mooring_components.performance.predictions import Places
from mooring_components.performance.terms import PREDICTION, Column, Floats

MOST_LEARNED = 60_000
"""Labelled rows that are learned from, of even distances where there are more."""
_MOST_CELLS = 8_000_000
MOST_ESTIMATED = 50_000
"""Rows without labels that are looked at, of even distances as well."""


@dataclass(frozen=True)
class LookedAt:
    """Columns that count: those of `features`, or all where it is None, but `without`, as what `settings` declare."""

    features: Collection[str] | None = None
    settings: FeatureSettings = NOTHING_DECLARED
    without: Collection[str] = ()

    def kind(self, column: pa.Field) -> str | None:
        """Say what a column is looked at as, a number or a category; None where it is not."""
        name, found = column.name, columns.kind(column.type)
        if name in self.without or (self.features is not None and name not in self.features):
            return None
        declared = self.settings.type_of(name)
        if (
            name.startswith(PREDICTIONS)
            or declared in ("Ignored", "Text")
            or found not in (columns.NUMBER, columns.CATEGORY)
        ):
            return None
        codes = declared in AS_CATEGORIES or (declared is None and columns.are_codes(column.type))
        return columns.CATEGORY if codes else found


@dataclass(frozen=True)
class Found:
    """Estimates of metrics, by name, and what to know of them."""

    metrics: Mapping[str, Estimate]
    hint: str = ""


@dataclass(frozen=True)
class AmountsReference:
    """Labelled rows in the order of time: their columns, and the error of each prediction, (n,).

    asked: which columns count. known: of how many rows these are some.
    """

    rows: Mapping[str, Column]
    error: Floats
    asked: LookedAt
    known: int

    def problem(self) -> str:
        """Say why the absolute error cannot be learned."""
        return check(self.rows, np.abs(self.error))

    def estimate(self, window: columns.Table, answers: Answers, places: Places) -> Found | str:
        """Estimate the mean of the absolute error, and of the squared one where that can be learned."""
        amounts = _amounts(answers)
        if amounts is None:
            return f"the model must give one number per row; it gives {answers.form}"
        finite = np.flatnonzero(np.isfinite(amounts))
        if not len(finite):
            return "no prediction of the window is finite"
        some = finite[_some(len(finite), MOST_ESTIMATED)]
        shared = self._shared(window)
        rows = {name: _read(window, name, places[some], shared[name]) for name in shared}
        return self._estimate({**rows, PREDICTION: amounts[some]})

    def _shared(self, window: columns.Table) -> Mapping[str, str]:
        """Give the columns of both sides that hold the same, and what they hold."""
        there = {field.name: self.asked.kind(field) for field in window.schema}
        known = {name: _kind(values) for name, values in self.rows.items() if name != PREDICTION}
        return {name: kind for name, kind in known.items() if there.get(name) == kind}

    def _estimate(self, rows: Mapping[str, Column]) -> Found | str:
        known = {name: self.rows[name] for name in rows}
        learned = learn(known, np.abs(self.error))
        expected = learned.expect(rows)
        outside = expected.outside
        if outside > MOST_OUTSIDE:
            return (
                f"{outside:.1%} of the window's rows are like no labelled row, by their features or by how these are "
                f"combined; more than {MOST_OUTSIDE:.0%} are too many for an estimate"
            )
        hints = [f"{outside:.1%} of the rows are like no labelled row"] if outside else []
        if left := [*learned.terms.left_out, *(name for name in self.rows if name not in rows)]:
            hints.append(f"not looked at: {name_some(sorted(left))}")
        found = {"mae": estimate_loss(expected)}
        squares = np.square(self.error)
        if problem := check(known, squares):
            hints.append(f"no estimate of rmse: {problem}")
        else:
            found["rmse"] = _root(estimate_loss(learn(known, squares).expect(rows)))
        return Found(found, "; ".join(hints))


def amounts_reference(
    outcome: Estimated, rows: columns.Table, places: Places, asked: LookedAt
) -> AmountsReference:
    """Take labelled rows of amounts for a reference.

    Args:
        outcome: what is right of them, and what the model said, (n,).
        rows: a table that holds them.
        places: (n,), where they are in it, in the order of time.
        asked: which columns count.
    """
    error = outcome.predicted - outcome.actual
    finite = np.flatnonzero(np.isfinite(error))
    kinds = {field.name: kind for field in rows.schema if (kind := asked.kind(field)) is not None}
    some = finite[_some(len(finite), min(MOST_LEARNED, _MOST_CELLS // (len(kinds) + 1)))]
    known = {name: _read(rows, name, places[some], kind) for name, kind in kinds.items()}
    return AmountsReference({PREDICTION: outcome.predicted[some], **known}, error[some], asked, len(finite))


def _amounts(answers: Answers) -> Floats | None:
    values = answers.scores if answers.scores is not None else answers.labels
    if values is None or values.ndim != 1 or values.dtype.kind not in "fiub":
        return None
    found: Floats = values.astype(np.float64)
    return found


def _some(count: int, most: int) -> Places:
    """Give the places of some of `count` rows, at even distances."""
    return np.linspace(0, count - 1, min(count, most)).astype(np.int64)


def _kind(values: Column) -> str:
    return columns.CATEGORY if values.dtype == object else columns.NUMBER


def _read(rows: columns.Table, name: str, places: Places, kind: str) -> Column:
    values = columns.decoded(rows.column(name).take(pa.array(places)))
    if kind == columns.CATEGORY:
        found: Column = values.cast(pa.string()).to_numpy(zero_copy_only=False)
        return found
    # Without a copy where there is nothing to fill.
    numbers: Floats = values.cast(pa.float64(), safe=False).fill_null(np.nan).to_numpy()
    return numbers


def _root(found: Estimate) -> Estimate:
    assert found.low is not None
    assert found.high is not None
    return Estimate(math.sqrt(found.value), math.sqrt(found.low), math.sqrt(found.high))
