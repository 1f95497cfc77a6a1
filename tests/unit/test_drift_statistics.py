"""The statistics of drift, against scipy, against arithmetic, and against chance."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from mooring_components.drift import statistics
from scipy import stats

# scipy divides by the size of samples that it does not look at.
pytestmark = pytest.mark.filterwarnings("ignore:divide by zero")

values = st.one_of(
    st.floats(allow_nan=False, width=32),
    st.sampled_from([0.0, -0.0, 1.0, np.inf, -np.inf, 1e-300]),
    st.integers(-3, 3),
)
samples = arrays.arrays(np.float64, st.integers(1, 60), elements=values.map(float))


@settings(max_examples=500, deadline=None)
@given(samples, samples)
def test_the_distance_is_scipys_to_the_last_bit(baseline, window):
    distance, p_value = statistics.kolmogorov_smirnov(baseline, window)
    assert distance == stats.ks_2samp(baseline, window, method="asymp").statistic
    assert 0 <= p_value <= 1


@pytest.mark.parametrize(("rows", "window"), [(400, 300), (2000, 1000), (30_000, 20_000)])
def test_the_p_value_is_close_to_scipys(rows, window):
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=rows), rng.normal(0.06, size=window)
    ours = statistics.kolmogorov_smirnov(first, second)[1]
    scipys = stats.ks_2samp(first, second, method="asymp" if rows > 10_000 else "exact").pvalue
    assert ours == pytest.approx(scipys, rel=0.05)


def test_the_stability_index_is_what_arithmetic_gives():
    baseline, window = np.repeat([0.0, 1.0], [60, 40]), np.repeat([0.0, 1.0], [30, 70])
    share, other = np.array([60.5, 40.5]) / 101, np.array([30.5, 70.5]) / 101
    by_hand = np.sum((other - share) * np.log(other / share))
    assert statistics.population_stability_index(baseline, window)[0] == pytest.approx(by_hand)


def test_values_outside_the_baselines_range_count():
    baseline = np.random.default_rng(2).uniform(0, 1, 5000)
    window = np.random.default_rng(3).uniform(0, 1, 1000)
    window[:300] += 10
    index, p_value = statistics.population_stability_index(baseline, window)
    assert index > 0.4
    assert p_value < 1e-10


def test_a_constant_that_becomes_another_is_found():
    index, p_value = statistics.population_stability_index(np.full(500, 1.0), np.full(200, 2.0))
    assert index > 1
    assert p_value < 1e-10


def test_a_constant_that_stays_is_no_drift():
    assert statistics.population_stability_index(np.full(500, 1.0), np.full(200, 1.0)) == (0.0, 1.0)


def test_an_unseen_rare_category_proves_nothing():
    baseline = np.array(["a", "b"] * 500, dtype=object)
    window = np.array(["a", "b"] * 100 + ["new"], dtype=object)
    (_, p_value), _ = statistics.categories(baseline, window)
    assert p_value > 0.05


def test_categories_that_change_places_are_found():
    baseline = np.repeat(np.array(["a", "b"], dtype=object), [900, 100])
    window = np.repeat(np.array(["a", "b"], dtype=object), [100, 200])
    (_, p_value), (index, _) = statistics.categories(baseline, window)
    assert p_value < 1e-10
    assert index > 0.2


@given(arrays.arrays(np.float64, st.integers(1, 40), elements=st.floats(0, 1)), st.floats(0.001, 0.5))
def test_the_correction_for_many_features_is_scipys(p_values, rate):
    assert (
        statistics.benjamini_hochberg(p_values, rate) == (stats.false_discovery_control(p_values) <= rate)
    ).all() or np.any(np.isclose(stats.false_discovery_control(p_values), rate))


def test_missing_values_are_compared_as_shares():
    assert statistics.missing_rate(0, 10_000, 0, 500) == 1.0
    assert statistics.missing_rate(1000, 10_000, 60, 500) > 0.05
    assert statistics.missing_rate(1000, 10_000, 110, 500) < 1e-6
