"""Evaluations: what is called drift, how often wrongly, and what people are told about bad input."""

import asyncio
import sys
from contextlib import suppress

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mooring_components.drift.evaluation import Detectors, EvaluationError, evaluate
from mooring_operator.adapters.drift import (
    ChildProcessEvaluations,
    DriftRequest,
    EvaluationFailed,
    EvaluationUnavailable,
)

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


def test_at_most_one_in_twenty_quiet_windows_alarms(baseline):
    alarms = [
        bool(drifted(evaluate(baseline, table(1000, seed), None, 100, Detectors()))) for seed in range(1, 41)
    ]
    assert sum(alarms) <= 2


def test_a_small_shift_in_three_of_fifty_features_is_found_and_named(baseline):
    for seed in range(1, 6):
        found = drifted(
            evaluate(baseline, table(2000, 100 + seed, shift=0.2, shifted=3), None, 100, Detectors())
        )
        assert {"f00", "f01", "f02"} <= set(found)
        assert len(found) <= 4


def test_missing_values_do_not_hide_a_shift():
    before = pa.table({"x": np.random.default_rng(1).normal(size=5000)})
    now = np.random.default_rng(2).normal(3, size=1000)
    now[0] = np.nan
    assert drifted(evaluate(before, pa.table({"x": now}), None, 100, Detectors())) == ["x"]


def test_more_missing_values_are_drift_of_their_own():
    rng = np.random.default_rng(3)
    before, now = rng.normal(size=5000), rng.normal(size=1000)
    now[:200] = np.nan
    [feature] = evaluate(pa.table({"x": before}), pa.table({"x": now}), None, 100, Detectors())
    assert feature.drifted
    assert feature.reason.startswith("missing 0.0% -> 20.0%")
    assert feature.missing == pytest.approx(0.2)


def test_one_detector_alone_can_be_asked_for(baseline):
    window = table(1000, 9, shift=2.0, shifted=1)
    [only_ks, only_psi] = [
        evaluate(baseline, window, ["f00"], 100, detectors)[0]
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
        (pa.table({"z": [1.0] * 100}), None, "FeatureMissing", "no column in common"),
        (
            pa.table({"x": ["a"] * 100}),
            None,
            "TypeMismatch",
            "double in the baseline and string in the window",
        ),
    ],
)
def test_what_cannot_be_compared_is_said(window, features, reason, said):
    with pytest.raises(EvaluationError) as raised:
        evaluate(pa.table({"x": [1.0, 2.0] * 100}), window, features, 100, Detectors())
    assert raised.value.reason == reason
    assert said in raised.value.message


def request(baseline_uri, window_uri):
    return DriftRequest(baseline_uri, window_uri, (), 100, 0.01, 0.2, 10)


async def test_a_child_process_evaluates_parquet_files(tmp_path):
    pq.write_table(table(2000, 0), tmp_path / "baseline.parquet")
    (tmp_path / "window").mkdir()
    for part in range(2):
        pq.write_table(table(300, part + 1, shift=1.0, shifted=2), tmp_path / "window" / f"{part}.parquet")
    asked = request(f"file://{tmp_path}/baseline.parquet", f"file://{tmp_path}/window")
    found = await ChildProcessEvaluations().evaluate(asked)
    assert (found.baseline_rows, found.window_rows) == (2000, 600)
    assert [f.name for f in found.features if f.drifted] == ["f00", "f01"]
    assert found.window_digest.startswith("sha256:")


async def test_what_is_wrong_with_the_files_is_a_failure_with_a_reason(tmp_path):
    (tmp_path / "broken.parquet").write_bytes(b"no parquet")
    pq.write_table(table(200, 0), tmp_path / "good.parquet")
    good, broken, gone = (f"file://{tmp_path}/{name}.parquet" for name in ("good", "broken", "gone"))
    for asked, reason in (
        (request(gone, good), "BaselineUnreadable"),
        (request(good, broken), "WindowUnreadable"),
        (request(good, "ftp://x/y"), "WindowUnreadable"),
    ):
        with pytest.raises(EvaluationFailed) as raised:
            await ChildProcessEvaluations().evaluate(asked)
        assert raised.value.reason == reason
        assert raised.value.message.startswith("spec.")


async def test_a_process_that_hangs_is_ended():
    slow = ChildProcessEvaluations(timeout=0.5, command=(sys.executable, "-c", "import time; time.sleep(60)"))
    with pytest.raises(EvaluationUnavailable, match=r"longer than 0\.5 s"):
        await slow.evaluate(request("file:///a", "file:///b"))
    assert not _children()


async def test_a_process_that_crashes_is_reported_by_its_last_line():
    crashing = ChildProcessEvaluations(command=(sys.executable, "-c", "raise SystemExit('out of memory')"))
    with pytest.raises(EvaluationUnavailable, match="exit code 1: out of memory"):
        await crashing.evaluate(request("file:///a", "file:///b"))


async def test_a_cancelled_evaluation_leaves_no_process():
    slow = ChildProcessEvaluations(command=(sys.executable, "-c", "import time; time.sleep(60)"))
    task = asyncio.create_task(slow.evaluate(request("file:///a", "file:///b")))
    async with asyncio.timeout(10):
        while not _children():
            await asyncio.sleep(0.01)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert not _children()


def _children():
    return [child for child in psutil.Process().children() if "time.sleep(60)" in " ".join(child.cmdline())]
