"""The statistics of drift, against scipy, against arithmetic, and against chance."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from mooring_components.drift import contingency, statistics
from mooring_components.drift.evaluation import largest_rejected
from scipy import stats

# scipy, not what is tested, divides by the size of samples that it does not look at.
pytestmark = pytest.mark.filterwarnings("ignore:divide by zero")
NORMAL = np.random.default_rng(17)


def kolmogorov_smirnov(baseline, window):
    distance = statistics.place(baseline, window).distance
    return distance, statistics.kolmogorov_p(distance, len(baseline), len(window))


def stability_index(baseline, window, bins=10):
    before, now = statistics.bin_rows(statistics.place(baseline, window), bins)
    return statistics.population_stability_index(before, now)


values = st.one_of(
    st.floats(allow_nan=False, width=32),
    st.sampled_from([0.0, -0.0, 1.0, np.inf, -np.inf, 1e-300]),
    st.integers(-3, 3),
)
samples = arrays.arrays(np.float64, st.integers(1, 60), elements=values.map(float))


@settings(max_examples=500, deadline=None)
@given(samples, samples)
def test_the_distance_is_scipys_to_the_last_bit(baseline, window):
    distance, p_value = kolmogorov_smirnov(baseline, window)
    assert distance == stats.ks_2samp(baseline, window, method="asymp").statistic
    assert 0 <= p_value <= 1


@pytest.mark.parametrize("rows", [20, 100, 1000, 10_000])
@pytest.mark.parametrize("p_value", [0.5, 0.2, 0.1, 0.05, 0.01, 1e-4, 1e-8])
def test_the_p_value_of_small_samples_is_scipys(rows, p_value):
    first = np.arange(rows, dtype=float)
    second = first + np.ceil(stats.kstwo.isf(p_value, rows // 2) * rows) - 0.5
    distance, ours = kolmogorov_smirnov(first, second)
    scipys = stats.kstwo.sf(distance, rows // 2)
    assert ours == pytest.approx(scipys, rel=2e-4 if scipys < 0.09 else 0.03)


def test_the_p_value_of_large_samples_is_scipys():
    first, second = NORMAL.normal(size=30_000), NORMAL.normal(0.02, size=20_000)
    ours = kolmogorov_smirnov(first, second)[1]
    assert ours == pytest.approx(stats.ks_2samp(first, second, method="asymp").pvalue, rel=0.02)


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.5])
def test_the_true_distance_is_above_its_lower_bound_in_95_of_100_samples(shift):
    true = 2 * stats.norm.cdf(shift / 2) - 1
    bounds = [
        statistics.distance_lower_bound(
            kolmogorov_smirnov(NORMAL.normal(size=2000), NORMAL.normal(shift, size=500))[0],
            2000,
            500,
        )
        for _ in range(300)
    ]
    assert np.mean(np.array(bounds) > true) < 0.08
    assert np.mean(bounds) > true - 0.07


@settings(max_examples=200, deadline=None)
@given(samples, samples, st.integers(2, 20))
def test_the_stability_index_is_finite_whatever_the_numbers(baseline, window, bins):
    index, p_value = stability_index(baseline, window, bins)
    assert 0 <= index < np.inf
    assert 0 <= p_value <= 1


@pytest.mark.parametrize(("rows", "window"), [(1000, 1000), (20_000, 1000), (5000, 100)])
def test_the_stability_index_of_quiet_windows_is_significant_as_often_as_it_says(rows, window):
    rng = np.random.default_rng(5)
    p_values = [stability_index(rng.normal(size=rows), rng.normal(size=window))[1] for _ in range(400)]
    assert np.mean(np.array(p_values) < 0.05) <= 0.07


def test_the_stability_index_is_what_arithmetic_gives():
    baseline, window = np.repeat([0.0, 1.0], [60, 40]), np.repeat([0.0, 1.0], [30, 70])
    share, other = np.array([60.5, 40.5]) / 101, np.array([30.5, 70.5]) / 101
    by_hand = np.sum((other - share) * np.log(other / share))
    assert stability_index(baseline, window)[0] == pytest.approx(by_hand)


def test_values_outside_the_baselines_range_count():
    baseline = np.random.default_rng(2).uniform(0, 1, 5000)
    window = np.random.default_rng(3).uniform(0, 1, 1000)
    window[:300] += 10
    index, p_value = stability_index(baseline, window)
    assert index > 0.4
    assert p_value < 1e-10


def test_a_constant_that_becomes_another_is_found():
    index, p_value = stability_index(np.full(500, 1.0), np.full(200, 2.0))
    assert index > 1
    assert p_value < 1e-10


def test_a_constant_that_stays_is_no_drift():
    assert stability_index(np.full(500, 1.0), np.full(200, 1.0)) == (0.0, 1.0)


def test_infinities_are_beyond_all_other_numbers():
    baseline = np.random.default_rng(4).normal(size=1000)
    for value in (np.inf, -np.inf):
        window = baseline.copy()
        window[:200] = value
        index, p_value = stability_index(baseline, window)
        assert index > 0.5
        assert p_value < 1e-10
    assert stability_index(np.full(50, -np.inf), np.full(50, -np.inf)) == (0.0, 1.0)


@pytest.mark.parametrize("times", [1, 50, 1000])
def test_an_unseen_rare_category_proves_nothing(times):
    baseline, window = np.array([500.0 * times, 500.0 * times, 0]), np.array([500.0, 500.0, 1])
    (_, p_value), _ = contingency.categories(baseline, window)
    assert p_value >= 1 / (times + 1)


def test_a_frequent_unseen_category_is_found():
    for baseline, window in (
        (np.array([50_000.0, 0]), np.array([200.0, 60])),
        (np.array([5000.0, 5000, 0]), np.array([450.0, 450, 100])),
    ):
        (distance, p_value), (index, _) = contingency.categories(baseline, window)
        assert distance == pytest.approx(window[-1] / window.sum())
        assert 0 < p_value < 1e-10
        assert index > 0.2


def test_categories_that_change_places_are_found():
    baseline, window = np.array([900.0, 100]), np.array([100.0, 200])
    (distance, p_value), (index, _) = contingency.categories(baseline, window)
    assert distance == pytest.approx(0.9 - 1 / 3)
    assert p_value == pytest.approx(stats.chi2_contingency([baseline, window], correction=False).pvalue)
    assert index > 0.2
    assert 0.4 < contingency.variation_lower_bound(distance, baseline, window) < distance


def test_categories_of_quiet_windows_are_significant_as_often_as_they_say():
    rng = np.random.default_rng(6)
    shares = 1 / np.arange(1, 101)
    shares /= shares.sum()
    found, missed = 0, 0
    for _ in range(400):
        baseline, window = (rng.multinomial(rows, shares).astype(float) for rows in (20_000, 500))
        (distance, p_value), _ = contingency.categories(baseline, window)
        found += p_value < 0.05
        missed += contingency.variation_lower_bound(distance, baseline, window) > 0
    assert found <= 28
    assert missed <= 20


def test_one_category_is_no_drift():
    assert contingency.categories(np.array([500.0]), np.array([200.0])) == ((0.0, 1.0), (0.0, 1.0))


@given(arrays.arrays(np.float64, st.integers(1, 40), elements=st.floats(0, 1)), st.floats(0.001, 0.5))
def test_the_correction_for_many_features_is_scipys(p_values, rate):
    rejected = p_values <= largest_rejected(p_values, rate)
    scipys = stats.false_discovery_control(p_values)
    assert (rejected == (scipys <= rate)).all() or np.any(np.isclose(scipys, rate))


def test_missing_values_are_compared_as_shares():
    assert contingency.missing_rate(0, 10_000, 0, 500) == 1.0
    assert contingency.missing_rate(1000, 10_000, 60, 500) > 0.05
    assert contingency.missing_rate(1000, 10_000, 110, 500) < 1e-6


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 300), st.integers(0, 300), st.integers(0, 40), st.integers(0, 40))
def test_few_missing_values_are_compared_exactly(missing, present, now_missing, now_present):
    table = [[missing, present], [now_missing, now_present]]
    ours = contingency.missing_rate(missing, missing + present, now_missing, now_missing + now_present)
    assert ours == pytest.approx(stats.fisher_exact(table).pvalue, rel=1e-6)


def test_many_missing_values_are_compared_by_chi_square():
    table = [[10_000, 90_000], [1100, 8900]]
    ours = contingency.missing_rate(10_000, 100_000, 1100, 10_000)
    assert ours == pytest.approx(stats.chi2_contingency(table, correction=True).pvalue)
    assert ours == pytest.approx(stats.fisher_exact(table).pvalue, rel=0.1)
    assert 0 < contingency.rate_lower_bound(10_000, 100_000, 1100, 10_000) < 0.01
