"""How many processes a run takes for itself."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mooring_inference.score import sizing
from mooring_inference.score.folders import local_folder
from mooring_inference.score.job import Job
from mooring_inference.score.sizing import choose_workers, count_parts


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    with (folder / "model.onnx").open("wb") as file:
        file.truncate(300 << 20)
    return folder


@pytest.mark.parametrize(
    ("cores", "parts", "memory", "workers"),
    [
        (8, 100, "max", 8),
        (8, 3, "max", 3),
        (1, 100, "max", 1),
        (8, 100, str(2000 << 20), 2),  # 900 MiB each
        (8, 100, str(500 << 20), 1),  # not even one would fit, by this measure
    ],
)
def test_workers_are_bounded_by_cores_parts_and_memory(
    tmp_path, monkeypatch, model, cores, parts, memory, workers
):
    monkeypatch.setattr(sizing, "gpu_is_present", lambda: False)
    monkeypatch.setattr(sizing.os, "sysconf", {"SC_PAGE_SIZE": 1 << 12, "SC_PHYS_PAGES": 1 << 24}.get)
    (tmp_path / "memory.max").write_text(memory)
    chosen = choose_workers(
        cores=cores, model_dir=model, device="auto", parts=lambda: parts, cgroup_root=tmp_path
    )
    assert chosen == workers


@pytest.mark.parametrize(("device", "present"), [("cuda", False), ("cuda:1", True), ("auto", True)])
def test_a_gpu_has_one_worker(monkeypatch, model, device, present):
    monkeypatch.setattr(sizing, "gpu_is_present", lambda: present)
    assert choose_workers(cores=8, model_dir=model, device=device, parts=lambda: 100) == 1


def test_parts_are_counted_as_far_as_it_matters(tmp_path):
    for name, rows in (("a", 0), ("b", 5), ("c", 11)):
        pq.write_table(pa.table({"x": range(rows)}), tmp_path / f"{name}.parquet")
    (tmp_path / "d.csv").write_text("x\n1\n")
    folder = local_folder(tmp_path)

    def count(shards, most):
        return count_parts(Job(folder, folder.list(), folder, part_rows=5, shards=shards), most)

    assert count(1, 100) == 1 + 1 + 3 + 1
    assert count(2, 100) == 3
    assert count(4, 100) == 2
    assert count(1, 3) == 3
    (tmp_path / "a.parquet").write_bytes(b"no longer readable")
    assert count(1, 3) == 3, "with as many files as workers none is opened"
