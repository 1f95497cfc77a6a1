"""How many CPU cores this process may use."""

from __future__ import annotations

import os
from pathlib import Path


def usable_cores(cgroup_root: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the whole cores of the container's CPU limit, at least 1; the affinity mask where there is no limit."""
    allowed = len(os.sched_getaffinity(0))
    limit = cgroup_limit(cgroup_root)
    # Rounded down: one thread too many is throttled with all the others for the rest of the period.
    return allowed if limit is None else max(1, min(allowed, int(limit)))


def cgroup_limit(root: Path) -> float | None:
    """Return the CPU quota in cores, from cgroup v2 or v1; None if unlimited or unknown."""
    fields = _read(root / "cpu.max").split()
    if len(fields) == 2 and fields[0] != "max":
        return _ratio(fields[0], fields[1])
    quota, period = _read(root / "cpu/cpu.cfs_quota_us"), _read(root / "cpu/cpu.cfs_period_us")
    return _ratio(quota, period)


def _ratio(quota: str, period: str) -> float | None:
    try:
        cores = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):
        return None
    return cores if cores > 0 else None


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
