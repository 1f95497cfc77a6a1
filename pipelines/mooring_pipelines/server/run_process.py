"""What the process of one run does: execute the pipeline with `kfp.local`, one task after the other.

`kfp.local` returns nothing about single tasks, so two of its functions are wrapped here: the one
that executes a task, to record the task's state and outputs, and the one that runs its command, to
keep the last lines of its output as the reason of a failure.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from kfp import dsl, local
from kfp.local import logging_utils, pipeline_orchestrator, status, subprocess_task_handler
from kfp.local.orchestrator import task_executor
from kfp.pipeline_spec import pipeline_spec_pb2

from mooring_pipelines.server.database import Database

_EXCEPTION = re.compile(
    r"(?:[A-Za-z_][\w.]*\.)?([A-Z]\w*(?:Error|Exception|Exit|Interrupt|Warning|Failed)): (.+)"
)
_TAIL_LINES = 40


def execute_run(run_id: str, folder: Path, database_path: Path) -> int:
    """Run the pipeline of `run_id` to its end; returns the process's exit status.

    Task states go to the database, output to stdout, files below `folder`.
    """
    database = Database(database_path)
    recorder = TaskRecorder(database, run_id)
    recorder.install()
    row = database.rows("SELECT spec, parameters FROM runs WHERE run_id = ?", run_id)[0]
    local.init(
        local.SubprocessRunner(use_venv=False),
        pipeline_root=str(folder / "artifacts"),
        workspace_root=str(folder / "workspace"),
    )
    try:
        spec = json_format.ParseDict(json.loads(row["spec"]), pipeline_spec_pb2.PipelineSpec())
        pipeline_orchestrator.run_local_pipeline(spec, json.loads(row["parameters"]))
    except Exception as error:  # whatever a user's pipeline does is reported as its failure
        reason = recorder.failure or f"{type(error).__name__}: {error}"
        print(f"Run failed: {reason}", flush=True)
        with database.transaction() as connection:
            connection.execute("UPDATE runs SET error = ? WHERE run_id = ?", (reason, run_id))
        return 1
    return 0


class TaskRecorder:
    """Writes the tasks of one run to the database while `kfp.local` executes them."""

    def __init__(self, database: Database, run_id: str) -> None:
        self._database = database
        self._run_id = run_id
        # ParallelFor executes tasks in threads of their own.
        self._output = threading.local()
        self.failure = ""

    def install(self) -> None:
        """Wrap the functions of `kfp.local`, in this process only."""
        execute = task_executor.execute_single_task

        def execute_and_record(**arguments: Any) -> Any:
            return self._record(arguments["task_name"], lambda: execute(**arguments))

        task_executor.execute_single_task = execute_and_record
        subprocess_task_handler.run_local_subprocess = self._run_command
        # The log is read in browsers and files, where colours are noise.
        logging_utils.color_text = lambda text, color: text

    def _record(self, name: str, execute: Any) -> Any:
        self._output.tail = tail = deque[str](maxlen=_TAIL_LINES)
        with self._database.transaction() as connection:
            seq = connection.execute(
                "INSERT INTO tasks (run_id, name, state, started_at) VALUES (?, ?, 'RUNNING', ?)",
                (self._run_id, name, time.time()),
            ).lastrowid
        try:
            outputs, task_status = execute()
        except Exception as error:
            self._finish(seq, name, "FAILED", f"{type(error).__name__}: {error}", {})
            raise
        if task_status == status.Status.SUCCESS:
            self._finish(seq, name, "SUCCEEDED", "", outputs)
        else:
            self._finish(seq, name, "FAILED", find_reason(list(tail)), {})
        return outputs, task_status

    def _finish(self, seq: int | None, name: str, state: str, error: str, outputs: Mapping[str, Any]) -> None:
        if error and not self.failure:
            self.failure = f"task {name} failed: {error}"
        described = json.dumps({key: describe_output(value) for key, value in outputs.items()}, default=str)
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE tasks SET state = ?, finished_at = ?, error = ?, outputs = ? WHERE seq = ?",
                (state, time.time(), error, described, seq),
            )

    def _run_command(self, full_command: list[str], env_vars: Mapping[str, str] | None = None) -> int:
        tail: deque[str] = self._output.tail
        environment = {**os.environ, **(env_vars or {}), "PYTHONUNBUFFERED": "1"}
        with subprocess.Popen(
            full_command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=environment,
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                tail.append(line.rstrip())
                print(line, end="", flush=True)
            code = process.wait()
        if code:
            tail.append(f"[exit status {code}]")
        return code


def find_reason(lines: list[str]) -> str:
    """The reason of a failure in a task's last lines of output: its last exception, or last line."""
    for line in reversed(lines):
        if found := _EXCEPTION.fullmatch(line.strip()):
            name, message = found.groups()
            return message if name == "InputError" else f"{name}: {message}"
    written = [line for line in lines if line.strip()]
    return " ".join(written[-2:]) or "it ended without a message"


def describe_output(value: Any) -> Any:
    """A task's output as JSON: parameters as they are, artifacts with type, URI and metadata."""
    if isinstance(value, dsl.Artifact):
        return {"artifact": value.schema_title, "uri": value.uri, "metadata": value.metadata}
    if isinstance(value, list):
        return [describe_output(item) for item in value]
    return value


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
