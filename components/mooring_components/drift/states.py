"""Tests windows that were counted in the slots of a baseline's profile: what a test costs does not depend on rows.

Distances are known from both ends (`slots`). The tests take what is certain, so counting can hide drift of less than
a slot's share, and can make up none. Decisions are those of `evaluation`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from mooring_artifacts.window_states import Categories, Profile, WindowState
from mooring_artifacts.window_states import Numbers as NumberFeature
from mooring_artifacts.window_states.dependence import RANKS
from mooring_artifacts.window_states.state import FeatureState

from mooring_components.drift import columns, dependence, slots
from mooring_components.drift.comparison import Detectors, Measured, NumberSummary
from mooring_components.drift.errors import EvaluationError
from mooring_components.drift.evaluation import Findings, decide
from mooring_components.drift.precision import Precision
from mooring_components.drift.schema import Compared


def evaluate_states(
    profile: Profile, state: WindowState, features: Sequence[str] | None, min_rows: int, detectors: Detectors
) -> Findings:
    """Compare the features named, or all of a profile, with a window that was counted in its slots.

    Raises:
        EvaluationError: FeatureMissing or InsufficientData.
    """
    if state.rows < max(min_rows, 1):
        raise EvaluationError(
            "InsufficientData", f"the window has {state.rows} rows; spec.minRows wants {min_rows}"
        )
    found = {
        feature.name: (feature, counted)
        for feature, counted in zip(profile.features, state.features, strict=True)
    }
    for name in features or ():
        if name not in found:
            raise EvaluationError(
                "FeatureMissing", f"spec.features: {name!r} is no feature of the baseline's profile"
            )
    measured = [
        measure_state(*found[name], profile.rows, state, detectors.psi_bins)
        for name in dict.fromkeys(found if features is None else features)
    ]
    return Findings(decide(measured, detectors), [])


def measure_state(
    feature: NumberFeature | Categories, counted: FeatureState, rows: int, state: WindowState, bins: int
) -> Measured:
    """What the counts of one feature tell; the baseline has `rows` rows."""
    before, now = feature.rows, counted.rows
    present = int(before[:-1].sum()), int(now[:-1].sum())
    numeric = isinstance(feature, NumberFeature)
    kind = columns.NUMBER if numeric else columns.CATEGORY
    column = Compared(feature.name, kind, Precision(pa.float64() if numeric else pa.large_string()))
    gaps = dependence.of_pairs(counted.lags.gaps, state.pairs, *_moments_of_share(now[-1], state.rows))
    missing_inflation = gaps if now[-1] else None
    if not all(present):
        return Measured(column, (rows, state.rows), present, missing_inflation=missing_inflation)
    if isinstance(feature, NumberFeature):
        lowest, _ = slots.distance_bounds(feature, now)
        samples = NumberSummary(lowest, slots.certain_shift(feature, now), slots.bin_rows(feature, now, bins))
        table = slots.codes(feature, now)
        inflation = _inflation_of_ranks(feature, counted)
    else:
        samples, table = None, np.stack([before[:-1], now[:-1]]).astype(np.float64)
        same = float(((now[:-1] / present[1]) ** 2).sum())
        inflation = dependence.of_pairs(counted.lags.level, counted.lags.pairs, same, 1 - same)
    return Measured(
        column, (rows, state.rows), present, inflation, missing_inflation, samples=samples, table=table
    )


def _inflation_of_ranks(feature: NumberFeature, counted: FeatureState) -> float | None:
    ranks, rows = feature.ranks, counted.rows[:-1]
    found = []
    for series, products in (
        (ranks, counted.lags.level),
        (2 * np.abs(ranks) - (RANKS - 1), counted.lags.spread),
    ):
        mean = float(series @ rows) / float(rows.sum())
        variance = float((series**2) @ rows) / float(rows.sum()) - mean**2
        found.append(dependence.of_pairs(products, counted.lags.pairs, mean**2, variance))
    level, spread = found
    return None if level is None or spread is None else max(level, spread)


def _moments_of_share(count: int, rows: int) -> tuple[float, float]:
    share = count / max(rows, 1)
    return share**2, share * (1 - share)
