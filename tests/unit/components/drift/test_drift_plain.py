"""Plain rules judge each feature by itself, by the thresholds that everybody knows."""

import numpy as np
import pyarrow as pa
import pytest
from mooring_artifacts.drift_question import parse_question
from mooring_artifacts.feature_settings import FeatureSettings, parse_setting
from mooring_artifacts.window_states import count, prepare
from mooring_components.drift.comparison import PLAIN_ALPHA, Detectors
from mooring_components.drift.evaluation import evaluate
from mooring_components.drift.report import detectors_of
from mooring_components.drift.states import evaluate_states
from scipy import stats

PLAIN = Detectors(plain=True, alpha=PLAIN_ALPHA)
QUIET_WINDOWS, FEATURES = 40, 50


def draw(rng, rows, features=FEATURES, shift=0.0):
    return {f"f{place}": rng.normal(shift, 1, rows) for place in range(features)}


def drifted(before, now, detectors=PLAIN, *settings):
    declared = FeatureSettings(map(parse_setting, settings))
    found = evaluate(pa.table(before), pa.table(now), None, 100, detectors, declared).features
    return {feature.name: feature for feature in found if feature.drifted}


def test_each_feature_is_judged_as_scipy_says_at_a_p_value_of_a_twentieth():
    rng = np.random.default_rng(0)
    before, now = draw(rng, 4000, 200), draw(rng, 500, 200, shift=0.05)
    expected = {name for name in before if stats.ks_2samp(before[name], now[name]).pvalue < 0.05}
    assert 5 < len(expected) < 100
    assert set(drifted(before, now)) == expected


def test_quiet_windows_of_many_features_alarm_mostly_and_seldom_otherwise():
    rng = np.random.default_rng(1)
    before = draw(rng, 20_000)
    windows = [draw(rng, 500) for _ in range(QUIET_WINDOWS)]
    # 1 - .95 ** 50 is .92.
    assert sum(bool(drifted(before, now)) for now in windows) > 0.75 * QUIET_WINDOWS
    assert sum(bool(drifted(before, now, Detectors())) for now in windows) < 0.1 * QUIET_WINDOWS


def test_an_index_alone_is_enough_and_its_p_value_is_not_looked_at():
    rng = np.random.default_rng(2)
    before, now = draw(rng, 150, 20), draw(rng, 100, 20)
    found = drifted(before, now)
    assert any(feature.psi[0] >= 0.2 and feature.ks[1] > 0.05 for feature in found.values())
    assert all(feature.psi[0] >= 0.2 or feature.ks[1] < 0.05 for feature in found.values())


def test_differences_that_matter_to_nobody_are_named():
    rng = np.random.default_rng(3)
    before, now = draw(rng, 400_000, 1), draw(rng, 200_000, 1, shift=0.015)
    assert drifted(before, now)
    assert not drifted(before, now, Detectors())
    assert not drifted(before, now, PLAIN, "f0=0.02")


def test_categories_are_judged_by_chi_square():
    rng = np.random.default_rng(4)
    before = {"c": rng.choice(["a", "b"], 5000)}
    now = {"c": rng.choice(["a", "b"], 500, p=[0.56, 0.44])}
    assert drifted(before, now)["c"].test == "ChiSquare"
    assert not drifted(before, {"c": rng.choice(["a", "b"], 500)})


def test_rows_that_depend_on_each_other_count_in_full_but_not_for_evidence():
    rng = np.random.default_rng(5)
    noise = rng.normal(size=(21_000, FEATURES))
    for row in range(1, len(noise)):
        noise[row] = 0.9 * noise[row - 1] + noise[row] * (1 - 0.9**2) ** 0.5
    before, now = (
        {f"f{place}": side[:, place] for place in range(FEATURES)}
        for side in (noise[:20_000], noise[20_000:])
    )
    plain, careful = (
        evaluate(pa.table(before), pa.table(now), None, 100, detectors).features
        for detectors in (PLAIN, Detectors())
    )
    assert sum(feature.drifted for feature in plain) > FEATURES / 2
    assert not any(feature.drifted for feature in careful)
    assert [feature.e_value for feature in plain] == [feature.e_value for feature in careful]


def test_counts_are_judged_by_the_same_rules():
    rng = np.random.default_rng(6)
    before, now = draw(rng, 20_000, 1), draw(rng, 500, 1, shift=0.3)
    profile = prepare(before)
    [feature] = evaluate_states(profile, count(profile, now), None, 100, PLAIN).features
    assert feature.drifted
    assert feature.ks[1] < 0.05


@pytest.mark.parametrize("plain", [True, False])
def test_a_question_asks_for_them(plain):
    question = {
        "baseline": {"uri": "s3://b/a"},
        "window": {"uri": "s3://b/w"},
        "minRows": 100,
        "ks": {"alpha": 0.05},
    }
    asked = detectors_of(parse_question({**question, "plain": True} if plain else question))
    assert (asked.plain, asked.alpha) == (plain, 0.05)
