"""Large baselines are compared without being sorted, and everything is what sorting gives."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from mooring_components.drift import cells, statistics
from scipy.stats import ks_2samp

pytestmark = [
    pytest.mark.filterwarnings("ignore:divide by zero"),
    pytest.mark.filterwarnings("ignore:overflow encountered"),
]
CASES = 230
"""Of each kind; each is compared at two precisions and by two ways."""

KINDS = {
    "normal": lambda rng, n: rng.standard_normal(n),
    "few integers": lambda rng, n: rng.integers(-3, 4, n) * 1.0,
    "many integers": lambda rng, n: rng.integers(0, 10 ** rng.integers(1, 16), n) * 1.0,
    "constant": lambda rng, n: np.full(n, rng.integers(0, 3) * 1.0),
    "Cauchy": lambda rng, n: rng.standard_cauchy(n) * 10.0 ** rng.integers(-5, 9),
    "infinities": lambda rng, n: rng.choice([np.inf, -np.inf, 0.5, 1.5, 2.5], n),
    "rounded": lambda rng, n: np.round(rng.standard_normal(n), rng.integers(0, 4)),
    "mostly zero": lambda rng, n: np.where(rng.random(n) < 0.7, 0.0, rng.lognormal(0, 3, n)),
    "any scale": lambda rng, n: rng.standard_normal(n) * 10.0 ** rng.integers(-310, 308),
    "largest": lambda rng, n: rng.choice([1e308, -1e308], n) * rng.random(n),
    "far away": lambda rng, n: 1e9 + rng.standard_normal(n) * 1e-6,
}


def draw(kind, seed):
    """Two samples of a kind, or of two, of which one may be drawn from the other or be shifted."""
    rng = np.random.default_rng(seed)
    rows = rng.choice([1, 2, 5, 30, 300, 3000]), rng.choice([1, 2, 7, 50, 500, 2000])
    other = kind if rng.random() < 0.8 else str(rng.choice(list(KINDS)))
    before, now = KINDS[kind](rng, rows[0]), KINDS[other](rng, rows[1])
    if rng.random() < 0.3:
        now = rng.choice(before, rows[1])
    return before, now + (0.2 if rng.random() < 0.2 else 0.0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_distance_is_scipys_to_the_last_bit(kind):
    by_cells = 0
    for seed in range(CASES):
        for precision in (np.float64, np.float32):
            before, now = (side.astype(precision) for side in draw(kind, seed))
            expected = ks_2samp(before, now, method="asymp").statistic
            assert statistics.place(before, now).distance == expected
            ranks = statistics.quantile_ranks(len(before), 10)
            placed = cells.place_in_cells(before, np.sort(now), ranks)
            if placed is not None:
                by_cells += 1
                assert placed.distance == expected
    # Where a cell holds most of the rows, or the scale is none, sorting is what remains.
    assert by_cells > 0 or kind in ("constant", "infinities", "largest", "far away")


@pytest.mark.parametrize("kind", KINDS)
def test_quantiles_bins_and_ranks_are_those_of_the_sorted_rows(kind):
    for seed in range(CASES):
        before, now = draw(kind, seed)
        ranks = statistics.quantile_ranks(len(before), 64)
        placed = cells.place_in_cells(
            before, np.sort(now), np.append(ranks, statistics.quantile_ranks(len(before), 7))
        )
        if placed is None:
            continue
        whole = statistics.place(before, now)
        np.testing.assert_array_equal(placed.baseline.at(ranks), whole.baseline.at(ranks))
        for ours, theirs in zip(statistics.bin_rows(placed, 7), statistics.bin_rows(whole, 7), strict=True):
            np.testing.assert_array_equal(ours, theirs)
        assert abs(placed.shift) <= placed.distance + 1e-12


def test_large_baselines_are_compared_in_cells_and_come_to_the_same():
    rng = np.random.default_rng(1)
    for draw_rows in (rng.standard_normal, lambda n: rng.integers(0, 400, n) * 1.0, rng.standard_cauchy):
        before, now = draw_rows(200_000), draw_rows(20_000)
        ranks = statistics.quantile_ranks(len(before), 64)
        placed, whole = cells.place_in_cells(before, np.sort(now), ranks), statistics.place(before, now)
        assert placed is not None
        assert len(placed.baseline.values) < 20_000
        assert placed.distance == whole.distance
        assert placed.shift == pytest.approx(whole.shift, abs=1e-4)


@settings(max_examples=300, deadline=None)
@given(
    arrays.arrays(np.float64, 200, elements=st.floats(allow_nan=False)),
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(1e-300, 1e300),
)
def test_the_map_to_cells_is_monotone(values, centre, scale):
    grid = cells.Grid(centre, scale, 1 << 14)
    found = grid.number(np.sort(values))
    assert (np.diff(found) >= 0).all()
    assert found.min() >= 0
    assert found.max() < 1 << 14


def test_the_map_is_monotone_where_quotients_fall_by_a_bit():
    rng = np.random.default_rng(2)
    values = 1 + np.sort(rng.integers(0, 2**52, 500_000)) * 2.0**-52
    values = np.sort(np.concatenate([values, np.nextafter(values, 9)]))
    assert (np.diff(values / (1 + values)) < 0).any()
    assert (np.diff(cells.Grid(0.0, 1.0, 1 << 14).number(values)) >= 0).all()
