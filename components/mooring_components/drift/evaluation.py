"""Compares a window of traffic with a baseline, feature by feature.

One correction (Benjamini & Hochberg 1995) covers all features of an evaluation, so that at most a share of
`alpha` of what is named is named wrongly, and a quiet window alarms with probability `alpha`. A feature's p-value is
that of its tests together. It counts as drifted when one of these tests is significant and its effect matters:

- its distribution is another one (Kolmogorov-Smirnov and ranks for numbers, a contingency table for categories, both
  for few integers), by a distance of `distance` at least, with 95 % confidence: in large samples everything is
  significant, and a limit on the distance observed would be blind in small ones;
- its share of missing values is another one, by half a percentage point at least, with 95 % confidence;
- its population stability index reaches the threshold.

Slices are parts of the rows that are compared by themselves, too. The one correction covers their features as well.
They depend on those of all rows, but positively, under which it holds (Benjamini & Yekutieli 2001); an even split
among slices would hold, too, and see less.

Plain rules are there for those who want them: each feature by itself, without any of this.

Rows that depend on those before them count for fewer (`dependence`): at least as few as in the median of the columns,
since what one column tells of that is uncertain.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from mooring_artifacts.drift_pointers import MISSING
from mooring_artifacts.drift_slices import DriftSlice, title_of
from mooring_artifacts.feature_settings import NOTHING_DECLARED, FeatureSettings

from mooring_components.drift import columns
from mooring_components.drift.comparison import (
    Detectors,
    Measured,
    Test,
    level,
    make_tests,
    measure,
    weighted,
)
from mooring_components.drift.effects import NOTHING, Effects, size_effects
from mooring_components.drift.errors import EvaluationError
from mooring_components.drift.evidence import e_value
from mooring_components.drift.prepared import PreparedBaseline
from mooring_components.drift.schema import Compared, SchemaChange, match_columns
from mooring_components.drift.slices import SliceTables

Deciding = list[tuple[float, Test]]
"""Tests that say that a feature drifted, each with the p-value that counts."""

_WORTH_TELLING = 2.0
NAMES = {
    "distance": "KolmogorovSmirnov",
    "rank": "Rank",
    "categories": "ChiSquare",
    "stability": "PopulationStability",
    "missing": MISSING,
}
"""What people are told that a test is called."""


@dataclass(frozen=True)
class Feature:
    """What was found for one feature; the pairs are statistic and p-value.

    `kind` is number, category, time or missing; `rows` are the window's that hold a value, `missing` is the share
    of those that do not, and `missing_before` that of the baseline. `ks` is the total variation distance where the
    kind is category; `variation` is that distance of few integers, which may be categories. `hint` is what to know of
    the numbers. `slice` is the name of the slice whose rows these are, empty of all rows. `e_value` is the window's
    evidence. `test` is the test that says most clearly that it drifted, one of
    `NAMES`, and empty where it did not; `effects` are beside the tests.
    """

    name: str
    kind: str
    rows: int
    drifted: bool
    ks: tuple[float, float] | None
    psi: tuple[float, float] | None
    variation: tuple[float, float] | None
    missing: float
    missing_before: float
    reason: str
    hint: str
    e_value: float
    test: str = ""
    effects: Effects = NOTHING
    slice: str = ""

    @property
    def title(self) -> str:
        """What people are told that it is called."""
        return title_of(self.name, self.slice)


@dataclass(frozen=True)
class SliceFound:
    """A slice, its rows in baseline and window, and why it was not compared; empty where it was."""

    asked: DriftSlice
    rows: tuple[int, int]
    problem: str


@dataclass(frozen=True)
class Findings:
    """What was found for each column that was compared, of all rows and of each slice; the schema is of all rows."""

    features: list[Feature]
    schema_changes: list[SchemaChange]
    slices: Sequence[SliceFound] = ()

    def of(self, part: str) -> list[Feature]:
        """The features of a slice by its name; of all rows, where that is empty."""
        return [each for each in self.features if each.slice == part]


def evaluate(
    baseline: columns.Table | PreparedBaseline,
    window: columns.Table,
    features: Sequence[str] | None,
    min_rows: int,
    detectors: Detectors,
    settings: FeatureSettings = NOTHING_DECLARED,
    slices: Sequence[SliceTables] = (),
) -> Findings:
    """Compare the features named, or all columns of numbers or categories that both tables have.

    What `settings` declare of columns decides, whatever their type; texts are described (`texts`) before. The columns
    are compared in each of `slices`, too, but for the one that says which rows these are.

    Raises:
        EvaluationError: FeatureMissing, TypeUnsupported or InsufficientData.
    """
    for name, table in (("baseline", baseline), ("window", window)):
        if table.num_rows < max(min_rows, 1):
            raise EvaluationError(
                "InsufficientData", f"the {name} has {table.num_rows} rows; spec.minRows wants {min_rows}"
            )
    compared, changes = match_columns(baseline.schema, window.schema, features, settings)
    whole: list[Measured] = []
    parts: dict[str, list[Measured]] = {}
    for column in compared:
        # All that is asked of a column is asked at once: it is read once.
        whole.append(_measure(column, baseline, window, detectors.psi_bins))
        for one in slices:
            if one.tables is not None and column.name != one.asked.column:
                measured = _measure(column, *one.tables, detectors.psi_bins)
                parts.setdefault(one.asked.name, []).append(measured)
    told = [SliceFound(one.asked, one.rows, one.problem) for one in slices]
    return Findings(decide(whole, detectors, parts), changes, told)


def _measure(
    column: Compared, baseline: columns.Table | PreparedBaseline, window: columns.Table, bins: int
) -> Measured:
    if isinstance(baseline, PreparedBaseline):
        return baseline.measure(column, window.column(column.name), bins)
    return measure(column, baseline.column(column.name), window.column(column.name), bins)


def decide(
    measured: Sequence[Measured],
    detectors: Detectors,
    slices: Mapping[str, Sequence[Measured]] = MappingProxyType({}),
) -> list[Feature]:
    """Test what was measured of all features, and of those of each slice, and say which of them drifted."""
    parts = [("", column) for column in level(measured)]
    parts += [(name, column) for name, found in slices.items() for column in level(found)]
    tests = [make_tests(column, detectors) for _, column in parts]
    limit = largest_rejected([min(weighted(made), default=1.0) for made in tests], detectors.alpha)
    found = []
    for (name, column), made in zip(parts, tests, strict=True):
        evidence = e_value(column, made, len(parts))
        if detectors.plain:
            made = make_tests(replace(column, inflation=1.0, missing_inflation=1.0), detectors)
            deciding = _decide_plainly(column, made, detectors)
        else:
            deciding = _decide(made, limit)
        found.append(replace(_conclude(column, made, deciding, detectors, evidence), slice=name))
    return found


def _decide(tests: Sequence[Test], limit: float) -> Deciding:
    """The tests that are significant among all features, and whose effect matters."""
    return [
        (p_value, test)
        for test, p_value in zip(tests, weighted(tests), strict=True)
        if p_value <= limit and test.matters
    ]


def _decide_plainly(measured: Measured, tests: Sequence[Test], detectors: Detectors) -> Deciding:
    """The tests that say so by themselves; whether the distance matters only where it is the column's own."""
    threshold = detectors.psi_threshold
    certain = "categories" if measured.column.kind == columns.CATEGORY else "distance"
    return [
        (test.p_value, test)
        for test in tests
        if (test.name == certain and test.p_value < detectors.alpha)
        or (test.name == "stability" and threshold is not None and test.statistic >= threshold)
        if test.matters or measured.column.distance is None
    ]


