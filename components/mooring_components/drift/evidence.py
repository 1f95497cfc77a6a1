"""What a window says against "nothing has drifted", as an e-value: a number that is at most 1 on average without drift.

Evidence of windows that follow each other multiplies, and an alarm that is given when it has grown to A comes once in
A windows at most, however long one watches (Shiryaev-Roberts e-detectors; Shin, Ramdas & Rinaldo 2023). A p-value
becomes an e-value by k p^(k-1), which is at most 1 on average for every 0 < k < 1; so is the mean over several k, and
over tests.

A baseline is used again and again, and what chance made of it does not average out. So one with fewer than `AMPLE`
times the window's rows is told apart from its population by a margin, which holds for all features and windows with
95 % (Dvoretzky, Kiefer & Wolfowitz 1956, Massart 1990), and only what lies beyond counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from scipy import special

from mooring_components.drift import contingency, statistics
from mooring_components.drift.comparison import WEIGHTS, Measured, Test

AMPLE = 20
LARGEST = 1e9
"""No window says more than that."""

_POWERS = (0.1, 0.2, 0.3, 0.5)
_RISK = 0.05
_SMALLEST = 1e-300


def calibrate(p_value: float) -> float:
    """The e-value of a p-value."""
    p_value = max(p_value, _SMALLEST)
    return float(sum(power * p_value ** (power - 1) for power in _POWERS)) / len(_POWERS)


def e_value(measured: Measured, tests: Sequence[Test], features: int) -> float:
    """The e-value of one of `features` features; 0 where nothing was tested."""
    first, second = measured.present if all(measured.present) else measured.rows
    if first >= AMPLE * second:
        found = [(test.name, test.p_value) for test in tests if test.name != "stability"]
        found = found or [(test.name, test.p_value) for test in tests]
    else:
        found = list(_beyond_margin(measured, tests, features))
    total = sum(WEIGHTS[name] for name, _ in found)
    if not total:
        return 0.0
    return min(LARGEST, sum(WEIGHTS[name] * calibrate(p_value) for name, p_value in found) / total)


def _beyond_margin(measured: Measured, tests: Sequence[Test], features: int) -> Iterator[tuple[str, float]]:
    """One-sample p-values of what lies beyond the baseline's margin, by test."""
    inflation = measured.inflation or 1.0
    rows, window = (count / inflation for count in measured.present)
    risk = _RISK / features
    for test in tests:
        if test.name == "distance":
            left = max(test.statistic - math.sqrt(math.log(2 / risk) / (2 * rows)), 0.0)
            yield test.name, float(special.kolmogorov(statistics.stephens(window) * left))
        elif test.name == "rank":
            margin = float(special.ndtri(1 - risk / 2)) / math.sqrt(12 * rows)
            yield (
                test.name,
                float(2 * special.ndtr(-max(abs(test.statistic) - margin, 0.0) * math.sqrt(12 * window))),
            )
        elif test.name == "categories" and measured.table is not None:
            noise = contingency.average_noise(measured.table[0], measured.table[1], inflation)
            margin = noise + math.sqrt(math.log(1 / risk) / (2 * rows))
            yield test.name, _bounded(test.statistic - margin, window)
        elif test.name == "missing":
            inflation = measured.missing_inflation or 1.0
            before, now = (
                1 - present / total for present, total in zip(measured.present, measured.rows, strict=True)
            )
            margin = math.sqrt(math.log(2 / risk) / (2 * measured.rows[0] / inflation))
            yield test.name, min(1.0, 2 * _bounded(abs(now - before) - margin, measured.rows[1] / inflation))


def _bounded(excess: float, rows: float) -> float:
    """The probability of so much more than the mean (Hoeffding 1963, McDiarmid 1989)."""
    return float(np.exp(-2 * rows * max(excess, 0.0) ** 2))
