"""What the process of one run does: execute the pipeline, and keep what becomes of its tasks in the database."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mooring_pipelines.execution import Execution, Failure
from mooring_pipelines.server.database import Database


def execute_run(run_id: str, folder: Path, database_path: Path) -> int:
    """Run the pipeline of `run_id` to its end; returns the process's exit status.

    Task states go to the database, output to stdout, files below `folder`.
    """
    database = Database(database_path)
    row = database.rows("SELECT spec, parameters FROM runs WHERE run_id = ?", run_id)[0]
    execution = Execution(DatabaseRecorder(database, run_id))
    failure = execution.run(row["spec"], json.loads(row["parameters"]), folder)
    if failure is None:
        return 0
    print(f"Run failed: {failure.message}", flush=True)
    with database.transaction() as connection:
        connection.execute("UPDATE runs SET error = ? WHERE run_id = ?", (failure.message, run_id))
    return 1


class DatabaseRecorder:
    """Writes the tasks of one run to the database, and what they print to stdout."""

    def __init__(self, database: Database, run_id: str) -> None:
        self._database = database
        self._run_id = run_id

    def started(self, task: str) -> int:
        """Add a task; its row names the attempt."""
        with self._database.transaction() as connection:
            row = connection.execute(
                "INSERT INTO tasks (run_id, name, state, started_at) VALUES (?, ?, 'RUNNING', ?)",
                (self._run_id, task, time.time()),
            )
            return row.lastrowid or 0

    def finished(self, attempt: int, task: str, failure: Failure | None, outputs: Mapping[str, Any]) -> None:
        """Close a task."""
        state, error = ("FAILED", failure.message) if failure else ("SUCCEEDED", "")
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE tasks SET state = ?, finished_at = ?, error = ?, outputs = ? WHERE seq = ?",
                (state, time.time(), error, json.dumps(outputs, default=str), attempt),
            )

    def wrote(self, task: str, text: str) -> None:
        """Print it; this process's output is the run's log."""
        print(text, flush=True)


def main(run_id: str, folder: Path, database_path: Path) -> None:
    """Execute a run in the current, freshly forked process and leave it."""
    code = 1
    try:
        code = execute_run(run_id, folder, database_path)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        # No interpreter shutdown: exit handlers belong to the process that was forked.
        os._exit(code)
