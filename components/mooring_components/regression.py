"""How far numbers are off, each measure with an interval; and two models on the same rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mooring_components.classification import Measured
from mooring_components.intervals import Estimate, Floats, mean, normal
from mooring_components.outcomes import Estimated

METRICS = ("mae", "rmse", "r2", "mape")


@dataclass(frozen=True)
class _Part:
    """A metric and the influence of each row on it."""

    value: float
    influence: Floats


def measure_amounts(outcome: Estimated) -> Measured:
    """`mae` and `rmse` in the label's unit, `r2`, and `mape` as a share."""
    parts = _parts(outcome)
    found = Measured()
    for name, part in parts.items():
        if isinstance(part, str):
            found.unmeasured[name] = part
        elif name == "rmse":
            found.estimates[name] = _rooted(mean(np.square(outcome.predicted - outcome.actual)))
        else:
            found.estimates[name] = normal(part.value, part.influence)
    return found


def compare_amounts(candidate: Estimated, champion: Estimated) -> Measured:
    """The candidate's metrics less the champion's, of the same rows."""
    found = Measured()
    one, two = _parts(candidate), _parts(champion)
    for name in METRICS:
        first, second = one[name], two[name]
        if isinstance(first, str) or isinstance(second, str):
            found.unmeasured[name] = first if isinstance(first, str) else f"the champion: {second}"
            continue
        found.estimates[name] = normal(first.value - second.value, first.influence - second.influence)
    return found


def _parts(outcome: Estimated) -> dict[str, _Part | str]:
    if outcome.invalid:
        return dict.fromkeys(METRICS, outcome.hint)
    actual = outcome.actual
    errors = outcome.predicted - actual
    sizes, squares = np.abs(errors), np.square(errors)
    root = float(np.sqrt(squares.mean()))
    return {
        "mae": _Part(float(sizes.mean()), sizes),
        "rmse": _Part(root, squares / (2 * root) if root else squares),
        "r2": _explained(actual, squares),
        "mape": _relative(actual, sizes),
    }


def _explained(actual: Floats, squares: Floats) -> _Part | str:
    around = np.square(actual - actual.mean())
    spread, lost = float(around.mean()), float(squares.mean())
    if not spread:
        return "all labels are the same"
    return _Part(1 - lost / spread, (around * (lost / spread) - squares) / spread)


def _relative(actual: Floats, sizes: Floats) -> _Part | str:
    if zeros := int((actual == 0).sum()):
        return f"{zeros} labels are 0"
    shares = sizes / np.abs(actual)
    return _Part(float(shares.mean()), shares)


def _rooted(squares: Estimate) -> Estimate:
    low, high = (
        None if bound is None else float(np.sqrt(max(bound, 0.0))) for bound in (squares.low, squares.high)
    )
    return Estimate(float(np.sqrt(squares.value)), low, high)
