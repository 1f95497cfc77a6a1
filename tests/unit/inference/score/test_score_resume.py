"""A run that is killed leaves whole parts, and the next one goes on from there to the same results."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mooring_inference.backends.base import LoadOptions
from mooring_inference.backends.loading import load_model
from mooring_inference.score.convert import Nulls
from mooring_inference.score.folders import Folder, local_folder
from mooring_inference.score.job import Job, pick_files
from mooring_inference.score.part_scorer import PartScorer
from mooring_inference.score.parts import read_manifest
from mooring_inference.score.progress import Progress
from mooring_inference.score.run import run_job

from tests.unit.inference.score_models import sum_and_negative


class Killed(BaseException):
    """Stands for SIGKILL: nothing that runs afterwards may change the folder."""


class MortalFolder(Folder):
    """A local folder whose process dies before or after a change to it, the ``changes``-th."""

    def __init__(self, path: Path, changes: int, *, done: bool) -> None:
        super().__init__(str(path), local_folder(path)._store, "", path)
        self._left = changes
        self._done = done

    def publish(self, finished: Path, path: str) -> None:
        self._change(lambda: super(MortalFolder, self).publish(finished, path))

    def write(self, path: str, content: bytes) -> None:
        self._change(lambda: super(MortalFolder, self).write(path, content))

    def delete(self, path: str) -> None:
        self._change(lambda: super(MortalFolder, self).delete(path))

    def remove_workspace(self, workspace: Path) -> None:
        self._change(lambda: super(MortalFolder, self).remove_workspace(workspace))

    def _change(self, change) -> None:
        self._left -= 1
        if self._left > 0 or (self._left == 0 and self._done):
            change()
        if self._left <= 0:
            raise Killed


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return load_model(sum_and_negative(tmp_path_factory.mktemp("model")), LoadOptions())


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("in")
    numbers = np.arange(23, dtype=np.float64)
    bad = pa.array([None if index % 9 == 4 else 1.0 for index in range(23)])
    pq.write_table(pa.table({"a": numbers, "b": bad}), folder / "a.parquet", row_group_size=7)
    (folder / "b.csv").write_text("a,b\n" + "".join(f"{index},2\n" for index in range(12)) + "x,2\n")
    (folder / "c.jsonl").write_text("".join(json.dumps({"a": index, "b": 3}) + "\n" for index in range(5)))
    return folder


def run(model, source, target, shard, shards):
    files = local_folder(source)
    job = Job(files, pick_files(files.list(), None), target, batch_size=2, part_rows=5, shard=shard,
              shards=shards, nulls=Nulls.REJECT)  # fmt: skip
    with Progress(len(job.files)) as progress:
        workspace = target.make_workspace(f"{shard}-of-{shards}")
        try:
            worker = PartScorer(job, model, "digest", workspace, progress.add_rows)
            try:
                return run_job(job, [worker], progress)
            finally:
                worker.close()
        finally:
            target.remove_workspace(workspace)


def content(target: Path):
    return {
        path.relative_to(target).as_posix(): path.read_bytes() for path in target.rglob("*") if path.is_file()
    }


def whole_parts(target: Path):
    folder = local_folder(target)
    return {
        file.path: (target / file.path).stat().st_ino
        for file in folder.list()
        if not file.path.startswith("_") and read_manifest(folder, file.path) is not None
    }


kills = st.lists(st.tuples(st.integers(0, 1), st.integers(1, 25), st.booleans()), max_size=5)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 2), kills)
def test_after_any_kills_the_next_run_ends_with_what_an_undisturbed_one_has(model, source, shards, kills):
    folder = Path(tempfile.mkdtemp())
    try:
        undisturbed, target = folder / "undisturbed", folder / "out"
        for path in (undisturbed, target):
            path.mkdir()
        for shard in range(shards):
            run(model, source, local_folder(undisturbed), shard, shards)
        expected = content(undisturbed)
        for shard, changes, done in kills:
            before = whole_parts(target)
            try:
                run(model, source, MortalFolder(target, changes, done=done), shard % shards, shards)
            except Killed:
                seen = {name: data for name, data in content(target).items() if not name.startswith("_")}
                assert seen.items() <= expected.items(), "what is seen is whole and right"
            assert before.items() <= whole_parts(target).items(), "what was done is not done again"
        for shard in range(shards):
            before = whole_parts(target)
            run(model, source, local_folder(target), shard, shards)
            assert before.items() <= whole_parts(target).items()
        assert content(target) == expected
    finally:
        shutil.rmtree(folder)
