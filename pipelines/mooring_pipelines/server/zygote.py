"""The process that forks runs: it has imported `kfp` once, which takes seconds, and has no threads.

It reads one JSON message per line from stdin and writes one per line to stdout:

    {"start": ID, "folder": PATH, "database": PATH}  ->  {"started": ID, "pid": N, "pid_started": N}
    {"stop": ID}
                                                     <-  {"ready": true}
                                                     <-  {"exited": ID, "status": N}   (-9: killed by signal 9)

Every run is a process in a session of its own, so that it can be killed with all its tasks. When
stdin ends, because the server ended in whatever way, all runs are killed. Linux only.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import sys
from pathlib import Path
from typing import Any

from mooring_pipelines.server.processes import kill_session, process_started

_PR_SET_PDEATHSIG = 1


class Zygote:
    """Forks, kills and reaps the processes of runs."""

    def __init__(self) -> None:
        self._pids: dict[str, int] = {}
        # Opened here: a forked child could deadlock in the dynamic loader.
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._wake_read, self._wake_write = os.pipe()

    def serve(self) -> None:
        """Answer messages until stdin ends, then kill all runs."""
        from mooring_pipelines.server import run_process  # takes seconds

        self._main = run_process.main
        os.set_blocking(self._wake_write, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C: the server decides
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        _send({"ready": True})
        buffer = b""
        while True:
            readable, _, _ = select.select([0, self._wake_read], [], [])
            if self._wake_read in readable:
                os.read(self._wake_read, 4096)
                self._reap()
            if 0 in readable:
                received = os.read(0, 65536)
                if not received:
                    break
                *lines, buffer = (buffer + received).split(b"\n")
                for line in lines:
                    self._handle(json.loads(line))
        for pid in self._pids.values():
            kill_session(pid)

    def _handle(self, message: dict[str, Any]) -> None:
        if "start" in message:
            pid = self._fork(message["start"], Path(message["folder"]), Path(message["database"]))
            self._pids[message["start"]] = pid
            _send({"started": message["start"], "pid": pid, "pid_started": process_started(pid)})
        elif "stop" in message and (running := self._pids.get(message["stop"])):
            kill_session(running)

    def _fork(self, run_id: str, folder: Path, database: Path) -> int:
        parent = os.getpid()
        pid = os.fork()
        if pid:
            return pid
        try:
            os.setsid()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGTERM, lambda *_: os.killpg(0, signal.SIGKILL))
            # Should the zygote be killed, nobody would read about this run any more.
            self._libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)
            folder.mkdir(parents=True, exist_ok=True)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(os.open(folder / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), 1)
            os.dup2(1, 2)
            os.chdir(folder)
            self._main(run_id, folder, database)
        finally:
            os._exit(1)

    def _reap(self) -> None:
        for run_id, pid in list(self._pids.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                del self._pids[run_id]
                # Tasks outlive a run whose main process alone was killed.
                kill_session(pid)
                _send({"exited": run_id, "status": os.waitstatus_to_exitcode(status)})


def _send(message: dict[str, Any]) -> None:
    with contextlib.suppress(BrokenPipeError):  # stdin's end will tell
        os.write(1, json.dumps(message).encode() + b"\n")


if __name__ == "__main__":
    # Whoever prints while importing must not corrupt the protocol.
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    Zygote().serve()
