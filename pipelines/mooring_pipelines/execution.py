"""Execute a compiled pipeline with `kfp.local`, one task after the other, and say what becomes of each.

`kfp.local` returns nothing about single tasks, so some of its functions are replaced here: the one that executes a
task, to record the task's state and outputs, and the one that runs its command, to keep the last lines of its output
as the reason of a failure. Importing this module takes seconds.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import warnings
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from google.protobuf import json_format
from kfp import dsl, local
from kfp.local import logging_utils, pipeline_orchestrator, status, subprocess_task_handler
from kfp.local.orchestrator import task_executor
from kfp.pipeline_spec import pipeline_spec_pb2

from mooring_pipelines.stopping import Stopped

_EXCEPTION = re.compile(
    r"(?:[A-Za-z_][\w.]*\.)?"
    r"([A-Z]\w*(?:Error|Exception|Exit|Interrupt|Warning|Failed|Unavailable)|TooLarge|DataInvalid): (.+)"
)
_TAIL_LINES = 40
_LONGEST_LINE = 16_384
# What our components raise with a sentence that needs no name of an exception before it.
_TOLD = {
    "InputError": "InvalidInput",
    "AccessError": "InvalidInput",
    "DataInvalid": "DataInvalid",
    "TooLarge": "TooLarge",
    "StoreUnavailable": "StoreUnavailable",
}
_MEMORY_LIMIT = "; it probably needs more memory than the memory limit of its pod allows"


@dataclass(frozen=True)
class Failure:
    """Why a run failed: one CamelCase word, and a sentence."""

    reason: str
    message: str


class Recorder(Protocol):
    """Where the states of tasks go, and what their commands print."""

    def started(self, task: str) -> int:
        """A task begins; give what names this attempt."""

    def finished(self, attempt: int, task: str, failure: Failure | None, outputs: Mapping[str, Any]) -> None:
        """A task ended; `outputs` are ready for JSON."""

    def wrote(self, task: str, text: str) -> None:
        """A task's command printed a line, or a part of a long one."""


@dataclass(frozen=True)
class OwnGroups:
    """Each task's command is a process group of its own, which `Execution.stop` kills; without it they are in the
    group of this process, and whoever ends the run kills that.

    environment, directory: what the commands have.
    """

    environment: Mapping[str, str]
    directory: Path


class Execution:
    """One pipeline in this process.

    Args:
        recorder: what is told of the tasks.
        groups: how their commands are started; None: like this process.
    """

    def __init__(self, recorder: Recorder, groups: OwnGroups | None = None) -> None:
        self._recorder = recorder
        self._groups = groups
        # ParallelFor executes tasks in threads of their own.
        self._task = threading.local()
        self._processes: set[subprocess.Popen[str]] = set()
        self._starting = 0
        self._is_stopped = False
        self._failure: Failure | None = None

    def run(self, spec: str, parameters: Mapping[str, Any], folder: Path) -> Failure | None:
        """Run the pipeline of a compiled JSON `spec` to its end, with all its files below `folder`.

        Raises:
            Stopped: `stop` was called.
        """
        self._replace_functions()
        try:
            local.init(
                local.SubprocessRunner(use_venv=False),
                pipeline_root=str(folder / "artifacts"),
                workspace_root=str(folder / "workspace"),
            )
            parsed = json_format.ParseDict(json.loads(spec), pipeline_spec_pb2.PipelineSpec())
            # Its only advice is to use Docker.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                pipeline_orchestrator.run_local_pipeline(parsed, dict(parameters))
        except Exception as error:  # whatever a user's pipeline does is reported as its failure
            return self._failure or Failure("RunFailed", f"{type(error).__name__}: {error}")
        return None

    def stop(self) -> bool:
        """Kill the commands that run; called from a signal's handler, in the thread of `run`.

        Returns:
            Whether that is done. False: one is just being started, and `run` will raise Stopped.
        """
        self._is_stopped = True
        if self._starting:
            return False
        for process in list(self._processes):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        return True

    def _replace_functions(self) -> None:
        """Wrap the functions of `kfp.local`, in this process only."""
        execute = task_executor.execute_single_task

        def execute_and_record(**arguments: Any) -> Any:
            return self._record(arguments["task_name"], lambda: execute(**arguments))

        task_executor.execute_single_task = execute_and_record
        subprocess_task_handler.run_local_subprocess = self._run_command
        subprocess_task_handler.replace_python_executable = replace_python
        # As the images of Python components count for nothing here, so do those of containers: a command is run.
        handler = subprocess_task_handler.SubprocessTaskHandler
        handler.validate_not_container_component = _take_every_command
        # The log is read in browsers and files, where colours are noise.
        logging_utils.color_text = lambda text, color: text

    def _record(self, name: str, execute: Callable[[], Any]) -> Any:
        self._task.name = name
        self._task.failure = None
        attempt = self._recorder.started(name)
        try:
            outputs, task_status = execute()
        except Exception as error:
            self._finish(attempt, name, Failure("StepFailed", f"{type(error).__name__}: {error}"), {})
            raise
        if task_status == status.Status.SUCCESS:
            self._finish(attempt, name, None, outputs)
        else:
            failure = self._task.failure or Failure("StepFailed", "it ended without a message")
            self._finish(attempt, name, failure, {})
        return outputs, task_status

    def _finish(self, attempt: int, name: str, failure: Failure | None, outputs: Mapping[str, Any]) -> None:
        if failure is not None and self._failure is None:
            self._failure = Failure(failure.reason, f"{name}: {failure.message}")
        described = {key: describe_output(value) for key, value in outputs.items()}
        self._recorder.finished(attempt, name, failure, described)

    def _run_command(self, full_command: list[str], env_vars: Mapping[str, str] | None = None) -> int:
        tail = deque[str](maxlen=_TAIL_LINES)
        with self._start(full_command, env_vars or {}) as process:
            assert process.stdout is not None
            executor_log = _ExecutorLog()
            while text := process.stdout.readline(_LONGEST_LINE):
                if executor_log.owns(text.rstrip()):
                    continue
                tail.append(text.rstrip())
                self._recorder.wrote(self._task.name, text.rstrip("\n"))
            code = process.wait()
        self._processes.discard(process)
        if code:
            self._task.failure = find_failure(list(tail), code)
        return code

    def _start(self, command: list[str], variables: Mapping[str, str]) -> subprocess.Popen[str]:
        groups = self._groups
        inherited = os.environ if groups is None else groups.environment
        # Stopped in the middle of this, the process would be there and nobody would know it.
        self._starting += 1
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                env={**inherited, **variables, "PYTHONUNBUFFERED": "1"},
                cwd=None if groups is None else groups.directory,
                process_group=None if groups is None else 0,
            )
            self._processes.add(process)
        finally:
            self._starting -= 1
        if self._is_stopped and self.stop():
            raise Stopped
        return process


