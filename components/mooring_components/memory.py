"""How much memory there is, and a limit on what a piece of work takes of it.

A container that goes over its limit ends as a whole, and nobody is left to say why. So what a file makes its reader
allocate is limited beforehand, however well it is compressed and whatever it says of itself.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MOST_BYTES = 4 << 30
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


def usable_memory() -> int:
    """Bytes that rows may take here."""
    left = memory_left()
    return MOST_BYTES if left is None else min(left, MOST_BYTES)


@contextmanager
def limited_memory(size: int) -> Iterator[None]:
    """Raise MemoryError in the block where this process would take `size` bytes more than it has.

    For work that starts no threads: one that cannot have a stack would leave others waiting. Linux only; elsewhere
    nothing is limited.
    """
    held = _told("VmData:")
    if held is None:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = held + size
    limits = [limit for limit in (wanted, soft, hard) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min(limits), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def held_bytes() -> int | None:
    """Bytes of memory that this process takes now; None where the system does not tell."""
    return _told("VmRSS:")


def peak_bytes() -> int | None:
    """Bytes of memory that this process has taken at most; None where the system does not tell."""
    return _told("VmHWM:")


def _told(name: str) -> int | None:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith(name)), None)
