"""Compares a window of traffic with a baseline, feature by feature.

A feature counts as drifted when one of these holds, after Benjamini and Hochberg's correction over
all features at the false discovery rate ``alpha``:

- its distribution is another one (Kolmogorov-Smirnov for numbers, chi-square for categories),
- its share of missing values is another one,
- its population stability index reaches the threshold, and is larger than chance makes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mooring_components.drift import statistics

DEFAULT_ALPHA = 0.01


class EvaluationError(Exception):
    """Something that a person has to do something about."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass(frozen=True)
class Detectors:
    """Which tests are made; `alpha` is the false discovery rate over all features."""

    ks: bool = True
    alpha: float = DEFAULT_ALPHA
    psi_threshold: float | None = 0.2
    psi_bins: int = 10


@dataclass(frozen=True)
class Feature:
    """What was found for one feature; the pairs are statistic and p-value."""

    name: str
    drifted: bool
    ks: tuple[float, float] | None
    psi: tuple[float, float] | None
    missing: float
    reason: str


@dataclass(frozen=True)
class _Tests:
    name: str
    ks: tuple[float, float]
    psi: tuple[float, float]
    missing: float
    baseline_missing: float
    missing_p: float


def evaluate(
    baseline: pa.Table, window: pa.Table, features: Sequence[str] | None, min_rows: int, detectors: Detectors
) -> list[Feature]:
    """Compare the features named, or all columns that both tables have.

    Raises:
        EvaluationError: FeatureMissing, TypeMismatch or InsufficientData.
    """
    for name, table in (("baseline", baseline), ("window", window)):
        if table.num_rows < min_rows:
            raise EvaluationError(
                "InsufficientData", f"the {name} has {table.num_rows} rows; spec.minRows wants {min_rows}"
            )
    names = _names(baseline, window, features)
    tests = [_test(name, baseline[name], window[name], detectors) for name in names]
    return _judge(tests, detectors)


def _names(baseline: pa.Table, window: pa.Table, features: Sequence[str] | None) -> list[str]:
    if features is None:
        shared = [name for name in baseline.column_names if name in window.column_names]
        if not shared:
            raise EvaluationError("FeatureMissing", "baseline and window have no column in common")
        return shared
    for name in features:
        for where, table in (("baseline", baseline), ("window", window)):
            if name not in table.column_names:
                raise EvaluationError(
                    "FeatureMissing", f"spec.features: {name!r} is no column of the {where}; it has "
                    f"{', '.join(table.column_names[:10])}{', ...' if len(table.column_names) > 10 else ''}"
                )  # fmt: skip
    return list(features)


def _test(name: str, before: pa.ChunkedArray, now: pa.ChunkedArray, detectors: Detectors) -> _Tests:
    numeric = [_is_number(column.type) for column in (before, now)]
    if numeric[0] != numeric[1]:
        raise EvaluationError(
            "TypeMismatch", f"{name!r} is {before.type} in the baseline and {now.type} in the window"
        )
    if numeric[0]:
        numbers = _numbers(before), _numbers(now)
        compare = partial(_compare_numbers, *numbers, detectors.psi_bins)
        present = len(numbers[0]), len(numbers[1])
    else:
        strings = _strings(before), _strings(now)
        compare = partial(statistics.categories, *strings)
        present = len(strings[0]), len(strings[1])
    # Where nothing is left to compare, the missing values say it all.
    ks, psi = compare() if all(present) else ((0.0, 1.0), (0.0, 1.0))
    missing_p = statistics.missing_rate(
        len(before) - present[0], len(before), len(now) - present[1], len(now)
    )
    return _Tests(name, ks, psi, 1 - present[1] / len(now), 1 - present[0] / len(before), missing_p)


def _compare_numbers(
    first: statistics.Numbers, second: statistics.Numbers, bins: int
) -> tuple[tuple[float, float], tuple[float, float]]:
    return statistics.kolmogorov_smirnov(first, second), statistics.population_stability_index(
        first, second, bins
    )


def _judge(tests: list[_Tests], detectors: Detectors) -> list[Feature]:
    def rejected(p_values: list[float]) -> npt.NDArray[np.bool_]:
        return statistics.benjamini_hochberg(np.array(p_values), detectors.alpha)

    by_shape = rejected([test.ks[1] for test in tests])
    by_missing = rejected([test.missing_p for test in tests])
    by_index = rejected([test.psi[1] for test in tests])
    found = []
    for position, test in enumerate(tests):
        reasons = []
        if detectors.ks and by_shape[position]:
            reasons.append(f"distance {test.ks[0]:.3f} ({_p(test.ks[1])})")
        if by_missing[position]:
            reasons.append(
                f"missing {test.baseline_missing:.1%} -> {test.missing:.1%} ({_p(test.missing_p)})"
            )
        threshold = detectors.psi_threshold
        if threshold is not None and test.psi[0] >= threshold and by_index[position]:
            reasons.append(f"stability index {test.psi[0]:.2f} ({_p(test.psi[1])})")
        found.append(
            Feature(
                name=test.name,
                drifted=bool(reasons),
                ks=test.ks if detectors.ks else None,
                psi=test.psi if threshold is not None else None,
                missing=test.missing,
                reason=", ".join(reasons),
            )
        )
    return found


def _p(value: float) -> str:
    return f"p {value:.1g}" if value > 0 else "p < 1e-300"


def _is_number(kind: Any) -> bool:
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_decimal(kind)
    )


def _numbers(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    values = np.asarray(column.cast(pa.float64()).drop_null().to_numpy(), dtype=np.float64)
    return values[~np.isnan(values)]


def _strings(column: pa.ChunkedArray) -> npt.NDArray[np.object_]:
    return np.asarray(column.cast(pa.string()).drop_null().to_numpy(zero_copy_only=False), dtype=np.object_)
