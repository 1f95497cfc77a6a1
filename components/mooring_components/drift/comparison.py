"""Compares one column: reads its rows once, keeps what the tests need, and makes the tests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mooring_components.drift import cells, columns, contingency, dependence, statistics
from mooring_components.drift.precision import numbers
from mooring_components.drift.schema import Compared
from mooring_components.drift.statistics import Numbers

Codes = npt.NDArray[Any]
Table = npt.NDArray[np.float64]

# How the error that a feature may make is shared among its tests (weighted Bonferroni): most goes to the one that
# sees small shifts, and the others see what it is blind for.
WEIGHTS = {"rank": 0.7, "distance": 0.2, "categories": 0.2, "stability": 0.05, "missing": 0.05}
_MISSING_RATE = 0.005
MOST_CODES = 100
ROWS_PER_CODE = 5
PLAIN_ALPHA = 0.05
"""What the p-value of a feature is compared with where nobody corrects it."""


@dataclass(frozen=True)
class Detectors:
    """Which tests are made; `alpha` is the false discovery rate over all features.

    plain: whether each feature is judged by itself, by Kolmogorov-Smirnov or chi-square at `alpha` or by its index
        alone, as if rows did not depend on each other.
    """

    ks: bool = True
    alpha: float = 0.01
    plain: bool = False
    distance: float = 0.02
    psi_threshold: float | None = 0.2
    psi_bins: int = 10


@dataclass(frozen=True)
class NumberSummary:
    """Kolmogorov-Smirnov's D, the rank shift, rows of both sides per bin, and Wasserstein's distance.

    moved: the last, or what is certain of it.
    """

    distance: float
    shift: float
    bins: tuple[Numbers, Numbers]
    moved: float


@dataclass(frozen=True)
class Measured:
    """What is known of a column once its rows have been read.

    rows, present: rows of baseline and window, and those of them that hold a value.
    inflation, missing_inflation: what the window's rows, and what is missing of them, are divided by because they
        depend on each other; None where that is not known.
    samples: the statistics of numbers.
    table: (2, k) rows per category, of categories and of few integers.
    """

    column: Compared
    rows: tuple[int, int]
    present: tuple[int, int]
    inflation: float | None = None
    missing_inflation: float | None = None
    samples: NumberSummary | None = None
    table: Table | None = None


@dataclass(frozen=True)
class Test:
    """One test of a column: its p-value, whether its effect matters, and both in words."""

    name: str
    statistic: float
    p_value: float
    matters: bool
    reason: str


def measure(column: Compared, before: pa.ChunkedArray, now: pa.ChunkedArray, bins: int) -> Measured:
    """Read the rows of both sides."""
    rows = len(before), len(now)
    first: Codes
    second: Codes
    if column.kind == columns.MISSING:
        return Measured(column, rows, (0, 0))
    if column.kind == columns.CATEGORY and not column.codes:
        first, second = columns.category_codes(before, now)
        missing = second < 0
        first, second = first[first >= 0], second[second >= 0]
    else:
        first, second = (numbers(side, column.precision) for side in (before, now))
        missing = gaps(now) if len(second) < len(now) else np.zeros(0, np.bool_)
    measured = Measured(
        column, rows, (len(first), len(second)), missing_inflation=dependence.of_missing(missing)
    )
    if not len(first) or not len(second):
        return measured
    if column.kind != columns.CATEGORY:
        return _measure_numbers(measured, first, second, bins)
    if column.codes:
        (first, second), _ = _numbered(first, second)
    table = contingency.count(first, second)
    return replace(measured, table=table, inflation=dependence.of_categories(second))


def level(measured: Sequence[Measured]) -> list[Measured]:
    """Raise each column's inflation to the median of all: what one column tells of it is uncertain."""
    own, missing = (
        float(np.median(known)) if (known := [one for one in found if one is not None]) else 1.0
        for found in ([m.inflation for m in measured], [m.missing_inflation for m in measured])
    )
    return [
        replace(
            each,
            inflation=max(each.inflation or 1.0, own),
            missing_inflation=max(each.missing_inflation or 1.0, missing),
        )
        for each in measured
    ]


def make_tests(measured: Measured, detectors: Detectors) -> list[Test]:
    """Test what was measured."""
    inflation = measured.inflation or 1.0
    threshold = detectors.psi_threshold
    tests: list[Test] = []
    if detectors.ks and measured.samples is not None:
        tests += _distance_tests(measured, detectors, inflation)
    if measured.table is not None:
        before, now = measured.table
        categories, index = contingency.categories(before, now, inflation)
        if detectors.ks:
            bound = contingency.variation_lower_bound(categories[0], before, now, inflation)
            tests.append(_test("categories", "distance", categories, bound >= _limit(measured, detectors)))
    apart = tuple(tests)
    if sum(measured.present) < sum(measured.rows):
        tests.append(_missing_test(measured, measured.missing_inflation or 1.0))
    if threshold is not None and all(measured.present):
        if measured.samples is not None:
            before, now = measured.samples.bins
            index = statistics.population_stability_index(before, now, inflation)
        # What its own distance leaves out, the index does not bring back.
        far = measured.column.distance is None or not detectors.ks or any(test.matters for test in apart)
        tests.append(_test("stability", "stability index", index, far and index[0] >= threshold))
    return tests


