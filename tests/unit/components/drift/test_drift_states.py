"""Counted windows are judged as rows are, and within the resolution that the counts have."""

import numpy as np
import pyarrow as pa
import pytest
from mooring_artifacts.errors import InputError
from mooring_artifacts.window_states import count, merge, prepare, subtract
from mooring_components.drift import dependence, slots, statistics
from mooring_components.drift.comparison import Detectors
from mooring_components.drift.errors import EvaluationError
from mooring_components.drift.evaluation import evaluate
from mooring_components.drift.slots_together import put_together
from mooring_components.drift.states import evaluate_states
from scipy.signal import lfilter
from scipy.stats import ks_2samp

DRAWS = {
    "normal": lambda rng, n: rng.standard_normal(n),
    "Cauchy": lambda rng, n: rng.standard_cauchy(n),
    "integers": lambda rng, n: rng.integers(0, 400, n) * 1.0,
    "two places": lambda rng, n: rng.choice([-1e9, 1e9], n) + rng.random(n),
    "mostly zero": lambda rng, n: np.where(rng.random(n) < 0.7, 0.0, rng.lognormal(0, 3, n)),
    "infinities": lambda rng, n: rng.choice([np.inf, -np.inf, 0.5, 1.5, 2.5], n),
    "constant": lambda rng, n: np.ones(n),
}


def tables(before, now):
    return pa.table(before), pa.table(now)


def states(before, now):
    profile = prepare(before)
    return profile, count(profile, now)


@pytest.mark.parametrize("kind", DRAWS)
@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_the_exact_statistics_lie_within_the_bounds(kind, precision):
    rng = np.random.default_rng(1)
    for rows in (50, 1000, 20_000):
        for moved in (0.0, 0.3):
            before = DRAWS[kind](rng, 30_000).astype(precision)
            now = (DRAWS[kind](rng, rows) + moved).astype(precision)
            profile, window = states({"x": before}, {"x": now})
            lowest, highest = slots.distance_bounds(profile.features[0], window.features[0].rows)
            exact = ks_2samp(before, now, method="asymp").statistic
            assert lowest <= exact <= highest
            if rows == 20_000:
                assert highest - lowest <= 0.005
            shift = slots.certain_shift(profile.features[0], window.features[0].rows)
            assert abs(shift) <= abs(statistics.place(before, now).shift) + 1e-12


@pytest.mark.parametrize("kind", [kind for kind in DRAWS if kind != "infinities"])
@pytest.mark.parametrize("bins", [5, 10, 20])
def test_bins_are_those_of_the_rows(kind, bins):
    rng = np.random.default_rng(2)
    before, now = DRAWS[kind](rng, 30_000), DRAWS[kind](rng, 2000) * 1.1
    profile, window = states({"x": before}, {"x": now})
    expected = statistics.bin_rows(statistics.place(before, now), bins)
    found = slots.bin_rows(profile.features[0], window.features[0].rows, bins)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def columns(rng, rows, moved):
    text = rng.choice(["red", "green", "blue"], rows, p=[0.5, 0.3, 0.2] if moved else [0.4, 0.3, 0.3])
    gaps = np.where(rng.random(rows) < (0.3 if moved else 0.1), np.nan, rng.standard_normal(rows))
    return {
        "still": rng.standard_normal(rows),
        "shifted": rng.standard_normal(rows) + (0.3 if moved else 0.0),
        "wider": rng.standard_normal(rows) * (1.5 if moved else 1.0),
        "beyond": np.where(rng.random(rows) < (0.2 if moved else 0.0), 90.0, rng.standard_normal(rows)),
        "gaps": gaps,
        "codes": rng.integers(0, 6, rows) * 1.0,
        "text": text.astype(object),
        "unseen": np.where(rng.random(rows) < (0.1 if moved else 0.0), "new", text).astype(object),
    }


def test_features_are_named_that_rows_would_name():
    rng = np.random.default_rng(3)
    for moved in (False, True):
        before, now = columns(rng, 50_000, False), columns(rng, 2000, moved)
        exact = evaluate(*tables(before, now), None, 100, Detectors()).features
        counted = evaluate_states(*states(before, now), None, 100, Detectors()).features
        assert {f.name for f in counted if f.drifted} == {f.name for f in exact if f.drifted}
        assert {f.name: f.missing for f in counted} == {f.name: f.missing for f in exact}
        ours, theirs = ({f.name: f for f in found} for found in (counted, exact))
        for name in ("shifted", "wider", "beyond", "text", "codes"):
            assert ours[name].ks[0] == pytest.approx(theirs[name].ks[0], abs=0.005)
            assert ours[name].psi[0] == pytest.approx(theirs[name].psi[0], rel=1e-9)
        assert ours["codes"].variation[0] == pytest.approx(theirs["codes"].variation[0], rel=1e-9)
        assert ours["codes"].hint == theirs["codes"].hint


