"""How much memory this process may take without ending the container that it runs in.

A container that goes over its limit ends as a whole, and with it the operator that started this process. A limit
on the process itself is no help: threads that cannot start for want of memory leave others waiting.
"""

from __future__ import annotations

from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_RESERVE_BYTES = 48 << 20


def memory_left(cgroup: Path = _CGROUP) -> int | None:
    """Bytes that the container has left, less a reserve; None: no limit, or none that control groups v2 tell."""
    try:
        limit = (cgroup / "memory.max").read_text().strip()
        counts = dict(line.split() for line in (cgroup / "memory.stat").read_text().splitlines())
    except OSError:
        return None
    if limit == "max":
        return None
    # The page cache gives way; what processes hold does not.
    return max(int(limit) - int(counts.get("anon", 0)) - _RESERVE_BYTES, 0)
