"""Runs in the database: their states and the transitions between them."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import Any

from mooring_pipelines.server.database import Database, now
from mooring_pipelines.server.errors import INTERNAL, ApiError, invalid, not_found

_ACTIVE = ("PENDING", "RUNNING", "CANCELING")


@dataclass(frozen=True)
class NewRun:
    """What a client asks for, checked; `spec` and `parameters` are JSON."""

    run_id: str
    display_name: str
    description: str
    experiment_id: str
    service_account: str
    pipeline_id: str
    pipeline_version_id: str
    spec: str
    parameters: str


class Runs:
    """The table of runs. Every transition names the states that it may start from."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, run: NewRun) -> sqlite3.Row:
        """Add a PENDING run.

        Raises:
            ApiError: 500, the id is taken. The real backend answers so too: the insert fails.
        """
        time = now()
        history = json.dumps([{"update_time": time, "state": "PENDING"}])
        columns = {**run.__dict__, "state": "PENDING", "history": history, "created_at": time}
        names, marks = ", ".join(columns), ", ".join("?" * len(columns))
        try:
            with self._database.transaction() as connection:
                connection.execute(f"INSERT INTO runs ({names}) VALUES ({marks})", list(columns.values()))  # noqa: S608
        except sqlite3.IntegrityError as error:
            message = (
                f"Failed to store run {run.display_name} to table: the run_id {run.run_id} already exists"
            )
            raise ApiError(INTERNAL, message) from error
        return self.get(run.run_id)

    def get(self, run_id: str) -> sqlite3.Row:
        """One run.

        Raises:
            ApiError: 404.
        """
        row = self._database.row("SELECT * FROM runs WHERE run_id = ?", run_id)
        if row is None:
            raise not_found("Run", run_id)
        return row

    def in_state(self, *states: str) -> list[sqlite3.Row]:
        """Runs in any of `states`, the oldest first."""
        marks = ", ".join("?" * len(states))
        return self._database.rows(f"SELECT * FROM runs WHERE state IN ({marks}) ORDER BY seq", *states)  # noqa: S608

    def start(self, run_id: str) -> bool:
        """PENDING to RUNNING; False when the run is not pending any more."""
        return self._move(run_id, ("PENDING",), "RUNNING")

    def requeue(self, run_id: str) -> bool:
        """RUNNING back to PENDING: its process ended before the first task began."""
        return self._move(run_id, ("RUNNING",), "PENDING", pid=0, pid_started=0)

    def record_process(self, run_id: str, pid: int, pid_started: int) -> None:
        """Remember the process of a run: its id, and its start time, which tells a reused id."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE runs SET pid = ?, pid_started = ? WHERE run_id = ?", (pid, pid_started, run_id)
            )

    def finish(self, run_id: str, state: str, error: str = "") -> None:
        """RUNNING to SUCCEEDED or FAILED; one that was being terminated has failed without an error, as with Argo."""
        if not self._move(run_id, ("CANCELING",), "FAILED", finished_at=now()):
            self._move(run_id, ("RUNNING", "PENDING"), state, finished_at=now(), error=error)
        self._close_tasks(run_id)

    def cancel(self, run_id: str) -> str:
        """Move an unfinished run towards its end; returns its new state.

        Raises:
            ApiError: 404 unknown; 400 already finished or being cancelled, as in the real backend.
        """
        self.get(run_id)
        if self._move(run_id, ("PENDING",), "FAILED", finished_at=now()):
            return "FAILED"
        if self._move(run_id, ("RUNNING",), "CANCELING"):
            return "CANCELING"
        raise invalid(f"Failed to terminate a run {run_id}. Row not found")

    def retry(self, run_id: str) -> None:
        """FAILED to PENDING: all its tasks run again.

        Raises:
            ApiError: 404 unknown; 500 in any other state, as in the real backend.
        """
        self.get(run_id)
        if not self._move(run_id, ("FAILED",), "PENDING", finished_at=0, error="", pid=0):
            raise ApiError(INTERNAL, f"Failed to retry run {run_id} as it does not allow retries")
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM tasks WHERE run_id = ?", (run_id,))

    def set_storage_state(self, run_id: str, storage_state: str) -> None:
        """Archive a run, or undo it.

        Raises:
            ApiError: 404.
        """
        self.get(run_id)
        with self._database.transaction() as connection:
            connection.execute("UPDATE runs SET storage_state = ? WHERE run_id = ?", (storage_state, run_id))

    def delete(self, run_id: str) -> None:
        """Forget a run and its tasks.

        Raises:
            ApiError: 404.
        """
        self.get(run_id)
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM runs WHERE run_id = ?", (run_id,))

    def forget_finished(self, keep: int) -> list[str]:
        """Forget the finished runs but the last `keep`; returns the ids of those that are gone."""
        marks = ", ".join("?" * len(_ACTIVE))
        finished = f"FROM runs WHERE state NOT IN ({marks}) ORDER BY seq DESC LIMIT -1 OFFSET ?"
        with self._database.transaction() as connection:
            rows = connection.execute(f"SELECT run_id {finished}", (*_ACTIVE, keep)).fetchall()
            connection.executemany("DELETE FROM runs WHERE run_id = ?", [(row["run_id"],) for row in rows])
        return [row["run_id"] for row in rows]

    def tasks(self, run_id: str) -> list[sqlite3.Row]:
        """The tasks of a run in the order in which they started."""
        return self._database.rows("SELECT * FROM tasks WHERE run_id = ? ORDER BY seq", run_id)

    def _close_tasks(self, run_id: str) -> None:
        # Tasks that were under way when the process ended; the others closed themselves.
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE tasks SET finished_at = ?, state = 'FAILED' WHERE run_id = ? AND state = 'RUNNING'",
                (now(), run_id),
            )

    def _move(self, run_id: str, sources: tuple[str, ...], target: str, **columns: Any) -> bool:
        with self._database.transaction() as connection:
            row = connection.execute("SELECT state, history FROM runs WHERE run_id = ?", (run_id,)).fetchone()
            if row is None or row["state"] not in sources:
                return False
            history = [*json.loads(row["history"]), {"update_time": now(), "state": target}]
            columns = {**columns, "state": target, "history": json.dumps(history)}
            assignments = ", ".join(f"{name} = ?" for name in columns)
            connection.execute(f"UPDATE runs SET {assignments} WHERE run_id = ?", [*columns.values(), run_id])  # noqa: S608
            return True


def is_active(state: str) -> bool:
    """Whether a run in `state` has not ended."""
    return state in _ACTIVE