class _ExecutorLog:
    """Tells the lines that KFP's executor logs: some words, and all the step's inputs with every URL in them."""

    def __init__(self) -> None:
        self._is_input = False

    def owns(self, line: str) -> bool:
        """Whether the next line is one of them."""
        if self._is_input:
            self._is_input = line != "}"
            return True
        own = line.startswith("[KFP Executor ")
        self._is_input = own and line.endswith("Got executor_input:")
        return own


def find_failure(lines: list[str], code: int) -> Failure:
    """Why a task failed, by the last lines of its output and its exit status.

    Its last exception; else its last lines. A shell tells of a process that a signal ended by 128 and its number.
    """
    number = -code if code < 0 else code - 128
    if number == signal.SIGKILL:
        return Failure("OutOfMemory", f"it was killed by SIGKILL{_MEMORY_LIMIT}")
    for line in reversed(lines):
        if found := _EXCEPTION.fullmatch(line.strip()):
            name, message = found.groups()
            if name.endswith("MemoryError"):
                return Failure("OutOfMemory", message + _MEMORY_LIMIT)
            return Failure(_TOLD.get(name, "StepFailed"), message if name in _TOLD else f"{name}: {message}")
        if line.strip().rstrip(":") == "MemoryError":
            return Failure("OutOfMemory", f"it had no memory left{_MEMORY_LIMIT}")
    written = " ".join([line for line in lines if line.strip()][-2:])
    if 0 < number < signal.NSIG:
        return Failure("StepFailed", f"it was killed by {signal_name(number)}: {written}".removesuffix(": "))
    return Failure("StepFailed", f"{written} [exit status {code}]".strip())


def describe_output(value: Any) -> Any:
    """A task's output as JSON: parameters as they are, artifacts with type, URI and metadata."""
    if isinstance(value, dsl.Artifact):
        return {"artifact": value.schema_title, "uri": value.uri, "metadata": value.metadata}
    if isinstance(value, list):
        return [describe_output(item) for item in value]
    return value


def replace_python(full_command: list[str], executable: str) -> list[str]:
    """Have the component's shell script start `executable`, isolated if this process is.

    The function that this stands for also replaces the word in parameters: a model below python3/ was not found.
    """
    python = f"{executable} -I" if sys.flags.isolated else executable
    return [
        part.replace("python3 -m", f"{python} -m", 1) if "kfp.dsl.executor_main" in part else part
        for part in full_command
    ]


def _take_every_command(handler: object, full_command: list[str]) -> None:
    """Take the command of a container."""


def signal_name(number: int) -> str:
    """SIGTERM for 15."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