@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.7, 0.9, 0.95])
def test_dependence_of_rows_is_seen_in_the_sums(correlation):
    rng = np.random.default_rng(4)
    found, rows = [], 8000
    for _ in range(10):
        noise = rng.standard_normal((2, rows + 300)) * np.sqrt(1 - correlation**2)
        before, now = lfilter([1.0], [1.0, -correlation], noise, axis=1)[:, 300:]
        profile, window = states({"x": before}, {"x": now})
        features = window.features[0]
        ranks, total = profile.features[0].ranks, features.rows[:-1]
        mean = float(ranks @ total) / rows
        variance = float(ranks**2 @ total) / rows - mean**2
        found.append(dependence.of_pairs(features.lags.level, features.lags.pairs, mean**2, variance))
    expected = (1 + correlation) / (1 - correlation)
    assert np.median(found) == pytest.approx(expected, rel=0.35)


def test_dependent_traffic_in_many_stretches_does_not_alarm():
    rng = np.random.default_rng(5)
    names = [f"f{place:02}" for place in range(20)]

    def rows(count):
        noise = rng.standard_normal((len(names), count + 300)) * np.sqrt(1 - 0.7**2)
        return dict(zip(names, lfilter([1.0], [1.0, -0.7], noise, axis=1)[:, 300:], strict=True))

    profile = prepare(rows(50_000))
    for _ in range(20):
        window = count(profile, rows(100))
        for _ in range(9):
            window = merge(window, count(profile, rows(100)))
        found = evaluate_states(profile, window, None, 100, Detectors()).features
        assert not any(feature.drifted for feature in found)


def test_windows_slide():
    rng = np.random.default_rng(6)
    before = {"x": rng.standard_normal(50_000)}
    profile = prepare(before)
    minutes = [count(profile, {"x": rng.standard_normal(300) + (0.5 if k > 4 else 0)}) for k in range(10)]
    window = minutes[0]
    for each in minutes[1:5]:
        window = merge(window, each)
    drifted = []
    for gone, new in zip(minutes[:5], minutes[5:], strict=True):
        window = merge(subtract(window, gone), new)
        drifted.append(evaluate_states(profile, window, None, 100, Detectors()).features[0].drifted)
    assert drifted[-1]
    assert window.rows == 1500


def test_features_may_be_named():
    rng = np.random.default_rng(7)
    profile, window = states(columns(rng, 5000, False), columns(rng, 500, True))
    found = evaluate_states(profile, window, ["text", "still"], 100, Detectors())
    assert [feature.name for feature in found.features] == ["text", "still"]
    with pytest.raises(EvaluationError, match="'nothing' is no feature of the baseline's profile"):
        evaluate_states(profile, window, ["nothing"], 100, Detectors())
    with pytest.raises(EvaluationError, match=r"500 rows; spec\.minRows wants 501"):
        evaluate_states(profile, window, None, 501, Detectors())


def test_windows_without_values_are_judged_by_what_is_missing():
    rng = np.random.default_rng(8)
    profile = prepare({"x": rng.standard_normal(5000)})
    found = evaluate_states(profile, count(profile, {"x": np.full(500, np.nan)}), None, 100, Detectors())
    assert found.features[0].drifted
    assert found.features[0].missing == 1.0


def test_single_precision_is_not_counted_in_cells_of_doubles():
    rng = np.random.default_rng(9)
    values = np.round(rng.standard_normal(5000), 1)
    with pytest.raises(InputError, match="make the profile at float32"):
        states({"x": values}, {"x": values.astype(np.float32)})
    profile, window = states({"x": values.astype(np.float32)}, {"x": values})
    assert slots.distance_bounds(profile.features[0], window.features[0].rows) == (0.0, 0.0)


def test_many_features_are_measured_as_each_by_itself():
    rng = np.random.default_rng(10)
    before = {
        f"{kind} {size}": DRAWS[kind](rng, 3000).astype(size) for kind in DRAWS for size in ("f4", "f8")
    }
    profile = prepare(before)
    for rows in (30, 500, 20_000):
        window = count(
            profile,
            {name: DRAWS[name.rpartition(" ")[0]](rng, rows).astype(name[-2:]) * 2 for name in before},
        )
        together = put_together(profile.features, [each.rows for each in window.features])
        lags = [each.lags for each in window.features]
        level, spread, pairs = (
            np.stack([getattr(one, part) for one in lags]) for part in ("level", "spread", "pairs")
        )
        inflations = together.inflations(level, spread, pairs)
        for place, (feature, counted) in enumerate(zip(profile.features, window.features, strict=True)):
            assert together.distances[place] == slots.distance_bounds(feature, counted.rows)[0]
            assert together.shifts[place] == pytest.approx(
                slots.certain_shift(feature, counted.rows), abs=1e-12
            )
            alone = put_together([feature], [counted.rows])
            [inflation] = alone.inflations(level[[place]], spread[[place]], pairs[[place]])
            assert inflation == pytest.approx(inflations[place])
            for bins in (3, 10, 20, 100):
                ours, theirs = together.bins(bins)[place], slots.bin_rows(feature, counted.rows, bins)
                for one, other in zip(ours, theirs, strict=True):
                    np.testing.assert_array_equal(one, other)
