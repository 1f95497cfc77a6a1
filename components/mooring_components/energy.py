"""The energy that predictions take, where there is a meter: the processor's (RAPL), and the GPUs' (NVML).

A meter counts all that its packages and GPUs take, with what else runs there and what they take when idle. Nothing
fails where there is none: most virtual machines and unprivileged pods have none.
"""

from __future__ import annotations

import importlib
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mooring_components.feeding import FedModel

METRIC = "joulesPer1000Predictions"
NO_METER = "no meter of energy (RAPL, NVML) can be read where the model runs"
POWERCAP = Path("/sys/class/powercap")
# Counters move every millisecond (RAPL) to every tenth of a second (NVML).
SECONDS = 2.0
_ROWS = 100
_PACKAGE = re.compile(r"intel-rapl:\d+")
_PART = re.compile(r"intel-rapl:\d+:\d+")
_MICRO, _MILLI = 1e-6, 1e-3


@dataclass(frozen=True)
class Counter:
    """A counter of joules; it begins again at 0 behind `wraps_at`, or never where that is 0."""

    read: Callable[[], float]
    wraps_at: float = 0.0

    def since(self, before: float) -> float:
        """Joules from `before` until now; it has begun again once at most."""
        now = self.read()
        return now - before if now >= before else now - before + self.wraps_at


def find_counters(device: str, powercap: Path = POWERCAP) -> list[Counter]:
    """The counters of this machine's processors and memory, and of its GPUs where `device` is one of them."""
    counters = [counter for zone in _zones(powercap) if (counter := _rapl(zone)) is not None]
    return [*counters, *(_gpus() if device.startswith("cuda") else [])]


def measure_energy(
    fed: FedModel, counters: Sequence[Counter] | None = None, seconds: float = SECONDS
) -> dict[str, float]:
    """Joules for 1000 predictions of one row, made one after the other for some seconds; nothing without a meter.

    Raises:
        InputError: the model fails on a row.
        MemoryError: the model takes more memory than there is.
    """
    counters = find_counters(fed.model.backend.device) if counters is None else counters
    if not counters:
        return {}
    rows = fed.single_rows(_ROWS)
    try:
        before = [counter.read() for counter in counters]
        made, deadline = 0, time.perf_counter() + seconds
        while not made or time.perf_counter() < deadline:
            fed.answer(rows[made % len(rows)])
            made += 1
        joules = sum(counter.since(start) for counter, start in zip(counters, before, strict=True))
    except OSError:
        return {}
    # One that stands still, as some virtual machines have, is none.
    return {METRIC: joules * 1000 / made} if joules > 0 else {}


def _zones(powercap: Path) -> list[Path]:
    """Packages, and the memory beside them; not their parts, nor the whole platform that holds them."""
    try:
        listed = sorted(powercap.iterdir())
        return [zone for zone in listed if _counts(zone.name, (zone / "name").read_text().strip())]
    except OSError:
        return []


def _counts(zone: str, name: str) -> bool:
    if _PACKAGE.fullmatch(zone):
        return name.startswith("package")
    return _PART.fullmatch(zone) is not None and name == "dram"


def _rapl(zone: Path) -> Counter | None:
    """The counter of a zone; since a side channel was found in it, most kernels let only root read it."""

    def read() -> float:
        return int((zone / "energy_uj").read_text()) * _MICRO

    try:
        read()
        return Counter(read, int((zone / "max_energy_range_uj").read_text()) * _MICRO)
    except (OSError, ValueError):
        return None


def _gpus() -> list[Counter]:
    try:
        nvml = importlib.import_module("pynvml")
    except ModuleNotFoundError:
        return []
    try:
        nvml.nvmlInit()
        handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
        for handle in handles:
            nvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except nvml.NVMLError:
        return []
    total = nvml.nvmlDeviceGetTotalEnergyConsumption
    return [Counter(lambda handle=handle: total(handle) * _MILLI) for handle in handles]  # type: ignore[misc]
