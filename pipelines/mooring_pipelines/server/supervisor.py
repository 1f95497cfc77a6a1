"""Starts queued runs through the zygote, follows their processes, and repairs after a restart."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import sys
from pathlib import Path

from mooring_pipelines.server.database import Database
from mooring_pipelines.server.processes import kill_session, process_started
from mooring_pipelines.server.runs import Runs

_log = logging.getLogger(__name__)
_RESTART_SECONDS = 1.0


class Supervisor:
    """At most `concurrency` runs at a time, the oldest first, each in a process of its own.

    The last `keep` finished runs stay, with their files.
    """

    def __init__(self, database: Database, runs: Runs, folder: Path, concurrency: int, keep: int) -> None:
        self._database = database
        self._runs = runs
        self._folder = folder
        self._concurrency = concurrency
        self._keep = keep
        self._zygote: asyncio.subprocess.Process | None = None
        self._ready = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Settle what an earlier server left behind, then start working."""
        self._settle("the server was restarted")
        self._task = asyncio.create_task(self._keep_zygote())

    async def stop(self) -> None:
        """Kill all runs; the next start settles them."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._zygote is not None and self._zygote.stdin is not None:
            self._zygote.stdin.close()
            await self._zygote.wait()

    def run_folder(self, run_id: str) -> Path:
        """Where a run keeps its log and artifacts."""
        return self._folder / run_id

    def fill(self) -> None:
        """Start queued runs as far as the concurrency allows."""
        if not self._ready:
            return
        busy = len(self._runs.in_state("RUNNING", "CANCELING"))
        for row in self._runs.in_state("PENDING")[: max(0, self._concurrency - busy)]:
            if self._runs.start(row["run_id"]):
                folder = self.run_folder(row["run_id"])
                shutil.rmtree(folder, ignore_errors=True)  # of an earlier attempt
                self._send(
                    {"start": row["run_id"], "folder": str(folder), "database": str(self._database.path)}
                )

    def cancel(self, run_id: str) -> None:
        """Terminate a run.

        Raises:
            ApiError: 404 unknown, 400 finished.
        """
        if self._runs.cancel(run_id) == "CANCELING":
            self._send({"stop": run_id})

    def _send(self, message: dict[str, str]) -> None:
        # A zygote that died meanwhile is noticed by its reader, which settles its runs.
        if (
            self._zygote is not None
            and self._zygote.stdin is not None
            and not self._zygote.stdin.is_closing()
        ):
            self._zygote.stdin.write(json.dumps(message).encode() + b"\n")

    async def _keep_zygote(self) -> None:
        while True:
            self._zygote = await asyncio.create_subprocess_exec(
                sys.executable,
                "-I",
                "-m",
                "mooring_pipelines.server.zygote",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
            assert self._zygote.stdout is not None
            async for line in self._zygote.stdout:
                self._handle(json.loads(line))
            self._ready = False
            _log.error("the process that starts runs ended; starting it again")
            self._settle("the process that starts runs ended")
            await asyncio.sleep(_RESTART_SECONDS)

    def _handle(self, message: dict[str, int | str]) -> None:
        if "ready" in message:
            self._ready = True
        elif "started" in message:
            self._runs.record_process(
                str(message["started"]), int(message["pid"]), int(message["pid_started"])
            )
        elif "exited" in message:
            self._finish(str(message["exited"]), int(message["status"]))
        self.fill()

    def _finish(self, run_id: str, status: int) -> None:
        row = self._database.row("SELECT error FROM runs WHERE run_id = ?", run_id)
        if row is None:
            return  # deleted while it ran
        if status == 0:
            self._runs.finish(run_id, "SUCCEEDED")
        else:
            self._runs.finish(run_id, "FAILED", self._reason(run_id, status, row["error"]))
        for forgotten in self._runs.forget_finished(self._keep):
            shutil.rmtree(self.run_folder(forgotten), ignore_errors=True)

    def _reason(self, run_id: str, status: int, error: str) -> str:
        reason = error or (
            f"the run's process was killed by signal {-status}"
            if status < 0
            else f"the run's process ended with status {status}"
        )
        if status < 0:
            reason += self._unfinished_task(run_id)
        return reason

    def _settle(self, cause: str) -> None:
        """Decide about runs whose process is gone.

        A run none of whose tasks began is queued again: nothing was done that could be done
        twice. Any other failed, and who asked for it decides about another attempt.
        """
        for row in self._runs.in_state("RUNNING", "CANCELING"):
            if row["pid"] and process_started(row["pid"]) == row["pid_started"]:
                kill_session(row["pid"])
            run_id = row["run_id"]
            if row["state"] == "RUNNING" and not self._runs.tasks(run_id):
                self._runs.requeue(run_id)
            else:
                self._runs.finish(run_id, "FAILED", f"interrupted: {cause}{self._unfinished_task(run_id)}")

    def _unfinished_task(self, run_id: str) -> str:
        names = [task["name"] for task in self._runs.tasks(run_id) if task["state"] == "RUNNING"]
        return f" during task {names[0]}" if names else ""
