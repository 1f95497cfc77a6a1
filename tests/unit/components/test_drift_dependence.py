"""Rows that depend on those before them count for fewer; independent rows count in full, and small shifts are found."""

import numpy as np
import pyarrow as pa
import pytest
from mooring_components.drift import dependence
from mooring_components.drift.comparison import Detectors
from mooring_components.drift.evaluation import evaluate

from tests.benchmarks.drift_power import autoregressive, chain, volatile


def table(columns):
    return pa.table({f"f{place:02}": np.ascontiguousarray(column) for place, column in enumerate(columns.T)})


def drifted(before, now):
    return [f.name for f in evaluate(before, now, None, 100, Detectors()).features if f.drifted]


@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.7, 0.9])
def test_the_inflation_of_an_autoregressive_series_is_that_of_its_formula(correlation):
    series = autoregressive(np.random.default_rng(1), 8000, correlation)
    found = np.median([dependence.inflation(column) for column in series.T])
    assert found == pytest.approx((1 + correlation) / (1 - correlation), rel=0.15)


@pytest.mark.parametrize(
    "series",
    [
        np.arange(1000.0),
        np.repeat([0.0, 1.0], 500) + np.random.default_rng(2).normal(size=1000),
        np.random.default_rng(3).normal(size=1000).cumsum(),
    ],
    ids=["sorted", "another level", "random walk"],
)
def test_what_does_not_end_within_a_tenth_of_the_window_is_no_dependence(series):
    assert dependence.inflation(series) is None


@pytest.mark.parametrize("series", [np.ones(1000), np.zeros(1), np.arange(5.0), np.tile([0.0, 1.0], 50)])
def test_a_series_that_says_nothing_inflates_nothing(series):
    assert (dependence.inflation(series) or 1.0) == 1.0


def draw_ar(rng, rows):
    return autoregressive(rng, rows, 0.7)


def draw_counts(rng, rows):
    return np.floor(autoregressive(rng, rows, 0.7) * 3)


def draw_codes(rng, rows):
    return np.array(list("abcde"))[chain(rng, rows, 0.7)]


def draw_gaps(rng, rows):
    values = autoregressive(rng, rows, 0.0)
    values[chain(rng, rows, 0.9) == 0] = np.nan
    return values


@pytest.mark.parametrize("draw", [draw_ar, draw_counts, draw_codes, draw_gaps, volatile])
def test_quiet_windows_of_dependent_rows_stay_quiet(draw):
    rng = np.random.default_rng(4)
    before = table(draw(rng, 20_000))
    alarms = [bool(drifted(before, table(draw(rng, 600)))) for _ in range(12)]
    # One in twenty at most: three or more of twelve have a probability of 2 % then.
    assert sum(alarms) <= 2


def test_fifty_independent_features_with_a_small_shift_in_three_are_found_at_500_rows():
    rng = np.random.default_rng(5)
    before = table(rng.normal(size=(50_000, 50)))
    shift = np.where(np.arange(50) < 3, 0.2, 0.0)
    found = [bool(drifted(before, table(rng.normal(shift, size=(500, 50))))) for _ in range(40)]
    assert sum(found) >= 37


def test_shifts_of_dependent_rows_are_found_when_they_are_large_enough():
    rng = np.random.default_rng(6)
    before, now = draw_ar(rng, 20_000), draw_ar(rng, 1000)
    now[:, 0] += 0.7
    assert drifted(table(before), table(now)) == ["f00"]


def test_a_window_that_somebody_sorted_is_judged_like_any_other():
    rng = np.random.default_rng(7)
    before, now = rng.normal(size=(20_000, 5)), rng.normal([0.4, 0, 0, 0, 0.4], size=(1000, 5))
    now = now[np.argsort(now[:, 0])]
    assert drifted(table(before), table(now)) == ["f00", "f04"]


def test_a_shift_that_begins_within_the_window_is_found():
    rng = np.random.default_rng(8)
    before, now = rng.normal(size=(20_000, 5)), rng.normal(size=(1000, 5))
    now[600:, 0] += 1.0
    assert drifted(table(before), table(now)) == ["f00"]


def test_how_much_dependent_rows_say_is_told():
    rng = np.random.default_rng(9)
    found = evaluate(table(draw_ar(rng, 5000)), table(draw_ar(rng, 1000)), None, 100, Detectors())
    hints = {feature.hint.split(" say as much as ")[0] for feature in found.features}
    assert hints == {"rows depend on those before them: 1000"}
    told = [int(feature.hint.rsplit(" ", 1)[1]) for feature in found.features]
    assert np.median(told) == pytest.approx(1000 / 5.67, rel=0.25)