def largest_rejected(p_values: Sequence[float], rate: float) -> float:
    """Up to which p-value to reject so that at most a share of `rate` of what is rejected is rejected wrongly.

    Source: Benjamini & Hochberg 1995. -1 where nothing is to be rejected.
    """
    ordered = np.sort(np.asarray(p_values, dtype=np.float64))
    below = np.flatnonzero(ordered <= rate * np.arange(1, len(ordered) + 1) / max(len(ordered), 1))
    return rate * float(below[-1] + 1) / len(ordered) if below.size else -1.0


def _conclude(
    measured: Measured, tests: list[Test], deciding: Deciding, detectors: Detectors, evidence: float
) -> Feature:
    # The index has a p-value that holds near its middle, and is too small far out.
    clearest = min(deciding, key=lambda each: (each[1].name == "stability", each[0]), default=None)
    found = {test.name: (test.statistic, test.p_value) for test in tests}
    # Where one side has no value, the missing ones say it all.
    nothing = (0.0, 1.0)
    is_category = measured.column.kind == columns.CATEGORY
    return Feature(
        name=measured.column.name,
        kind=measured.column.kind,
        rows=measured.present[1],
        drifted=bool(deciding),
        ks=found.get("categories" if is_category else "distance", nothing) if detectors.ks else None,
        psi=found.get("stability", nothing) if detectors.psi_threshold is not None else None,
        variation=None if is_category else found.get("categories"),
        missing=1 - measured.present[1] / max(measured.rows[1], 1),
        missing_before=1 - measured.present[0] / max(measured.rows[0], 1),
        reason=", ".join(test.reason for _, test in deciding),
        hint="; ".join(_hints(measured)),
        e_value=evidence,
        test="" if clearest is None else NAMES[clearest[1].name],
        effects=size_effects(measured),
    )


def _hints(measured: Measured) -> Iterator[str]:
    if measured.column.summary:
        yield measured.column.summary
    if measured.table is not None and measured.column.kind == columns.NUMBER:
        different = measured.table.shape[1]
        yield f"{different} different integers: name the column in spec.categories if they are codes"
    inflation = measured.inflation or 1.0
    if inflation >= _WORTH_TELLING:
        rows = measured.present[1]
        yield f"rows depend on those before them: {rows} say as much as {rows / inflation:.0f}"
