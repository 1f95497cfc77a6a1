"""Evaluations: what is called drift, how often wrongly, and what people are told about bad input."""

import numpy as np
import pyarrow as pa
import pytest
from mooring_components.drift.comparison import Detectors
from mooring_components.drift.errors import EvaluationError
from mooring_components.drift.evaluation import evaluate

WIDTH = 50


def table(rows, seed, shift=0.0, shifted=0):
    values = np.random.default_rng(seed).normal(size=(rows, WIDTH))
    values[:, :shifted] += shift
    return pa.table({f"f{index:02}": values[:, index] for index in range(WIDTH)})


@pytest.fixture(scope="module")
def baseline():
    return table(50_000, seed=0)


def drifted(found):
    return [feature.name for feature in found if feature.drifted]


def test_at_most_one_in_twenty_quiet_windows_alarms_even_where_every_effect_matters(baseline):
    detectors = Detectors(alpha=0.05, distance=0.0)
    alarms = [
        bool(drifted(evaluate(baseline, table(1000, seed), None, 100, detectors).features))
        for seed in range(1, 41)
    ]
    # Two are expected; seven or more have a probability of .3 %.
    assert sum(alarms) <= 6


def test_a_small_shift_in_three_of_fifty_features_is_found_and_named(baseline):
    for seed in range(1, 11):
        window = table(1000, 100 + seed, shift=0.2, shifted=3)
        found = drifted(evaluate(baseline, window, None, 100, Detectors()).features)
        assert {"f00", "f01", "f02"} & set(found)
        assert len(found) <= 4


def test_a_shift_is_found_in_large_windows_where_a_limit_on_the_distance_would_be_blind(baseline):
    found = evaluate(baseline, table(20_000, 50, shift=0.2, shifted=3), None, 100, Detectors()).features
    assert drifted(found) == ["f00", "f01", "f02"]
    assert all(feature.ks[0] < 0.1 for feature in found)


def test_a_difference_that_is_certain_and_does_not_matter_is_no_drift():
    rng = np.random.default_rng(4)
    before, now = rng.normal(size=500_000), rng.normal(0.03, size=500_000)
    [feature] = evaluate(pa.table({"x": before}), pa.table({"x": now}), None, 100, Detectors()).features
    assert feature.ks[1] < 1e-20
    assert not feature.drifted
    [strict] = evaluate(
        pa.table({"x": before}), pa.table({"x": now}), None, 100, Detectors(distance=0.005)
    ).features
    assert strict.drifted


def test_missing_values_do_not_hide_a_shift():
    before = pa.table({"x": np.random.default_rng(1).normal(size=5000)})
    now = np.random.default_rng(2).normal(3, size=1000)
    now[0] = np.nan
    assert drifted(evaluate(before, pa.table({"x": now}), None, 100, Detectors()).features) == ["x"]


def test_more_missing_values_are_drift_of_their_own():
    rng = np.random.default_rng(3)
    before, now = rng.normal(size=5000), rng.normal(size=1000)
    now[:200] = np.nan
    [feature] = evaluate(pa.table({"x": before}), pa.table({"x": now}), None, 100, Detectors()).features
    assert feature.drifted
    assert feature.reason.startswith("missing 0.0% -> 20.0%")
    assert feature.missing == pytest.approx(0.2)


def test_a_column_that_holds_nothing_any_more_is_missing():
    before = pa.table({"x": np.arange(200.0), "s": ["a", "b"] * 100, "gone": pa.nulls(200)})
    now = pa.table({name: pa.nulls(200) for name in before.column_names})
    found = evaluate(before, now, None, 100, Detectors()).features
    assert drifted(found) == ["x", "s"]
    assert [feature.kind for feature in found] == ["number", "category", "missing"]
    assert found[0].reason.startswith("missing 0.0% -> 100.0%")


def test_a_share_of_missing_values_that_stays_is_no_drift():
    rng = np.random.default_rng(8)
    before, now = rng.normal(size=10_000), rng.normal(size=1000)
    before[rng.random(10_000) < 0.4] = np.nan
    now[rng.random(1000) < 0.4] = np.nan
    [feature] = evaluate(pa.table({"x": before}), pa.table({"x": now}), None, 100, Detectors()).features
    assert not feature.drifted
    assert feature.rows == pytest.approx(600, abs=50)


