"""Where a model runs: the words of ``--device`` and what they mean."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from mooring_inference.errors import ModelLoadError

_WORDS = re.compile(r"auto|cpu|cuda(?::(?P<index>\d{1,3}))?")
# The driver's own, and what stands for it under WSL.
_DEVICE_FILES = (Path("/dev/nvidiactl"), Path("/dev/dxg"))


@dataclass(frozen=True, slots=True)
class Device:
    """A choice of device.

    Attributes:
        kind: ``auto``, ``cpu`` or ``cuda``.
        index: which GPU, as CUDA counts those that the process can see.
    """

    kind: str
    index: int = 0

    @property
    def name(self) -> str:
        """Such as ``cpu`` or ``cuda:0``."""
        return f"cuda:{self.index}" if self.kind == "cuda" else self.kind


def parse_device(text: str) -> Device:
    """Return the device that ``auto``, ``cpu``, ``cuda`` or ``cuda:N`` names; raises ModelLoadError."""
    match = _WORDS.fullmatch(text)
    if match is None:
        raise ModelLoadError(f"device: expected auto, cpu, cuda or cuda:N, got {text!r}")
    kind, _, _ = text.partition(":")
    return Device(kind, int(match["index"] or 0))


def gpu_is_present() -> bool:
    """Return whether the machine shows this process an NVIDIA GPU."""
    return any(path.exists() for path in _DEVICE_FILES)
