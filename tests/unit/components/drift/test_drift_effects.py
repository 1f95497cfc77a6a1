"""The sizes of differences, against scipy, on rows and on what was counted of them."""

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from mooring_artifacts.window_states import count, prepare
from mooring_components.drift import cells, contingency, effects, statistics, transport
from mooring_components.drift.check import check_files
from mooring_components.drift.comparison import Detectors
from mooring_components.drift.evaluation import NAMES, evaluate
from mooring_components.drift.prepared import PreparedBaseline
from mooring_components.drift.states import evaluate_states
from scipy import stats
from scipy.spatial import distance

samples = arrays.arrays(
    np.float64,
    st.integers(1, 60),
    elements=st.one_of(st.floats(-1e6, 1e6, width=32), st.integers(-3, 3).map(float)),
)
tables = st.integers(1, 12).flatmap(
    lambda size: st.tuples(
        *[
            arrays.arrays(np.float64, size, elements=st.integers(0, 400).map(float)).filter(np.any)
            for _ in range(2)
        ]
    )
)


def feature(before, now, **options):
    [found] = evaluate(
        pa.table({"x": before}), pa.table({"x": now}), None, 100, Detectors(**options)
    ).features
    return found


@settings(max_examples=300, deadline=None)
@given(samples, samples)
def test_how_far_numbers_moved_is_scipys(before, now):
    found = statistics.place(before, now).moved
    assert found == pytest.approx(stats.wasserstein_distance(before, now), rel=1e-9, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(samples, samples)
def test_what_is_certain_of_a_prepared_baseline_and_of_counts_is_never_more(before, now):
    exact = stats.wasserstein_distance(before, now)
    table = pa.table({"x": before})
    [prepared] = evaluate(PreparedBaseline(table), pa.table({"x": now}), None, 1, Detectors()).features
    profile = prepare({"x": before})
    [counted] = evaluate_states(profile, count(profile, {"x": now}), None, 1, Detectors()).features
    assert counted.effects.moved <= prepared.effects.moved + 1e-9
    assert prepared.effects.moved <= exact * (1 + 1e-9) + 1e-9


@pytest.mark.parametrize("precision", [np.float32, np.float64])
@pytest.mark.parametrize(
    "draw",
    [
        lambda rng, n: rng.standard_normal(n),
        lambda rng, n: rng.lognormal(0, 2, n),
        lambda rng, n: rng.integers(0, 400, n) * 1.0,
        lambda rng, n: np.where(rng.random(n) < 0.7, 0.0, rng.random(n)),
    ],
)
def test_large_baselines_are_close_without_being_sorted(draw, precision):
    rng = np.random.default_rng(5)
    before = draw(rng, 60_000).astype(precision)
    now = (draw(rng, 3000) + 2.0).astype(precision)
    now[:30] = 1e6
    exact = stats.wasserstein_distance(before, now)
    found = feature(before, now).effects.moved
    assert exact * (1 - 0.002) <= found <= exact * (1 + 1e-5)
    placed = cells.place_in_cells(before, np.sort(now), np.array([5]))
    assert placed is None or placed.moved == found


def test_counts_know_nothing_of_how_far_beyond_the_baseline_numbers_lie():
    rng = np.random.default_rng(6)
    before, now = rng.random(5000), rng.random(1000)
    now[:100] = 1e9
    profile = prepare({"x": before})
    [counted] = evaluate_states(profile, count(profile, {"x": now}), None, 100, Detectors()).features
    assert feature(before, now).effects.moved == pytest.approx(1e8, rel=1e-3)
    assert 0.03 < counted.effects.moved < 0.06


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("large", [math.inf, 1.7e308])
def test_what_has_no_finite_distance_has_none(large):
    before, now = np.full(200, -large), np.full(200, large)
    before[:20] = now[:20] = 1.0
    assert feature(before, now).effects.moved is None
    assert not math.isfinite(transport.exact(np.sort(before), np.sort(now)))
    profile = prepare({"x": before})
    [counted] = evaluate_states(profile, count(profile, {"x": now}), None, 100, Detectors()).features
    assert counted.effects.moved is None or math.isfinite(counted.effects.moved)


@settings(max_examples=300, deadline=None)
@given(tables)
def test_jensen_and_shannons_distance_is_scipys(sides):
    found = effects.jensen_shannon(*sides)
    # scipy's is the root of a number that rounding may have made negative.
    scipys = np.nan_to_num(distance.jensenshannon(*sides, base=2))
    assert found == pytest.approx(scipys, abs=2e-8)
    assert 0 <= found <= 1
    assert effects.jensen_shannon(*reversed(sides)) == pytest.approx(found, abs=1e-12)


@settings(max_examples=300, deadline=None)
@given(tables)
def test_the_likelihood_ratio_of_frequent_categories_is_scipys(sides):
    before, now = (side + 50 for side in sides)
    found = contingency.likelihood_ratio(before, now)
    if len(before) == 1:
        assert found == (0.0, 1.0)
        return
    scipys = stats.chi2_contingency([before, now], correction=False, lambda_="log-likelihood")
    assert found[0] == pytest.approx(scipys.statistic, rel=1e-6, abs=1e-9)
    assert found[1] == pytest.approx(scipys.pvalue, rel=1e-6, abs=1e-9)
    halved = contingency.likelihood_ratio(2 * before, 2 * now, 2.0)
    assert halved == pytest.approx(found, rel=1e-9, abs=1e-9)


@settings(max_examples=300, deadline=None)
@given(tables)
def test_the_likelihood_ratio_of_rare_categories_is_of_those_that_are_pooled(sides):
    statistic, p_value = contingency.likelihood_ratio(*sides)
    assert statistic >= 0
    assert 0 <= p_value <= 1


def test_one_row_of_an_unseen_category_proves_nothing():
    statistic, p_value = contingency.likelihood_ratio(np.array([500.0, 500, 0]), np.array([50.0, 49, 1]))
    assert (statistic < 0.1, p_value > 0.5) == (True, True)


@settings(max_examples=60, deadline=None)
@given(samples, samples)
def test_rows_out_of_range_are_those_beyond_the_smallest_and_the_largest_of_the_baseline(before, now):
    expected = np.mean((now < before.min()) | (now > before.max()))
    profile = prepare({"x": before})
    state = count(profile, {"x": now})
    for found in (
        evaluate(pa.table({"x": before}), pa.table({"x": now}), None, 1, Detectors()),
        evaluate(PreparedBaseline(pa.table({"x": before})), pa.table({"x": now}), None, 1, Detectors()),
        evaluate_states(profile, state, None, 1, Detectors()),
    ):
        assert found.features[0].effects.out_of_range == pytest.approx(expected, abs=1e-12)


def test_unseen_categories_are_told_on_both_paths_and_missing_values_are_none_of_them():
    before = np.array(["a", "b", None, "a"] * 300, object)
    now = np.array(["a", "new", None, "b", "newer"] * 100, object)
    profile = prepare({"x": before})
    [counted] = evaluate_states(profile, count(profile, {"x": now}), None, 100, Detectors()).features
    rows = feature(pa.array(before), pa.array(now))
    assert rows.effects.unseen == counted.effects.unseen == 0.5
    assert (rows.missing, rows.missing_before) == (pytest.approx(0.2), 0.25)
    # Counted, all that is unseen is one category.
    assert 0 < counted.effects.jensen_shannon <= rows.effects.jensen_shannon + 1e-12
    assert counted.effects.likelihood_ratio[1] < 1e-6
    assert rows.effects.out_of_range is None
    assert rows.effects.moved is None


def test_times_have_no_distance_in_a_unit_that_nobody_sees():
    at = pa.array(range(200), pa.timestamp("us"))
    [found] = evaluate(pa.table({"x": at}), pa.table({"x": at}), ["x"], 100, Detectors()).features
    assert (found.effects.moved, found.effects.out_of_range) == (None, 0.0)


def test_where_one_side_has_no_value_there_is_nothing_to_measure():
    found = feature(np.arange(200.0), pa.nulls(200, pa.float64()))
    assert found.effects == effects.Effects()
    assert found.test == "Missing"


def test_the_test_that_decided_is_named_and_none_where_nothing_drifted():
    rng = np.random.default_rng(7)
    before, gaps = rng.standard_normal(5000), rng.standard_normal(1000)
    gaps[:300] = np.nan
    assert feature(before, rng.standard_normal(1000)).test == ""
    assert feature(before, gaps).test == "Missing"
    assert feature(before, rng.standard_normal(1000) + 0.3).test == "Rank"
    assert feature(before, 3 * rng.standard_normal(1000)).test in ("KolmogorovSmirnov", "PopulationStability")
    assert feature(before, rng.standard_normal(1000) + 2, ks=False).test == "PopulationStability"
    text = [
        list(rng.choice(["a", "b"], rows, p=[share, 1 - share])) for rows, share in ((5000, 0.5), (1000, 0.8))
    ]
    assert feature(*text).test == "ChiSquare"
    assert len(set(NAMES.values())) == 5


def test_sizes_decide_nothing():
    """Rows far beyond the baseline, too few to be drift, are shown and are none."""
    rng = np.random.default_rng(8)
    before, now = rng.standard_normal(20_000), rng.standard_normal(1000)
    now[0] = 1e6
    found = feature(before, now)
    assert not found.drifted
    assert found.effects.out_of_range >= 0.001
    assert found.effects.moved > 900


def test_the_document_of_two_files_has_them(tmp_path):
    rng = np.random.default_rng(9)
    for name, values in (("before", rng.random(300)), ("now", rng.random(300) + 0.5)):
        (tmp_path / f"{name}.csv").write_text("x\n" + "\n".join(map(str, values)))
    found = check_files(tmp_path / "before.csv", tmp_path / "now.csv").document()["features"][0]
    assert found["test"] in NAMES.values()
    assert found["wasserstein"] == pytest.approx(0.5, abs=0.05)
    assert found["outOfRange"] == pytest.approx(0.5, abs=0.1)
    assert 0.4 < found["jensenShannon"] < 0.9
    assert (found["missingBefore"], found["unseen"], found["likelihoodRatio"]) == (0.0, None, None)
