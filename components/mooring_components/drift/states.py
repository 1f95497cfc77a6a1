"""Tests windows that were counted in the slots of a baseline's profile: what a test costs does not depend on rows.

Distances are known from both ends (`slots`). The tests take what is certain, so counting can hide drift of less than
a slot's share, and can make up none. Decisions are those of `evaluation`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypedDict

import numpy as np
import pyarrow as pa
from mooring_artifacts.feature_settings import AS_CATEGORIES, NOTHING_DECLARED, FeatureSettings
from mooring_artifacts.window_states import Categories, Profile, WindowState
from mooring_artifacts.window_states import Numbers as NumberFeature
from mooring_artifacts.window_states.state import FeatureState

from mooring_components.drift import columns, dependence, slots
from mooring_components.drift.comparison import Detectors, Measured, NumberSummary, Table
from mooring_components.drift.errors import EvaluationError
from mooring_components.drift.evaluation import Findings, decide
from mooring_components.drift.precision import Precision
from mooring_components.drift.schema import Compared, unused_setting
from mooring_components.drift.slots_together import put_together

Feature = NumberFeature | Categories
_PRECISION = {True: Precision(pa.float64()), False: Precision(pa.large_string())}


def evaluate_states(
    profile: Profile,
    state: WindowState,
    features: Sequence[str] | None,
    min_rows: int,
    detectors: Detectors,
    settings: FeatureSettings = NOTHING_DECLARED,
) -> Findings:
    """Compare the features named, or all of a profile, with a window that was counted in its slots.

    Raises:
        EvaluationError: FeatureMissing, InsufficientData or TypeUnsupported.
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
    if (unused := settings.unused(list(found))) is not None:
        raise unused_setting(*unused, list(found))
    chosen = [found[name] for name in settings.kept(dict.fromkeys(found if features is None else features))]
    measured = measure_states(chosen, profile.rows, state, detectors.psi_bins, settings)
    return Findings(decide(measured, detectors), [])


def measure_states(
    chosen: Sequence[tuple[Feature, FeatureState]],
    rows: int,
    state: WindowState,
    bins: int,
    settings: FeatureSettings = NOTHING_DECLARED,
) -> list[Measured]:
    """What the counts of some features of a state tell; the baseline has `rows` rows.

    Raises:
        EvaluationError: TypeUnsupported, where what was counted is none of what is declared.
    """
    found = [_measure(*each, rows, state) for each in chosen]
    places = [
        place
        for place, (feature, _) in enumerate(chosen)
        if isinstance(feature, NumberFeature) and all(found[place].present)
    ]
    for place, measured in zip(places, _measure_numbers([chosen[at] for at in places], bins), strict=True):
        found[place] = replace(found[place], **measured)
    return [_as_declared(one, *each, settings) for one, each in zip(found, chosen, strict=True)]


def _as_declared(
    measured: Measured, feature: Feature, counted: FeatureState, settings: FeatureSettings
) -> Measured:
    """Take what was counted for what it is declared as."""
    name = measured.column.name
    declared, table = settings.type_of(name), measured.table
    column = replace(measured.column, sure=declared is not None, distance=settings.distance_of(name))
    if declared is None or (declared in AS_CATEGORIES and isinstance(feature, Categories)):
        return replace(measured, column=column)
    if declared == "Number" and isinstance(feature, NumberFeature):
        return replace(measured, column=column, table=None)
    if declared in AS_CATEGORIES and isinstance(feature, NumberFeature):
        table = slots.declared_codes(feature, counted.rows)
        if table is not None:
            column = replace(column, kind=columns.CATEGORY, codes=True)
            return replace(
                measured, column=column, samples=None, table=table if all(measured.present) else None
            )
    counted_as = "ranges of numbers" if isinstance(feature, NumberFeature) else "categories"
    raise EvaluationError(
        "TypeUnsupported",
        f"spec.featureSettings: {name!r} is counted as {counted_as} in the baseline's profile, which cannot be "
        f"compared as {declared}: name a baseline, whose rows are read",
    )


def _measure(feature: Feature, counted: FeatureState, rows: int, state: WindowState) -> Measured:
    """What is missing of a feature, and its categories."""
    before, now = feature.rows, counted.rows
    present = int(before[:-1].sum()), int(now[:-1].sum())
    numeric = isinstance(feature, NumberFeature)
    column = Compared(feature.name, columns.NUMBER if numeric else columns.CATEGORY, _PRECISION[numeric])
    missing = None
    if now[-1]:
        share = _moments_of_share(now[-1], state.rows)
        missing = dependence.of_pairs(counted.lags.gaps, state.pairs, *share)
    measured = Measured(column, (rows, state.rows), present, missing_inflation=missing)
    if numeric or not all(present):
        return measured
    same = float(((now[:-1] / present[1]) ** 2).sum())
    inflation = dependence.of_pairs(counted.lags.level, counted.lags.pairs, same, 1 - same)
    table = np.stack([before[:-1], now[:-1]]).astype(np.float64)
    return replace(measured, inflation=inflation, table=table)


class _NumbersMeasured(TypedDict):
    inflation: float | None
    samples: NumberSummary
    table: Table | None


def _measure_numbers(chosen: Sequence[tuple[Feature, FeatureState]], bins: int) -> list[_NumbersMeasured]:
    """The same of numbers, of which both sides have some."""
    if not chosen:
        return []
    features = [feature for feature, _ in chosen if isinstance(feature, NumberFeature)]
    lags = [counted.lags for _, counted in chosen]
    together = put_together(features, [counted.rows for _, counted in chosen])
    level, spread, pairs = (
        np.stack([getattr(each, part) for each in lags]) for part in ("level", "spread", "pairs")
    )
    return [
        {
            "inflation": inflation,
            "samples": NumberSummary(distance, shift, binned, moved),
            "table": slots.codes(feature, counted.rows),
        }
        for (_, counted), feature, inflation, distance, shift, binned, moved in zip(
            chosen,
            features,
            together.inflations(level, spread, pairs),
            together.distances.tolist(),
            together.shifts.tolist(),
            together.bins(bins),
            together.moved.tolist(),
            strict=True,
        )
    ]


def _moments_of_share(count: int, rows: int) -> tuple[float, float]:
    share = count / max(rows, 1)
    return share**2, share * (1 - share)
