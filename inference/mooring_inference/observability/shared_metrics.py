"""Metrics of several worker processes as those of one server.

Each worker writes what it has counted to a file of its own, now and then and before anybody reads; a reader adds the
files up. A worker that takes the place of one that died goes on from its file. What is read so never decreases:
nothing is read that is not in a file, and nothing that is in a file is lost.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mooring_inference.observability.metrics import ServingMetrics

_PAGE = os.sysconf("SC_PAGE_SIZE")


class SharedMetrics:
    """The metrics of one worker, and of all."""

    def __init__(self, own: ServingMetrics, folder: Path, index: int) -> None:
        self._own = own
        self._folder = folder
        self._file = folder / f"worker-{index}.json"
        self._cpu_before = 0.0
        if before := _read(self._file):
            own.restore(before["metrics"])
            self._cpu_before = before["cpu"]

    def publish(self) -> None:
        """Write what was counted; readers see the old file or the new one."""
        content = orjson.dumps({"metrics": self._own.state(), "cpu": self._cpu(), "memory": _memory()})
        unfinished = self._file.with_suffix(".unfinished")
        unfinished.write_bytes(content)
        unfinished.replace(self._file)

    def exposition(self, accept: str = "") -> tuple[bytes, str]:
        """Return all workers' metrics, and the content type."""
        self.publish()
        states = [state for path in sorted(self._folder.glob("worker-*.json")) if (state := _read(path))]
        whole = ServingMetrics.sum(state["metrics"] for state in states)
        whole.register(ProcessMetrics(states))
        return whole.exposition(accept)

    def _cpu(self) -> float:
        used = resource.getrusage(resource.RUSAGE_SELF)
        return self._cpu_before + used.ru_utime + used.ru_stime


class ProcessMetrics(Collector):
    """What all worker processes take together."""

    def __init__(self, states: list[dict[str, Any]]) -> None:
        self._states = states

    def collect(self) -> Iterator[Metric]:
        """Yield the families, for prometheus_client."""
        cpu = sum(state["cpu"] for state in self._states)
        memory = sum(state["memory"] for state in self._states)
        yield CounterMetricFamily("process_cpu_seconds", "CPU time of all workers, seconds.", value=cpu)
        yield GaugeMetricFamily(
            "process_resident_memory_bytes", "Resident memory of all workers, bytes.", value=memory
        )
        yield GaugeMetricFamily("mooring_inference_workers", "Worker processes.", value=len(self._states))


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return None
    return found if isinstance(found, dict) else None


def _memory() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE
