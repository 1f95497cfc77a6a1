"""How much memory this process may take without ending the container that it runs in.

A container that goes over its limit ends as a whole, and with it the operator that started this process.
"""

from __future__ import annotations

import contextlib
import resource
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_RESERVE_BYTES = 48 << 20


def keep_within_container(cgroup: Path = _CGROUP) -> int | None:
    """Turn memory that the container does not have into a MemoryError here.

    Returns:
        The bytes allowed; None: the container has no limit, or none that control groups v2 tell.
    """
    free = _free(cgroup)
    if free is None:
        return None
    allowed = max(free - _RESERVE_BYTES, _RESERVE_BYTES)
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    with contextlib.suppress(ValueError):  # a hard limit below that is limit enough
        resource.setrlimit(resource.RLIMIT_DATA, (allowed, hard))
    return allowed


def _free(cgroup: Path) -> int | None:
    try:
        limit = (cgroup / "memory.max").read_text().strip()
        counts = dict(line.split() for line in (cgroup / "memory.stat").read_text().splitlines())
    except OSError:
        return None
    # The page cache gives way; what processes hold does not.
    return None if limit == "max" else int(limit) - int(counts.get("anon", 0))
