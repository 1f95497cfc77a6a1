"""Processes by id: kill a session, tell whether an id still means the same process. Linux only."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path


def kill_session(pid: int) -> None:
    """Kill the session leader `pid` and everything in its process group."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        # Either all are gone, or the child has not reached setsid yet.
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def process_started(pid: int) -> int:
    """When a process started, in clock ticks since boot; 0 when there is no such process.

    Together with the id this names one process: ids are reused, start times not.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    # The second field may hold spaces and parentheses.
    return int(stat.rpartition(")")[2].split()[19])
