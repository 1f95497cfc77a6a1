"""The memory of GPUs is that of this process, at its peak; where nobody tells it there is none."""

import os
import sys
import threading
from types import SimpleNamespace

import pytest
from mooring_components.gpu_memory import GPU_MEMORY, NO_GPU, watched_gpu_memory
from mooring_components.rates import measure_rates

from tests.unit.components.test_energy import concluded
from tests.unit.components.test_importances import linear
from tests.unit.components.test_rates import counted

MB = 1_000_000


def process(pid, held):
    return SimpleNamespace(pid=pid, usedGpuMemory=held)


class NVMLError(Exception):
    pass


@pytest.fixture
def gpus(monkeypatch):
    """Processes by GPU, as NVML tells of them; a test may change them at any time."""
    found = SimpleNamespace(processes=[[], []])
    nvml = SimpleNamespace(
        NVMLError=NVMLError,
        nvmlInit=lambda: None,
        nvmlDeviceGetCount=lambda: 2,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetComputeRunningProcesses=lambda handle: list(found.processes[handle]),
    )
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    monkeypatch.setitem(sys.modules, "torch", None)
    found.nvml = nvml
    return found


def seen(device="cuda:0"):
    with watched_gpu_memory(device) as peak:
        pass
    return peak.bytes


def test_it_is_that_of_this_process_on_all_gpus(gpus):
    own, other = os.getpid(), os.getpid() + 1
    gpus.processes[0] = [process(other, 900 * MB), process(own, 300 * MB)]
    gpus.processes[1] = [process(own, 50 * MB), process(other, 900 * MB)]
    assert seen() == 350 * MB


def test_one_that_is_alone_on_a_gpu_is_this_one(gpus):
    """In a pod the driver has another number for it."""
    gpus.processes[0] = [process(os.getpid() + 7, 300 * MB)]
    assert seen() == 300 * MB
    gpus.processes[0].append(process(os.getpid() + 8, 1 * MB))
    assert seen() is None


def test_what_is_held_for_a_moment_counts():
    given, looked = iter([5, 80, 80]), threading.Semaphore(0)

    def read():
        looked.release()
        return next(given, 7)

    with watched_gpu_memory("cuda", read, seconds=0.0) as peak:
        for _ in range(3):
            assert looked.acquire(timeout=30)
    assert peak.bytes == 80
    with watched_gpu_memory("cuda", lambda: 6, seconds=3600.0) as peak:
        pass
    assert peak.bytes == 6


def test_it_is_looked_at_when_the_device_has_done_its_work(monkeypatch):
    done = []
    cuda = SimpleNamespace(is_initialized=lambda: True, synchronize=lambda: done.append(True))
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    with watched_gpu_memory("cuda", lambda: 9 if done else 1, seconds=3600.0) as peak:
        pass
    assert peak.bytes == 9


@pytest.mark.parametrize("case", ["no GPU", "no package", "no driver", "lost", "not told"])
def test_without_a_device_that_tells_there_is_none(gpus, monkeypatch, case):
    def refuse(*_):
        raise NVMLError

    gpus.processes[0] = [process(os.getpid(), 300 * MB)]
    nvml = gpus.nvml
    if case == "no package":
        monkeypatch.setitem(sys.modules, "pynvml", None)
    elif case == "no driver":
        nvml.nvmlInit = refuse
    elif case == "lost":
        nvml.nvmlDeviceGetComputeRunningProcesses = refuse
    elif case == "not told":
        gpus.processes[0] = [process(os.getpid(), None)]
    assert seen("cpu" if case == "no GPU" else "cuda") is None


def test_the_thread_ends_with_a_model_that_fails():
    before = threading.active_count()
    with pytest.raises(ValueError, match="no"), watched_gpu_memory("cuda", lambda: 1):
        raise ValueError("no")
    assert threading.active_count() == before


def test_it_is_measured_with_batches(gpus, tmp_path):
    gpus.processes[0] = [process(os.getpid(), 321 * MB)]
    (tmp_path / "model").mkdir()
    _, fed = counted(linear(tmp_path / "model"), device="cuda:0")
    assert measure_rates(fed, calls=2, warm_up=1)[GPU_MEMORY] == 321.0
    _, fed = counted(linear(tmp_path / "model"))
    assert GPU_MEMORY not in measure_rates(fed, calls=2, warm_up=1)


def test_a_gate_on_it_holds_or_says_why_not(tmp_path):
    gate = {"metric": GPU_MEMORY, "max": 500.0}
    assert concluded(tmp_path, {GPU_MEMORY: 321.0}, gate).passed
    found = concluded(tmp_path, {GPU_MEMORY: 700.0}, gate)
    assert [each.message for each in found.violations] == ["gpuMemoryMB 700 is above the maximum 500"]
    found = concluded(tmp_path, {}, gate)
    assert [each.message for each in found.violations] == [f"gpuMemoryMB was not measured: {NO_GPU}"]
