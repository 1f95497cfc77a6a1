"""A server as a process tree: started on one core, its CPU time and memory, its end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


class ProcessTree:
    """A program and all its descendants, in a session of their own, tied to one core."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        core: int | str,
        log: Path,
        folder: Path,
        environment: Mapping[str, str],
    ) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self.log = log
        self.started = time.perf_counter()
        with log.open("wb") as output:
            self._child = subprocess.Popen(
                ["taskset", "--cpu-list", str(core), *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                # One thread for every numeric library; an inherited path would mix the environments.
                env={**_clean_environment(), "OMP_NUM_THREADS": "1", **environment},
                start_new_session=True,
            )

    @property
    def alive(self) -> bool:
        return self._child.poll() is None

    def pids(self) -> list[int]:
        found, new = [], [self._child.pid]
        while new:
            found += new
            new = [child for pid in new for child in _children(pid)]
        return found

    def cpu_seconds(self) -> float:
        """CPU time of all processes of the tree so far, of those that ended too."""
        return sum(cpu_seconds_of(pid) for pid in self.pids())

    def memory_mb(self) -> float:
        """RSS of the largest process and what the others hold for themselves alone.

        PSS would flatter a server that shares libraries with this benchmark; the sum of RSS would count what
        forked processes share several times.
        """
        found = sorted((_memory_kb(pid) for pid in self.pids()), reverse=True)
        return (found[0][0] + sum(private for _, private in found[1:])) / 1024

    def terminate(self) -> None:
        """SIGTERM to the first process alone, as a kubelet does."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._child.pid, signal.SIGTERM)

    def stop(self, seconds: float = 5.0) -> None:
        """End all of it: politely, then not."""
        self.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(seconds)
        self.kill()
        self._child.wait()

    def kill(self) -> None:
        """SIGKILL to all of it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGKILL)

    def tail(self, lines: int = 15) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found


def cpu_seconds_of(pid: int) -> float:
    """CPU time of a process and of those of its children that ended; 0 where there is none."""
    try:
        # After the command's name, which may hold anything: state is field 3, cutime and cstime are 16, 17.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        # The process's own CPU clock (clock_getcpuclockid(3)): what stat has too, but finer than 10 ms.
        return time.clock_gettime(~pid << 3 | 2) + (int(fields[13]) + int(fields[14])) / _TICKS
    except OSError:
        return 0.0


def _memory_kb(pid: int) -> tuple[int, int]:
    """RSS and the private part of it."""
    sizes: dict[str, int] = {}
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
            name, size, *_ = line.split()
            sizes[name] = int(size)
    private = sizes.get("Private_Clean:", 0) + sizes.get("Private_Dirty:", 0)
    return sizes.get("Rss:", 0), private


def _clean_environment() -> dict[str, str]:
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
