"""How much memory the requests and answers of one process may hold together."""

from __future__ import annotations

import threading
from pathlib import Path

from mooring_inference.errors import RequestError

MIB = 1 << 20

# What is larger leaves a quarter of the budget to what is not, so that large bodies never lock out small ones.
_SMALL = MIB
_DEFAULT, _MOST = 256 * MIB, 1024 * MIB
_MOST_PARSED = 1024 * MIB
_CGROUP = Path("/sys/fs/cgroup")


class MemoryBudget:
    """Bytes that are held, counted before they are taken; from any thread."""

    def __init__(self, limit: int = _DEFAULT) -> None:
        self.held = 0
        self.limit = limit
        self._limit_of_large = limit // 4 * 3
        self._lock = threading.Lock()

    def take(self, size: int) -> bool:
        """Count ``size`` bytes as held where there is room; whether there was."""
        with self._lock:
            held = self.held + size
            if held > (self.limit if size <= _SMALL else self._limit_of_large):
                return False
            self.held = held
        return True

    def refusal(self, size: int) -> RequestError:
        """Return the refusal for who needs ``size`` bytes that cannot be taken: now, or ever."""
        most = self._limit_of_large
        if size > most:
            return RequestError(
                f"the request would take {size} bytes, at most {most} may be taken; send fewer rows",
                status=413,
                expected=f"at most {most} bytes",
                got=size,
            )
        return RequestError(
            "the server holds as many bytes of requests as it may; try again later",
            status=503,
            headers=((b"retry-after", b"1"),),
        )

    def release(self, size: int) -> None:
        """Free bytes that were taken."""
        with self._lock:
            self.held -= size


def default_budget(max_request_bytes: int, workers: int, cgroup_root: Path = _CGROUP) -> int:
    """Return a worker's budget in bytes: a quarter of the container's memory limit, 256 MiB where there is none.

    At most 1 GiB, and at least two of the largest requests, which is what a budget needs to take any.
    """
    container = memory_limit(cgroup_root)
    share = _DEFAULT if container is None else min(container // 4 // workers, _MOST)
    return max(share, least_budget(max_request_bytes))


def parsing_limit(workers: int, cgroup_root: Path = _CGROUP) -> int:
    """Return what a worker may take to parse a body, bytes: half of the container's memory limit, and at most 1 GiB."""
    container = memory_limit(cgroup_root)
    return _MOST_PARSED if container is None else min(container // 2 // workers, _MOST_PARSED)


def least_budget(max_request_bytes: int) -> int:
    """Return the smallest budget that takes one request of the largest size."""
    return 2 * max(max_request_bytes, MIB)


def memory_limit(root: Path) -> int | None:
    """Return the container's memory limit in bytes, from cgroup v2 or v1; None if unlimited or unknown."""
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            text = (root / name).read_text().strip()
        except OSError:
            continue
        # Version 1 says "unlimited" by a number that no machine has.
        if text.isdigit() and int(text) < 1 << 60:
            return int(text)
    return None
