"""Starts the programs of a cluster and ends them for certain."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

_TAIL = 20
_WIDTH = 400
_GRACE_S = 5.0


class StartError(Exception):
    """A program did not start; the message ends with the tail of its log."""


@dataclass(frozen=True)
class Process:
    """A program that runs, or has run.

    ``born`` is its start time in clock ticks since boot: with the id it says which process is meant, even
    after the id was given to another.
    """

    name: str
    pid: int
    born: int
    log: Path
    child: subprocess.Popen[bytes] | None = field(default=None, compare=False, repr=False)

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        state, born = _state_and_birth(self.pid)
        return born == self.born and state != "Z"

    def tail(self, lines: int = _TAIL) -> str:
        """The end of its log."""
        with suppress(FileNotFoundError):
            last = self.log.read_text(errors="replace").splitlines()[-lines:]
            # Some programs log whole stack traces in one line.
            return "\n".join(line[:_WIDTH] for line in last)
        return ""

    def stop(self) -> None:
        """End it: politely, then not. Returns when it is gone."""
        with suppress(ProcessLookupError):
            handle = os.pidfd_open(self.pid)
            try:
                # The handle stays with this process; only now is it certain that the id still is its own.
                if self.alive:
                    _end(handle)
            finally:
                os.close(handle)
        if self.child is not None:
            self.child.wait()


def start(
    name: str, command: Sequence[str | Path], *, log: Path, environment: Mapping[str, str] | None = None
) -> Process:
    """Start a program in a session of its own, so that Ctrl-C reaches only us, and we end it in order."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        child = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=log.parent,
            env=environment,
            start_new_session=True,
        )
    return Process(name, child.pid, _state_and_birth(child.pid)[1], log, child)


def wait_until_ready(process: Process, ready: Callable[[], bool], *, timeout: float) -> None:
    """Wait until ``ready()``; raises StartError when the program ends or ``timeout`` seconds pass."""
    deadline = time.monotonic() + timeout
    while not ready():
        if not process.alive:
            code = process.child.wait() if process.child else None
            raise StartError(f"{process.name} ended (exit status {code}); its log ends:\n{process.tail()}")
        if time.monotonic() > deadline:
            raise StartError(
                f"{process.name} is not ready after {timeout:g} s; its log ends:\n{process.tail()}"
            )
        time.sleep(0.05)


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that were free a moment ago: whoever binds one must be ready to lose the race."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [held.getsockname()[1] for held in sockets]
    finally:
        for held in sockets:
            held.close()


class Watchdog:
    """A small process that ends the programs and removes the folders of ours if we die without doing so."""

    def __init__(self) -> None:
        script = Path(__file__).with_name("watchdog.py")
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )

    def watch(self, process: Process) -> None:
        """End this program when we die."""
        self._tell("process", str(process.pid))

    def own(self, folder: Path) -> None:
        """Remove this folder when we die."""
        self._tell("folder", str(folder))

    def dismiss(self) -> None:
        """Let it go: the programs have ended, or are to live on."""
        self._tell("dismissed", "")
        self._process.communicate()

    def _tell(self, word: str, value: str) -> None:
        assert self._process.stdin is not None
        # Somebody ended it by hand: then there is nobody to tell.
        with suppress(BrokenPipeError):
            self._process.stdin.write(f"{word} {value}\n".encode())
            self._process.stdin.flush()


def _end(handle: int) -> None:
    for number, seconds in ((signal.SIGTERM, _GRACE_S), (signal.SIGKILL, _GRACE_S)):
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, number)
        # Readable means ended, whether or not its parent has asked for its exit status.
        if select.select([handle], [], [], seconds)[0]:
            return


def _state_and_birth(pid: int) -> tuple[str, int]:
    """The state letter and the start time of a process; ``("", 0)`` if there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return "", 0
    # The second field is the program's name in parentheses, which may hold anything.
    fields = text.rpartition(")")[2].split()
    return fields[0], int(fields[19])
