"""Compares a window of traffic with a baseline, feature by feature.

One correction (Benjamini & Hochberg 1995) covers all tests of an evaluation, so that at most a share of
`alpha` of what is named is named wrongly, and a quiet window alarms with probability `alpha`. A feature counts as
drifted when one of these tests is significant and its effect matters:

- its distribution is another one (Kolmogorov-Smirnov for numbers, a contingency table for categories), by
  a distance of `distance` at least, with 95 % confidence: in large samples everything is significant, and
  a limit on the distance observed would be blind in small ones;
- its share of missing values is another one, by half a percentage point at least, with 95 % confidence;
- its population stability index reaches the threshold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa

from mooring_components.drift import columns, statistics
from mooring_components.drift.errors import EvaluationError
from mooring_components.drift.precision import numbers
from mooring_components.drift.schema import Compared, SchemaChange, match_columns

DEFAULT_ALPHA = 0.01
DEFAULT_DISTANCE = 0.02
_MISSING_RATE = 0.005


class Table(Protocol):
    """Rows whose columns are read one by one; `pyarrow.Table` is one."""

    @property
    def num_rows(self) -> int:
        """Number of rows."""
        ...

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns; no name twice."""
        ...

    def column(self, name: str) -> pa.ChunkedArray:
        """The values of one column."""
        ...


@dataclass(frozen=True)
class Detectors:
    """Which tests are made; `alpha` is the false discovery rate over all features."""

    ks: bool = True
    alpha: float = DEFAULT_ALPHA
    distance: float = DEFAULT_DISTANCE
    psi_threshold: float | None = 0.2
    psi_bins: int = 10


@dataclass(frozen=True)
class Feature:
    """What was found for one feature; the pairs are statistic and p-value.

    `kind` is number, category, time or missing; `rows` are the window's that hold a value, `missing` is the share
    of those that do not.
    """

    name: str
    kind: str
    rows: int
    drifted: bool
    ks: tuple[float, float] | None
    psi: tuple[float, float] | None
    missing: float
    reason: str


@dataclass(frozen=True)
class _Test:
    p_value: float
    matters: bool
    reason: str


@dataclass(frozen=True)
class _Comparison:
    ks: tuple[float, float]
    lower_bound: float
    psi: tuple[float, float]
    present: tuple[int, int]


@dataclass(frozen=True)
class Findings:
    """What was found for each column that was compared, and what has changed about the others."""

    features: list[Feature]
    schema_changes: list[SchemaChange]


def evaluate(
    baseline: Table, window: Table, features: Sequence[str] | None, min_rows: int, detectors: Detectors
) -> Findings:
    """Compare the features named, or all columns of numbers or categories that both tables have.

    Raises:
        EvaluationError: FeatureMissing, TypeUnsupported or InsufficientData.
    """
    for name, table in (("baseline", baseline), ("window", window)):
        if table.num_rows < max(min_rows, 1):
            raise EvaluationError(
                "InsufficientData", f"the {name} has {table.num_rows} rows; spec.minRows wants {min_rows}"
            )
    compared, changes = match_columns(baseline.schema, window.schema, features)
    examined = [
        _examine(column, baseline.column(column.name), window.column(column.name), detectors)
        for column in compared
    ]
    tests = [test for _, tests in examined for test in tests]
    rejected = statistics.benjamini_hochberg(np.array([test.p_value for test in tests]), detectors.alpha)
    significant = {id(test) for test, found in zip(tests, rejected, strict=True) if found}
    found = [_conclude(feature, [t for t in tests if id(t) in significant]) for feature, tests in examined]
    return Findings(found, changes)


def _examine(
    column: Compared, before: pa.ChunkedArray, now: pa.ChunkedArray, detectors: Detectors
) -> tuple[Feature, list[_Test]]:
    found = _compare(column, before, now, detectors.psi_bins)
    threshold = detectors.psi_threshold
    feature = Feature(
        name=column.name,
        kind=column.kind,
        rows=found.present[1],
        drifted=False,
        ks=found.ks if detectors.ks else None,
        psi=found.psi if threshold is not None else None,
        missing=1 - found.present[1] / len(now),
        reason="",
    )
    tests = []
    if detectors.ks:
        reason = f"distance {found.ks[0]:.3f} ({_p(found.ks[1])})"
        tests.append(_Test(found.ks[1], found.lower_bound >= detectors.distance, reason))
    if found.present != (len(before), len(now)):
        tests.append(_missing_test(before, now, found.present))
    if threshold is not None:
        reason = f"stability index {found.psi[0]:.2f} ({_p(found.psi[1])})"
        tests.append(_Test(found.psi[1], found.psi[0] >= threshold, reason))
    return feature, tests


def _compare(column: Compared, before: pa.ChunkedArray, now: pa.ChunkedArray, bins: int) -> _Comparison:
    if column.kind == columns.MISSING:
        return _nothing((0, 0))
    if column.kind == columns.CATEGORY:
        return _compare_categories(before, now)
    return _compare_numbers(numbers(before, column.precision), numbers(now, column.precision), bins)


def _missing_test(before: pa.ChunkedArray, now: pa.ChunkedArray, present: tuple[int, int]) -> _Test:
    table = len(before) - present[0], len(before), len(now) - present[1], len(now)
    p_value = statistics.missing_rate(*table)
    return _Test(
        p_value,
        statistics.rate_lower_bound(*table) >= _MISSING_RATE,
        f"missing {table[0] / table[1]:.1%} -> {table[2] / table[3]:.1%} ({_p(p_value)})",
    )


def _compare_numbers(first: statistics.Numbers, second: statistics.Numbers, bins: int) -> _Comparison:
    present = len(first), len(second)
    if not all(present):
        return _nothing(present)
    ks = statistics.kolmogorov_smirnov(first, second)
    return _Comparison(
        ks=ks,
        lower_bound=statistics.distance_lower_bound(ks[0], *present),
        psi=statistics.population_stability_index(first, second, bins),
        present=present,
    )


def _compare_categories(before: pa.ChunkedArray, now: pa.ChunkedArray) -> _Comparison:
    first, second = columns.category_counts(before, now)
    present = int(first.sum()), int(second.sum())
    if not all(present):
        return _nothing(present)
    ks, psi = statistics.categories(first, second)
    return _Comparison(ks, statistics.variation_lower_bound(ks[0], first, second), psi, present)


def _nothing(present: tuple[int, int]) -> _Comparison:
    """Where one side has no value, the missing values say it all."""
    return _Comparison((0.0, 1.0), 0.0, (0.0, 1.0), present)


def _conclude(feature: Feature, significant: list[_Test]) -> Feature:
    reasons = [test.reason for test in significant if test.matters]
    return Feature(**{**vars(feature), "drifted": bool(reasons), "reason": ", ".join(reasons)})


def _p(value: float) -> str:
    return f"p {value:.1g}" if value > 0 else "p < 1e-300"
