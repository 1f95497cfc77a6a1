"""Runs of several worker processes, and what happens when some process is ended from outside.

A named pipe in the place of a part stops whoever comes to it, so that it is known where a process is ended: each
worker has a file of its own, and stops within it.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mooring_artifacts.loaded_files import hash_loaded
from mooring_inference.score import command
from mooring_inference.score.arguments import hash_model
from mooring_inference.score.command import main

from tests.unit.inference.score_models import sum_and_negative

FILES, PARTS, ROWS = "abc", 6, 50
ALL_ROWS = len(FILES) * PARTS * ROWS


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return sum_and_negative(tmp_path_factory.mktemp("model"))


@pytest.fixture
def flags(model, tmp_path):
    (tmp_path / "in").mkdir()
    for index, name in enumerate(FILES):
        rows = np.arange(index * PARTS * ROWS, (index + 1) * PARTS * ROWS, dtype=np.float64)
        table = pa.table({"a": rows, "b": np.ones(len(rows))})
        pq.write_table(table, tmp_path / "in" / f"{name}.parquet", row_group_size=70)
    return [f"--model_dir={model}", f"--input={tmp_path / 'in'}", f"--output={tmp_path / 'out'}",
            f"--max_rows_per_file={ROWS}", "--batch_size=16"]  # fmt: skip


def part(target: Path, name: str, number: int) -> Path:
    return target / f"{name}.parquet-part-{number:05d}.parquet"


def done(target: Path) -> dict[Path, int]:
    """The parts that are there, with what changes when they are written again."""
    return {path: path.stat().st_ino for path in target.glob("*.parquet") if path.is_file()}


def totals(target: Path) -> list[float]:
    parts = [part(target, name, number) for name in FILES for number in range(PARTS)]
    return [row for path in parts for row in pq.read_table(path)["total"].to_pylist()]


def wait_until(condition, process=None):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        assert process is None or process.poll() is None, process.stderr.read()
        time.sleep(0.005)


def without_progress(said: str) -> str:
    """What was said, but for how far the run is: a slow machine is told after ten seconds."""
    return re.sub(r"^file \d+ of \d+: .*\n", "", said, flags=re.MULTILINE)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@contextmanager
def stopped_run(flags, target: Path, *, workers: int, stop: int):
    """Yield a process of workers that have done ``stop`` parts each, and are stuck at the next one."""
    target.mkdir()
    pipes = [part(target, name, stop) for name in FILES]
    for pipe in pipes:
        os.mkfifo(pipe)
    script = [sys.executable, "-m", "mooring_inference", "score", *flags, f"--workers={workers}"]
    process = subprocess.Popen(script, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: workers == 1 or len(children(process.pid)) == workers, process)
        wait_until(lambda: len(done(target)) == workers * stop, process)
        yield process
    finally:
        process.kill()
        process.communicate()
        for pipe in pipes:
            pipe.unlink()


def check_rest(flags, target: Path, before: dict[Path, int]):
    """Run to the end and see that what was done is kept and that all rows are there."""
    assert not (target / "_SUCCESS").exists()
    assert main([*flags, "--workers=1"]) == 0
    assert before.items() <= done(target).items()
    assert totals(target) == [index + 1.0 for index in range(ALL_ROWS)]
    assert not (target / "_temporary").exists()


def test_several_processes_give_what_one_gives(flags, tmp_path, capsys):
    target = tmp_path / "out"
    assert main([*flags, "--workers=3", "--threads=1"]) == 0
    assert f"{ALL_ROWS} rows in, {ALL_ROWS} scored, 0 bad; 18 files" in capsys.readouterr().out
    assert totals(target) == [index + 1.0 for index in range(ALL_ROWS)]
    before = done(target)
    assert main([*flags, "--workers=2"]) == 0
    assert "18 of them done before" in capsys.readouterr().out
    assert done(target) == before


def test_shards_of_several_processes_share_the_work(flags, tmp_path):
    target = tmp_path / "out"
    assert main([*flags, "--workers=2", "--shard=1/2"]) == 0
    assert sorted(done(target)) == [
        part(target, name, number)
        for index, name in enumerate(FILES)
        for number in range(PARTS)
        if (index + number) % 2
    ]
    assert not (target / "_SUCCESS").exists()
    assert main([*flags, "--workers=2", "--shard=0/2"]) == 0
    assert (target / "_SUCCESS").exists()
    assert totals(target) == [index + 1.0 for index in range(ALL_ROWS)]


def test_the_model_is_loaded_once_however_many_parts_there_are(flags, tmp_path, monkeypatch):
    loaded = []
    load = command.load_worker
    monkeypatch.setattr(command, "load_worker", lambda *args: loaded.append(1) or load(*args))
    assert main([*flags, "--workers=1"]) == 0
    assert len(loaded) == 1
    assert len(done(tmp_path / "out")) == len(FILES) * PARTS


@pytest.mark.parametrize("workers", [1, 2])
def test_no_worker_goes_on_with_other_files_than_the_run_hashed(
    flags, model, tmp_path, monkeypatch, capsys, workers
):
    root = tmp_path / "model"
    shutil.copytree(model, root)
    hashed = []

    def hash_and_replace(args):
        hashed.append(hash_model(args))
        sum_and_negative(root)
        return hashed[-1]

    monkeypatch.setattr(command, "hash_model", hash_and_replace)
    digest = hash_loaded(root).digest
    assert main([*flags, f"--workers={workers}", f"--model_dir={root}", f"--model_digest={digest}"]) == 1
    assert [each.digest for each in hashed] == [digest]
    assert f"in {root} was changed while the run began; start it again" in capsys.readouterr().err
    assert not done(tmp_path / "out")


@pytest.mark.parametrize(("workers", "stop"), [(1, 0), (1, 4), (2, 0), (2, 5), (3, 3)])
def test_a_killed_run_leaves_whole_parts_and_no_process_and_goes_on_from_there(
    flags, tmp_path, workers, stop
):
    target = tmp_path / "out"
    with stopped_run(flags, target, workers=workers, stop=stop) as process:
        started = children(process.pid)
        assert len(started) == (workers if workers > 1 else 0)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        wait_until(lambda: not any(map(is_running, started)))
        before = done(target)
        assert all(pq.read_table(path).num_rows == ROWS for path in before)
    check_rest(flags, target, before)


def test_a_killed_worker_ends_the_run_with_one_line_and_the_next_run_goes_on(flags, tmp_path):
    target = tmp_path / "out"
    with stopped_run(flags, target, workers=2, stop=4) as process:
        started = children(process.pid)
        os.kill(started[0], signal.SIGKILL)
        said = without_progress(process.communicate()[1])
        assert process.returncode == 1
        assert said == (
            "mooring-inference score: a worker process was ended by SIGKILL, for lack of memory perhaps: "
            "try fewer --workers; the same command goes on from here\n"
        )
        assert not any(map(is_running, started))
        before = done(target)
    check_rest(flags, target, before)


def test_sigterm_ends_a_run_with_its_workers_and_removes_what_is_unfinished(flags, tmp_path):
    target = tmp_path / "out"
    with stopped_run(flags, target, workers=2, stop=4) as process:
        started = children(process.pid)
        process.terminate()
        assert process.wait() == 128 + signal.SIGTERM
        assert without_progress(process.stderr.read()) == ""
        assert not any(map(is_running, started))
        assert not (target / "_temporary").exists()
        before = done(target)
    check_rest(flags, target, before)


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        (["--outputs=nope"], 2, "--outputs: the model has no output nope; it has total, negative"),
        (["--columns=a,nope"], 2, "there is no column nope; there are a, b"),
        (["--device=cuda:7"], 1, "CUDA"),
    ],
)
def test_what_workers_cannot_do_is_said_once(flags, capfd, change, code, message):
    assert main([*flags, "--workers=2", *change]) == code
    said = without_progress(capfd.readouterr().err)
    assert said.startswith("mooring-inference score: ")
    assert message in said
    assert said.count("\n") == 1


def test_a_file_that_cannot_be_read_ends_the_run_by_its_name(flags, tmp_path, capfd):
    (tmp_path / "in" / "torn.parquet").write_bytes(b"PAR1 not really")
    assert main([*flags, "--workers=2"]) == 1
    said = without_progress(capfd.readouterr().err)
    assert said.startswith("mooring-inference score: torn.parquet cannot be read as parquet")
    assert said.count("\n") == 1
