"""How many worker processes a run has, and how many threads each."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from mooring_inference.access.memory_budget import memory_limit
from mooring_inference.backends.devices import gpu_is_present
from mooring_inference.score.folders import StoredFile
from mooring_inference.score.job import Job
from mooring_inference.score.readers import open_reader

# What a worker holds beside its model: libraries and some blocks of rows.
_WORKER_BYTES = 300 << 20
# A loaded model takes its file's size, and again as much while it is loaded and for what it computes.
_LOADED = 2
_CGROUP = Path("/sys/fs/cgroup")


def choose_workers(
    *, cores: int, model_dir: Path, device: str, parts: Callable[[], int], cgroup_root: Path = _CGROUP
) -> int:
    """Return as many workers as there are cores and parts, and as fit in memory; one for a GPU.

    Args:
        cores: usable ones.
        model_dir: the model's folder or file.
        device: what ``--device`` says.
        parts: counts the work, where that matters.
        cgroup_root: where the container's limits stand.
    """
    if device.startswith("cuda") or (device == "auto" and gpu_is_present()):
        return 1
    most = min(cores, _memory(cgroup_root) // (_WORKER_BYTES + _LOADED * _size_of(model_dir)))
    return max(1, min(most, parts())) if most > 1 else 1


def count_parts(job: Job, most: int) -> int:
    """Return how many parts the job's shard has, about; ``most`` where they are as many or more.

    Raises:
        ScoreError: a file cannot be read.
    """
    wanted, parts = most * job.shards, 0
    if len(job.files) >= wanted:
        return most
    for file in job.files:
        if parts >= wanted:
            break
        parts += _parts_of(job, file) if job.is_divisible(file) else 1
    return min(most, -(-parts // job.shards))


def _parts_of(job: Job, file: StoredFile) -> int:
    with closing(open_reader(job.source, file.path, job.kind_of(file), 1)) as reader:
        return max(1, -(-(reader.total or 0) // job.part_rows))


def _size_of(model_dir: Path) -> int:
    files = [model_dir] if model_dir.is_file() else model_dir.rglob("*")
    return sum(path.stat().st_size for path in files if path.is_file())


def _memory(cgroup_root: Path) -> int:
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(machine, memory_limit(cgroup_root) or machine)
