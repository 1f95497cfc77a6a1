"""A prepared baseline gives what reading both sides gives."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from mooring_components.drift.comparison import Detectors
from mooring_components.drift.evaluation import evaluate
from mooring_components.drift.prepared import PreparedBaseline, count_window, prepare_numbers
from scipy.stats import ks_2samp

KINDS = {
    "normal": lambda rng, n: rng.standard_normal(n),
    "few integers": lambda rng, n: rng.integers(-3, 4, n) * 1.0,
    "many integers": lambda rng, n: rng.integers(0, 10 ** rng.integers(1, 16), n) * 1.0,
    "Cauchy": lambda rng, n: rng.standard_cauchy(n) * 10.0 ** rng.integers(-5, 9),
    "infinities": lambda rng, n: rng.choice([np.inf, -np.inf, 0.5, 1.5, 2.5], n),
    "mostly zero": lambda rng, n: np.where(rng.random(n) < 0.7, 0.0, rng.lognormal(0, 3, n)),
    "any scale": lambda rng, n: rng.standard_normal(n) * 10.0 ** rng.integers(-310, 308),
    "largest": lambda rng, n: rng.choice([1e308, -1e308], n) * rng.random(n),
    "far away": lambda rng, n: 1e9 + rng.standard_normal(n) * 1e-6,
}


@pytest.mark.filterwarnings("ignore:divide by zero")
@pytest.mark.filterwarnings("ignore:overflow encountered")
@pytest.mark.parametrize("kind", KINDS)
def test_the_distance_is_scipys_to_the_last_bit(kind):
    for seed in range(150):
        rng = np.random.default_rng(seed)
        rows = rng.choice([1, 2, 5, 30, 300, 5000]), rng.choice([1, 2, 7, 50, 500, 3000])
        before, now = (KINDS[kind](rng, size) for size in rows)
        now = (rng.choice(before, rows[1]) if rng.random() < 0.3 else now) + (0.2 if seed % 5 == 0 else 0.0)
        for precision in (np.float64, np.float32):
            sides = before.astype(precision), now.astype(precision)
            distance, counted = count_window(prepare_numbers("x", sides[0]), sides[1])
            assert distance == ks_2samp(*sides, method="asymp").statistic
            assert counted.sum() == rows[1]


NUMBERS = arrays.arrays(np.float64, st.integers(1, 80), elements=st.floats(allow_nan=False))


@pytest.mark.filterwarnings("ignore:overflow encountered")
@pytest.mark.filterwarnings("ignore:divide by zero")
@settings(max_examples=300, deadline=None)
@given(NUMBERS, NUMBERS)
def test_the_distance_is_scipys_for_any_numbers(before, now):
    distance, _ = count_window(prepare_numbers("x", before), now)
    assert distance == ks_2samp(before, now, method="asymp").statistic


def table(rng, rows, moved, precision=np.float64):
    shift = 0.3 if moved else 0.0
    gaps = rng.standard_normal(rows)
    gaps[rng.random(rows) < 0.1 + shift] = np.nan
    return pa.table(
        {
            "still": rng.standard_normal(rows).astype(precision),
            "shifted": (rng.standard_normal(rows) + shift).astype(precision),
            "tenths": np.round(rng.standard_normal(rows), 1).astype(precision),
            "gaps": gaps.astype(precision),
            "codes": rng.integers(0, 6, rows),
            "many": rng.integers(0, 10_000, rows),
            "infinite": rng.choice([np.inf, 1.5, 2.5, -np.inf], rows),
            "text": rng.choice(["a", "b", "c"], rows),
            "empty": pa.nulls(rows, pa.float64()),
        }
    )


@pytest.mark.parametrize("bins", [10, 7])
def test_every_window_is_judged_as_if_both_sides_had_been_read(bins):
    rng = np.random.default_rng(1)
    before = table(rng, 20_000, False)
    prepared, detectors = PreparedBaseline(before), Detectors(psi_bins=bins)
    for moved in (False, True):
        for precision in (np.float64, np.float32):
            now = table(rng, 1500, moved, precision)
            expected = evaluate(before, now, None, 100, detectors).features
            found = evaluate(prepared, now, None, 100, detectors).features
            assert [(f.name, f.kind, f.rows, f.drifted, f.missing) for f in found] == [
                (f.name, f.kind, f.rows, f.drifted, f.missing) for f in expected
            ]
            for ours, theirs in zip(found, expected, strict=True):
                assert (ours.ks, ours.variation) == (theirs.ks, theirs.variation)
                assert ours.psi == theirs.psi
                assert ours.hint == theirs.hint
