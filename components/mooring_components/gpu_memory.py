"""The most memory of GPUs that this process holds while something runs, by NVML.

Libraries keep what they took of a GPU, so looking now and then sees the most of it. Nothing fails where there is no
GPU, or where the driver does not tell memory by process, as of a slice of a GPU (MIG).
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

GPU_MEMORY = "gpuMemoryMB"
NO_GPU = "the model is on no GPU whose memory the driver tells by process (NVML)"
SECONDS = 0.02
Reading = Callable[[], int | None]


class Peak:
    """The most that was read; None as long as nothing was."""

    def __init__(self) -> None:
        self.bytes: int | None = None

    def see(self, now: int | None) -> None:
        """Take what was read now."""
        if now is not None:
            self.bytes = max(now, self.bytes or 0)


@contextmanager
def watched_gpu_memory(device: str, read: Reading | None = None, seconds: float = SECONDS) -> Iterator[Peak]:
    """Look at the memory of GPUs in a thread, and once more at the block's end when the device has done its work.

    Args:
        device: the model's; of one that is not on a GPU nothing is read.
        read: gives the bytes that this process holds; by default by NVML.
        seconds: between two looks.
    """
    peak = Peak()
    reading = (read or _reading()) if device.startswith("cuda") else None
    if reading is None:
        yield peak
        return
    ended = threading.Event()
    thread = threading.Thread(target=_look, args=(reading, peak, ended, seconds), daemon=True)
    thread.start()
    try:
        yield peak
        _synchronize()
    finally:
        ended.set()
        thread.join()
    peak.see(reading())


def _look(read: Reading, peak: Peak, ended: threading.Event, seconds: float) -> None:
    while not ended.wait(seconds):
        peak.see(read())


def _synchronize() -> None:
    """Wait for what PyTorch has begun on a GPU; where nobody has imported it, nothing has."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.synchronize()


def _reading() -> Reading | None:
    try:
        nvml = importlib.import_module("pynvml")
    except ModuleNotFoundError:
        return None
    try:
        nvml.nvmlInit()
        handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
    except nvml.NVMLError:
        return None

    def read() -> int | None:
        try:
            told = [_held(nvml.nvmlDeviceGetComputeRunningProcesses(handle)) for handle in handles]
        except nvml.NVMLError:
            return None
        known = [each for each in told if each is not None]
        return sum(known) if known else None

    return read


def _held(processes: list[Any]) -> int | None:
    """The bytes of this process among a GPU's; None where they are not told.

    The driver counts processes as the node does. In a pod ours has another number there: then one that is alone on the
    GPU is this one, for it is known to be on a GPU.
    """
    own = [each for each in processes if each.pid == os.getpid()]
    found = own or (processes if len(processes) == 1 else [])
    held = [each.usedGpuMemory for each in found if each.usedGpuMemory is not None]
    return sum(held) if held else None
