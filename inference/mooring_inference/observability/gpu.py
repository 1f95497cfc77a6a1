"""Memory and use of NVIDIA GPUs, by NVML where the package nvidia-ml-py and the driver are there."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client.core import GaugeMetricFamily, Metric

log = logging.getLogger(__name__)

_LABELS = ("gpu", "uuid", "name")


def find_gpus() -> GpuMetrics | None:
    """Return the GPUs that this process can see; None without nvidia-ml-py, a driver or a GPU."""
    try:
        nvml = importlib.import_module("pynvml")
    except ImportError:
        return None
    try:
        nvml.nvmlInit()
        gpus = GpuMetrics(nvml)
    except nvml.NVMLError as exc:
        log.debug("no GPU metrics", extra={"fields": {"reason": str(exc)}})
        return None
    return gpus if gpus.count else None


class GpuMetrics:
    """Gauges of all visible GPUs; what a GPU does not tell, such as the use of a MIG slice, has no series."""

    def __init__(self, nvml: Any) -> None:
        """Find the GPUs.

        Args:
            nvml: the module pynvml, initialised.
        """
        self._nvml = nvml
        self._gpus: list[tuple[Any, tuple[str, str, str]]] = []
        for index in range(nvml.nvmlDeviceGetCount()):
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            uuid, name = nvml.nvmlDeviceGetUUID(handle), nvml.nvmlDeviceGetName(handle)
            self._gpus.append((handle, (str(index), _text(uuid), _text(name))))

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._gpus)

    def collect(self) -> Iterator[Metric]:
        """Yield the metric families, measured now; about 0.1 ms for each GPU."""
        nvml = self._nvml
        yield self._gauge(
            "mooring_inference_gpu_memory_used_bytes",
            "GPU memory in use, by all processes.",
            lambda handle: nvml.nvmlDeviceGetMemoryInfo(handle).used,
        )
        yield self._gauge(
            "mooring_inference_gpu_memory_total_bytes",
            "GPU memory.",
            lambda handle: nvml.nvmlDeviceGetMemoryInfo(handle).total,
        )
        yield self._gauge(
            "mooring_inference_gpu_utilization_ratio",
            "Share of the last sample period in which a kernel ran, 0 to 1.",
            lambda handle: nvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100,
        )

    def _gauge(self, name: str, documentation: str, measure: Callable[[Any], float]) -> Metric:
        family = GaugeMetricFamily(name, documentation, labels=_LABELS)
        for handle, labels in self._gpus:
            try:
                family.add_metric(labels, float(measure(handle)))
            except self._nvml.NVMLError:
                continue
        return family


def _text(value: str | bytes) -> str:
    """Return text, where older releases of nvidia-ml-py give bytes."""
    return value.decode() if isinstance(value, bytes) else value
