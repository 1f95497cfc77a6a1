"""Captured files are windows of a drift evaluation as they are."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from mooring_components.drift.comparison import Detectors
from mooring_components.drift.evaluation import evaluate
from mooring_components.drift.rows import open_rows

from tests.unit.inference.capture.capture_records import SECONDS, capturing, record, signature, spec

SIGNATURE = signature([spec("x", shape=(None, 3)), spec("colour", "BYTES", (None,))])


def capture_rows(folder, shift, seed):
    """2000 rows of traffic, of which the second feature is shifted."""
    random = np.random.default_rng(seed)
    capture = capturing(folder, sig=SIGNATURE, names={"x": ["age", "income", "time"]})
    for number in range(20):
        x = random.normal([0, shift, 0], size=(100, 3))
        values = {"x": x, "colour": random.choice(["red", "blue"], 100)}
        record(capture, f"{seed}-{number}", values, x[:, :1], sig=SIGNATURE)
    capture.labels.record("m", f"{seed}-0", [1.0])
    assert capture.close(SECONDS)
    return open_rows(f"file://{folder}/deployment=m", "WindowUnreadable", "spec.window.uri")


def drifted(baseline, window):
    found = evaluate(baseline, window, None, 100, Detectors()).features
    return {feature.name: feature.drifted for feature in found}


def test_a_captured_window_is_compared_with_a_baseline_of_training_rows(tmp_path):
    random = np.random.default_rng(7)
    table = pa.table(
        {
            "age": random.normal(size=5000),
            "income": random.normal(size=5000),
            "time": random.normal(size=5000),
            "colour": random.choice(["red", "blue"], 5000).astype(object),
            "label": random.integers(0, 2, 5000),
        }
    )
    pq.write_table(table, tmp_path / "baseline.parquet")
    baseline = open_rows(f"file://{tmp_path}/baseline.parquet", "BaselineUnreadable", "spec.baseline.uri")
    window = capture_rows(tmp_path / "window", 0.5, 1)
    assert window.num_rows == 2000
    assert drifted(baseline, window) == {"age": False, "income": True, "time": False, "colour": False}


def test_two_captured_windows_are_compared_by_features_and_predictions_alone(tmp_path):
    first, second = capture_rows(tmp_path / "a", 0.0, 1), capture_rows(tmp_path / "b", 0.5, 2)
    assert drifted(first, second) == {
        "age": False,
        "income": True,
        "time": False,
        "colour": False,
        "prediction.y": False,
    }
