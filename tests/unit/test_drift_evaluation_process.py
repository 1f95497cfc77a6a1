"""Evaluations end to end: files, child processes, and what either does wrong."""

import asyncio
import subprocess
import sys
from contextlib import suppress

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mooring_components.drift.__main__ import answer
from mooring_components.memory import memory_left
from mooring_operator.adapters.drift import (
    ChildProcessEvaluations,
    DriftRequest,
    EvaluationFailed,
    EvaluationUnavailable,
)


def table(rows, seed, shift=0.0, shifted=0):
    values = np.random.default_rng(seed).normal(size=(rows, 50))
    values[:, :shifted] += shift
    return pa.table({f"f{index:02}": values[:, index] for index in range(50)})


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


async def test_files_of_a_folder_may_differ_in_what_they_lack(tmp_path):
    pq.write_table(pa.table({"x": range(300), "y": range(300)}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"x": [float(i) for i in range(300)]}), tmp_path / "b.parquet")
    (tmp_path / "_SUCCESS").touch()
    folder = f"file://{tmp_path}"
    found = await ChildProcessEvaluations().evaluate(request(folder, folder))
    assert [(f.name, f.missing, f.drifted) for f in found.features] == [("x", 0.0, False), ("y", 0.5, False)]


def test_what_is_wrong_with_the_files_is_a_failure_with_a_reason(tmp_path):
    content = bytearray(_parquet(tmp_path / "good.parquet", table(200, 0)).read_bytes())
    content[4:-2000] = b"?" * (len(content) - 2004)
    (tmp_path / "damaged.parquet").write_bytes(content)
    (tmp_path / "broken.parquet").write_bytes(b"no parquet")
    (tmp_path / "empty").mkdir()
    (tmp_path / "mixed").mkdir()
    _parquet(tmp_path / "mixed" / "a.parquet", pa.table({"x": range(200)}))
    _parquet(tmp_path / "mixed" / "b.parquet", pa.table({"x": [[1]] * 200}))
    good, gone, broken, damaged = (
        f"file://{tmp_path}/{name}.parquet" for name in ("good", "gone", "broken", "damaged")
    )
    for baseline, window, reason, said in (
        (gone, good, "BaselineUnreadable", "does not exist"),
        (good, broken, "WindowUnreadable", "is not Parquet"),
        (good, damaged, "WindowUnreadable", "damaged"),
        (good, "ftp://x/y", "WindowUnreadable", "is not allowed"),
        (good, f"file://{tmp_path}/mixed", "WindowUnreadable", "the files differ"),
        (f"file://{tmp_path}/empty", good, "BaselineUnreadable", "does not exist"),
    ):
        question = {
            "baseline": {"uri": baseline},
            "window": {"uri": window},
            "minRows": 100,
            "ks": {"alpha": 0.01},
        }
        error = answer(question)["error"]
        assert error["reason"] == reason
        assert error["message"].startswith(f"spec.{reason.removesuffix('Unreadable').lower()}.uri")
        assert said in error["message"]
        assert "\n" not in error["message"]


async def test_a_failure_passes_through_the_child_process():
    with pytest.raises(EvaluationFailed, match="does not exist") as raised:
        await ChildProcessEvaluations().evaluate(request("file:///no/such", "file:///no/such"))
    assert raised.value.reason == "BaselineUnreadable"


@pytest.mark.parametrize(("memory", "field"), [(1000, "baseline"), (700_000, "window")])
def test_rows_that_the_container_has_no_memory_for_are_a_failure_with_a_reason(tmp_path, memory, field):
    rows = f"file://{_parquet(tmp_path / 'rows.parquet', table(1000, 0))}"
    error = answer({"baseline": {"uri": rows}, "window": {"uri": rows}, "minRows": 100}, memory)["error"]
    assert error["reason"] == "TooLarge"
    assert error["message"].startswith(f"spec.{field}.uri")


@pytest.mark.parametrize(("limit", "left"), [("805306368", 609222656), ("max", None), ("1000", 0)])
def test_what_a_container_has_left_is_its_limit_without_what_is_held(tmp_path, limit, left):
    (tmp_path / "memory.max").write_text(limit + "\n")
    (tmp_path / "memory.stat").write_text("anon 145752064\nfile 12345\n")
    assert memory_left(tmp_path) == left
    assert memory_left(tmp_path / "none") is None


def test_the_child_process_does_not_import_what_takes_long():
    code = "import sys, mooring_components.drift.__main__; print([m for m in sys.modules if m in sys.argv])"
    slow = ["scipy.stats", "scipy.optimize", "pandas"]
    said = subprocess.run([sys.executable, "-c", code, *slow], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


async def test_a_process_that_hangs_is_ended():
    slow = ChildProcessEvaluations(timeout=0.5, command=(sys.executable, "-c", "import time; time.sleep(60)"))
    with pytest.raises(EvaluationUnavailable, match=r"longer than 0\.5 s"):
        await slow.evaluate(request("file:///a", "file:///b"))
    assert not _children()


async def test_a_process_that_crashes_is_reported_by_its_last_line():
    crashing = ChildProcessEvaluations(command=(sys.executable, "-c", "raise SystemExit('out of memory')"))
    with pytest.raises(EvaluationUnavailable, match="exit code 1: out of memory"):
        await crashing.evaluate(request("file:///a", "file:///b"))


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("/no/such/python",), "cannot be started"),
        ((sys.executable, "-c", "print('not { json')"), "is no JSON"),
        ((sys.executable, "-c", "print('[]')"), "is no JSON object"),
        ((sys.executable, "-c", "while True: print('x' * 100_000)"), "more than 16777216 bytes"),
        ((sys.executable, "-c", "import os; os.write(2, b'x' * 10**7); os._exit(3)"), "exit code 3: x{300}$"),
    ],
)
async def test_no_sensible_answer_means_try_later(command, said):
    with pytest.raises(EvaluationUnavailable, match=said):
        await ChildProcessEvaluations(command=command, timeout=60).evaluate(request("file:///a", "file:///b"))


async def test_an_answer_without_end_is_refused_however_busy_the_machine_is():
    endless = (sys.executable, "-c", "while True: print('x' * 100_000)")
    evaluations = ChildProcessEvaluations(command=endless, timeout=60, concurrency=8)
    async with asyncio.timeout(60):
        ended = await asyncio.gather(
            *(evaluations.evaluate(request("file:///a", "file:///b")) for _ in range(16)),
            return_exceptions=True,
        )
    assert {str(error) for error in ended} == {"the evaluation's answer has more than 16777216 bytes"}


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


def _parquet(path, rows):
    pq.write_table(rows, path)
    return path
