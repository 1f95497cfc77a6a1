"""E-values are at most one on average without drift, also against one small baseline, and large with it."""

import numpy as np
import pyarrow as pa
import pytest
from mooring_components.drift.comparison import Detectors
from mooring_components.drift.evaluation import evaluate
from mooring_components.drift.evidence import LARGEST, calibrate
from mooring_components.drift.prepared import PreparedBaseline
from scipy.integrate import quad


def table(rng, rows, shift=0.0):
    gaps = rng.standard_normal(rows)
    gaps[rng.random(rows) < 0.1 + shift] = np.nan
    return pa.table(
        {
            "number": rng.standard_normal(rows) + shift,
            "text": rng.choice(["a", "b", "c", "d"], rows, p=[0.25 + shift, 0.25 - shift, 0.25, 0.25]),
            "codes": rng.integers(0, 9, rows) + 4 * (rng.random(rows) < shift),
            "gaps": gaps,
        }
    )


def e_values(before, windows):
    prepared = PreparedBaseline(before)
    found = [evaluate(prepared, window, None, 50, Detectors()).features for window in windows]
    return np.array([[feature.e_value for feature in features] for features in found])


def test_a_uniform_p_value_becomes_one_on_average():
    mean, _ = quad(lambda log: calibrate(np.exp(log)) * np.exp(log), -690, 0, limit=500)
    assert mean == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("rows", [300, 3000, 10_000])
def test_quiet_windows_say_no_more_than_one_on_average_whatever_the_baseline(rows):
    rng = np.random.default_rng(rows)
    logs = []
    for _ in range(4):
        before = table(rng, rows)
        found = e_values(before, [table(rng, 300) for _ in range(60)])
        # Against one baseline, again and again: evidence that multiplies has to fall.
        logs.append(np.log(found).mean(axis=0))
    assert np.max(logs) < 0


def test_drift_is_evidence_in_every_kind_of_feature():
    rng = np.random.default_rng(2)
    for rows in (3000, 50_000):
        found = e_values(table(rng, rows), [table(rng, 2000, 0.2)])
        assert (found > 100).all()
        assert (found <= LARGEST).all()


def test_windows_without_values_and_tests_that_are_not_made():
    rng = np.random.default_rng(3)
    before, window = table(rng, 5000).select(["number"]), pa.table({"number": np.full(300, np.nan)})
    assert e_values(before, [window])[0, 0] == LARGEST
    same = evaluate(before, before, None, 50, Detectors(ks=False, psi_threshold=None)).features
    assert same[0].e_value == 0.0