def weighted(tests: Sequence[Test]) -> list[float]:
    """The p-value that each test of a column stands for, given that it is one of several."""
    total = sum(WEIGHTS[test.name] for test in tests)
    return [min(1.0, test.p_value * total / WEIGHTS[test.name]) for test in tests]


def _measure_numbers(measured: Measured, first: Numbers, second: Numbers, bins: int) -> Measured:
    ranks = statistics.quantile_ranks(len(first), dependence.RANKS)
    placed = None
    if len(first) >= cells.SMALLEST_BASELINE:
        wanted = np.append(ranks, statistics.quantile_ranks(len(first), bins))
        placed = cells.place_in_cells(first, np.sort(second), wanted)
    if placed is None:
        placed = statistics.place(first, second)
    summary = NumberSummary(placed.distance, placed.shift, statistics.bin_rows(placed, bins), placed.moved)
    may_be_codes = measured.column.kind == columns.NUMBER and not measured.column.sure
    table = count_codes(first, placed.window) if may_be_codes else None
    inflation = dependence.of_numbers(second, placed.baseline.at(ranks))
    return replace(measured, samples=summary, table=table, inflation=inflation)


def count_codes(baseline: Numbers, window: Numbers) -> Table | None:
    """Rows per value where numbers may be codes of categories; `window` is sorted."""
    if not _are_few_integers(baseline, window):
        return None
    return contingency.count(*_numbered(baseline, window)[0])


def _are_few_integers(baseline: Numbers, window: Numbers) -> bool:
    """Whether numbers may be codes of categories: few integers, each of them in several rows. Two have one order.

    `window` is sorted.
    """
    values = window[np.append(True, window[1:] != window[:-1])]
    if not 2 < len(values) <= min(MOST_CODES, len(window) / ROWS_PER_CODE):
        return False
    if not np.all(np.rint(values) == values):
        return False
    # The baseline is long: it is looked at only where the window's values are few.
    known = np.unique(baseline)
    return len(np.union1d(known, values)) <= MOST_CODES and bool(np.all(np.rint(known) == known))


def _numbered(first: Numbers, second: Numbers) -> tuple[tuple[Codes, Codes], Numbers]:
    """Number the different values of both sides."""
    known = np.union1d(first, second)
    return (np.searchsorted(known, first), np.searchsorted(known, second)), known


def gaps(column: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    """Which rows hold no value."""
    found: npt.NDArray[np.bool_] = pc.is_null(columns.decoded(column), nan_is_null=True).to_numpy()
    return found


def _distance_tests(measured: Measured, detectors: Detectors, inflation: float) -> Iterator[Test]:
    summary, present = measured.samples, measured.present
    assert summary is not None
    ks = summary.distance, statistics.kolmogorov_p(summary.distance, *present, inflation)
    rank = summary.shift, statistics.rank_p(summary.shift, *present, inflation)
    bound = max(
        statistics.distance_lower_bound(summary.distance, *present, inflation),
        statistics.rank_lower_bound(summary.shift, *present, inflation),
    )
    yield _test("distance", "distance", ks, bound >= _limit(measured, detectors))
    yield _test("rank", "rank shift", rank, bound >= _limit(measured, detectors))


def _limit(measured: Measured, detectors: Detectors) -> float:
    """From where on the distance of a column matters."""
    own = measured.column.distance
    return detectors.distance if own is None else own


def _missing_test(measured: Measured, inflation: float) -> Test:
    counts = [(rows - present, rows) for rows, present in zip(measured.rows, measured.present, strict=True)]
    (before, first), (now, second) = counts
    table = [round(value / inflation) for value in (before, first, now, second)]
    p_value = contingency.missing_rate(*table)
    return Test(
        "missing",
        now / second,
        p_value,
        contingency.rate_lower_bound(*table) >= _MISSING_RATE,
        f"missing {before / first:.1%} -> {now / second:.1%} ({_p(p_value)})",
    )


def _test(name: str, words: str, found: tuple[float, float], matters: bool) -> Test:
    statistic, p_value = found
    digits = 2 if name == "stability" else 3
    return Test(name, statistic, p_value, matters, f"{words} {statistic:.{digits}f} ({_p(p_value)})")


def _p(value: float) -> str:
    return f"p {value:.1g}" if value > 0 else "p < 1e-300"
