"""Gauges of GPUs: of real ones where there are any, else of a module that speaks as NVML does."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
from mooring_inference.observability.gpu import GpuMetrics, find_gpus


class NVMLError(Exception):
    pass


class Nvml:
    """Two GPUs, of which the second does not tell its use, as a MIG slice."""

    NVMLError = NVMLError

    def __init__(self, count=2):
        self.count = count

    def nvmlInit(self):
        if self.count < 0:
            raise NVMLError("driver not loaded")

    def nvmlDeviceGetCount(self):
        return self.count

    def nvmlDeviceGetHandleByIndex(self, index):
        return index

    def nvmlDeviceGetUUID(self, handle):
        return f"GPU-{handle}".encode()

    def nvmlDeviceGetName(self, handle):
        return "NVIDIA H100"

    def nvmlDeviceGetMemoryInfo(self, handle):
        return SimpleNamespace(used=1000 + handle, total=5000)

    def nvmlDeviceGetUtilizationRates(self, handle):
        if handle == 1:
            raise NVMLError("not supported")
        return SimpleNamespace(gpu=37)


def series(metrics):
    return {
        (family.name.removeprefix("mooring_inference_gpu_"), sample.labels["gpu"]): sample.value
        for family in metrics.collect()
        for sample in family.samples
    }


def test_each_gpu_tells_what_it_can():
    metrics = GpuMetrics(Nvml())
    assert series(metrics) == {
        ("memory_used_bytes", "0"): 1000,
        ("memory_used_bytes", "1"): 1001,
        ("memory_total_bytes", "0"): 5000,
        ("memory_total_bytes", "1"): 5000,
        ("utilization_ratio", "0"): 0.37,
    }
    sample = next(iter(metrics.collect())).samples[0]
    assert sample.labels == {"gpu": "0", "uuid": "GPU-0", "name": "NVIDIA H100"}


@pytest.mark.parametrize("module", [None, Nvml(-1), Nvml(0)])
def test_without_package_driver_or_gpu_there_is_nothing(monkeypatch, module):
    monkeypatch.setitem(sys.modules, "pynvml", module)
    assert find_gpus() is None


def test_gpus_are_found_by_the_module_that_is_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", Nvml())
    assert find_gpus().count == 2


def test_real_gpus_have_memory_and_a_use_between_nothing_and_all():
    metrics = find_gpus()
    if metrics is None:
        pytest.skip("no NVIDIA GPU here, or nvidia-ml-py is not installed")
    found = series(metrics)
    for gpu in map(str, range(metrics.count)):
        assert 0 < found["memory_used_bytes", gpu] <= found["memory_total_bytes", gpu]
        assert 0 <= found.get(("utilization_ratio", gpu), 0) <= 1