COLUMNS = {
    "large integers": pa.array([2**60 + i for i in range(200)]),
    "booleans": pa.array([True, False] * 100),
    "half floats": pa.array(np.arange(200, dtype=np.float16)),
    "decimals": pa.array(range(200)).cast(pa.decimal128(25, 2)),
    "infinities": pa.array([np.inf, -np.inf] * 100),
    "encoded strings": pa.array(["a", None] * 100).dictionary_encode(),
    "encoded numbers": pa.array([1, 2] * 100).dictionary_encode(),
    "unique strings": pa.array([str(i) for i in range(200)]),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_window_like_its_baseline_is_no_drift_whatever_the_type(name):
    rows = pa.table({name: COLUMNS[name]})
    [feature] = evaluate(rows, rows, None, 100, Detectors()).features
    assert not feature.drifted
    assert feature.ks == (0.0, 1.0)


def test_times_are_compared_where_they_are_asked_for_and_lists_are_not():
    rows = pa.table({"at": pa.array(range(200), pa.timestamp("us")), "many": [[1]] * 200, "x": range(200)})
    assert [feature.name for feature in evaluate(rows, rows, None, 100, Detectors()).features] == ["x"]
    [feature] = evaluate(rows, rows, ["at"], 100, Detectors()).features
    assert (feature.kind, feature.ks) == ("time", (0.0, 1.0))
    with pytest.raises(EvaluationError, match="can be compared") as raised:
        evaluate(rows, rows, ["many"], 100, Detectors())
    assert raised.value.reason == "TypeUnsupported"


def test_strings_that_change_places_are_found_and_new_ones_are_not_enough():
    before = pa.table({"s": pa.chunked_array([["a", "b"] * 20_000, ["b", None] * 10])})
    quiet = pa.table({"s": ["b", "a"] * 500 + ["new"]})
    loud = pa.table({"s": ["a", "b"] * 400 + ["new"] * 200})
    assert not drifted(evaluate(before, quiet, None, 100, Detectors()).features)
    assert drifted(evaluate(before, loud, None, 100, Detectors()).features) == ["s"]


def test_one_detector_alone_can_be_asked_for(baseline):
    window = table(1000, 9, shift=2.0, shifted=1)
    [only_ks, only_psi] = [
        evaluate(baseline, window, ["f00"], 100, detectors).features[0]
        for detectors in (Detectors(psi_threshold=None), Detectors(ks=False))
    ]
    assert only_ks.drifted
    assert only_ks.psi is None
    assert only_psi.drifted
    assert only_psi.ks is None


@pytest.mark.parametrize(
    ("window", "features", "reason", "said"),
    [
        (pa.table({"x": [1.0] * 99}), None, "InsufficientData", "99 rows; spec.minRows wants 100"),
        (pa.table({"x": [1.0] * 100}), ["y"], "FeatureMissing", "'y' is no column of the baseline; it has x"),
        (
            pa.table({"z": [[1.0]] * 100}),
            ["z"],
            "TypeUnsupported",
            "'z' is list in the window",
        ),
    ],
)
def test_what_cannot_be_compared_is_said(window, features, reason, said):
    with pytest.raises(EvaluationError) as raised:
        evaluate(pa.table({"x": [1.0, 2.0] * 100}), window, features, 100, Detectors())
    assert raised.value.reason == reason
    assert said in raised.value.message


def test_a_shift_is_named_by_each_test_that_sees_it_whichever_sees_it_best():
    rng = np.random.default_rng(11)
    before, now = rng.normal(size=20_000), rng.normal(0.35, size=3000)
    [feature] = evaluate(pa.table({"x": before}), pa.table({"x": now}), None, 100, Detectors()).features
    # Ranks see it best; the index is significant, too, and below its threshold.
    assert feature.reason.startswith("distance 0.1")
    assert "rank shift" in feature.reason
    assert "stability" not in feature.reason
