"""`python -m mooring_pipelines run`: one run of one shipped pipeline in this process, as the pod of a Job does it.

    MOORING_RUN_ID          names the run, in logs and in what it writes
    MOORING_RUN_PARAMETERS  a JSON object: the pipeline's parameters
    TMPDIR                  where files go, by default /tmp; nothing else is written

It logs one JSON object a line. The exit status is 0 only when every step succeeded: 1 when one failed, 2 when the run
could not begin, 143 after SIGTERM. Then a failure document goes to where the verdict or the report would have gone,
if that can be reached.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, TextIO

import yaml
from mooring_artifacts.errors import InputError
from mooring_artifacts.run_documents import RunFailure, describe_failure
from mooring_artifacts.uploads import check_destination, put_document
from mooring_artifacts.uris import hide_queries

from mooring_pipelines.compilation import PACKAGED
from mooring_pipelines.parameters import check_parameters
from mooring_pipelines.stopping import Stopped, StopSignals

if TYPE_CHECKING:
    from mooring_pipelines.execution import Failure

RUN_ID, PARAMETERS = "MOORING_RUN_ID", "MOORING_RUN_PARAMETERS"
# The parameters that say where a pipeline's document goes.
_DESTINATIONS = ("verdict_uri", "report_uri")
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_PLACEHOLDER = "{{$"
_FAILED, _REFUSED = 1, 2
_DOCUMENT_SECONDS = 60.0
# A pod has 30 seconds between SIGTERM and SIGKILL, unless it says otherwise.
_LAST_WORDS_SECONDS = 10.0


@dataclass(frozen=True)
class Run:
    """A run whose parameters fit its pipeline; `spec` is the compiled pipeline as JSON."""

    run_id: str
    spec: str
    parameters: Mapping[str, Any]


class Log:
    """One JSON object a line, without the queries of URLs: a signed URL is a password."""

    def __init__(self, stream: TextIO, run_id: str) -> None:
        self._stream = stream
        self._run_id = run_id
        self._writing = threading.Lock()

    def write(self, message: str, level: str = "info", **fields: object) -> None:
        """Write one line."""
        shown = {
            name: hide_queries(value) if isinstance(value, str) else value for name, value in fields.items()
        }
        entry = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "level": level,
            "message": hide_queries(message),
            "runId": self._run_id,
            **shown,
        }
        with self._writing:
            self._stream.write(json.dumps(entry) + "\n")
            self._stream.flush()


class LogRecorder:
    """Says in the log what becomes of a run's steps, and what they print.

    Attributes:
        running: the step that runs; empty where none does.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._began: list[float] = []
        self.running = ""

    def started(self, task: str) -> int:
        """A step begins."""
        self.running = task
        self._began.append(monotonic())
        self._log.write("step started", step=task)
        return len(self._began) - 1

    def finished(self, attempt: int, task: str, failure: Failure | None, outputs: Mapping[str, Any]) -> None:
        """A step ended."""
        self.running = ""
        seconds = round(monotonic() - self._began[attempt], 3)
        if failure is None:
            self._log.write("step succeeded", step=task, seconds=seconds)
            return
        self._log.write(
            "step failed", "error", step=task, seconds=seconds, reason=failure.reason, error=failure.message
        )

    def wrote(self, task: str, text: str) -> None:
        """A step printed a line."""
        self._log.write(text, step=task, output=True)


def run_pipeline(pipeline: str, environment: Mapping[str, str], stream: TextIO) -> int:
    """Run `pipeline` as the environment says; returns the exit status."""
    signals = StopSignals()
    log = Log(stream, environment.get(RUN_ID, ""))
    recorder = LogRecorder(log)
    parameters: Mapping[str, Any] = {}
    try:
        parameters = read_parameters(environment)
        run = check_run(pipeline, environment.get(RUN_ID, ""), parameters)
        log.write("run started", pipeline=pipeline)
        with _workplace(environment) as place:
            failure = _execute(run, Path(place), environment, recorder, signals)
            signals.ignore()
            if failure is None:
                log.write("run succeeded")
                return 0
            log.write("run failed", "error", reason=failure.reason, error=failure.message)
            _leave_failure(log, run.run_id, parameters, failure.reason, failure.message, _DOCUMENT_SECONDS)
            return _FAILED
    except InputError as error:
        signals.ignore()
        log.write("run refused", "error", reason="ParametersInvalid", error=str(error))
        _leave_failure(
            log, environment.get(RUN_ID, ""), parameters, "ParametersInvalid", str(error), _DOCUMENT_SECONDS
        )
        return _REFUSED
    except Stopped:
        assert signals.received is not None
        during = f" during step {recorder.running}" if recorder.running else ""
        message = f"the run was ended by {signals.received.name}{during}: by its deadline, or with its pod"
        log.write("run stopped", "error", reason="Terminated", error=message)
        _leave_failure(
            log, environment.get(RUN_ID, ""), parameters, "Terminated", message, _LAST_WORDS_SECONDS
        )
        return 128 + signals.received


def read_parameters(environment: Mapping[str, str]) -> Mapping[str, Any]:
    """The parameters in the environment.

    Raises:
        InputError: there are none, or they are no JSON object.
    """
    text = environment.get(PARAMETERS)
    if text is None:
        raise InputError(f"{PARAMETERS} is not set: write the pipeline's parameters as a JSON object")
    try:
        parameters = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{PARAMETERS} is not JSON: {error}") from error
    if not isinstance(parameters, dict):
        raise InputError(f"{PARAMETERS} is not a JSON object but {type(parameters).__name__}")
    return parameters


def check_run(pipeline: str, run_id: str, parameters: Mapping[str, Any]) -> Run:
    """The run of a shipped pipeline.

    Raises:
        InputError: its id, its parameters or the place for its document are not allowed.
    """
    if not _RUN_ID.fullmatch(run_id):
        raise InputError(
            f"{RUN_ID} {run_id!r:.200} is not allowed: write up to 128 letters, digits, '-', '_' and '.'"
        )
    documents = yaml.safe_load_all((PACKAGED / f"{pipeline}.yaml").read_text())
    spec = next(document for document in documents if "pipelineInfo" in document)
    parameters = {"run_id": run_id, **parameters}
    try:
        check_parameters(spec, parameters)
    except InputError as error:
        raise InputError(f"{PARAMETERS}: {error}") from None
    for name, value in parameters.items():
        # In a parameter it would become another parameter's value, such as a signed URL.
        if _PLACEHOLDER in json.dumps(value):
            raise InputError(
                f"{PARAMETERS}: {name} holds {_PLACEHOLDER!r}, which Kubeflow Pipelines would replace"
            )
    if parameters["run_id"] != run_id:
        raise InputError(f"{PARAMETERS}: run_id {parameters['run_id']!r:.200} is not {RUN_ID} {run_id!r}")
    for name in _DESTINATIONS:
        if name in parameters:
            check_destination(parameters[name], name)
    if parameters.get("page_uri"):
        check_destination(parameters["page_uri"], "page_uri")
    return Run(run_id, json.dumps(spec), parameters)


def _execute(
    run: Run, place: Path, environment: Mapping[str, str], recorder: LogRecorder, signals: StopSignals
) -> Failure | None:
    """Run to the end, with all files below `place`."""
    for name in ("empty", "tmp"):
        (place / name).mkdir()
    # What only this process needs to know, its steps are told by their arguments.
    inherited = {name: value for name, value in environment.items() if name != PARAMETERS}
    # Importing it takes seconds, in which the run can be stopped, too. It tells people what the log has anyway.
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        # KFP's own word for where nothing is compiled: two thirds of what it imports are for that.
        os.environ["_KFP_RUNTIME"] = "true"
        from mooring_pipelines.execution import Execution, OwnGroups

        groups = OwnGroups({**inherited, "TMPDIR": str(place / "tmp")}, place / "empty")
        execution = Execution(recorder, groups)
        signals.before = execution.stop
        return execution.run(run.spec, run.parameters, place)


def _workplace(environment: Mapping[str, str]) -> tempfile.TemporaryDirectory[str]:
    base = environment.get("TMPDIR") or "/tmp"  # noqa: S108 - of a container
    try:
        return tempfile.TemporaryDirectory(prefix="mooring-run-", dir=base, ignore_cleanup_errors=True)
    except OSError as error:
        raise InputError(f"TMPDIR {base!r} cannot be written: {error.strerror}") from error


def _leave_failure(
    log: Log, run_id: str, parameters: Mapping[str, Any], reason: str, message: str, seconds: float
) -> None:
    """Put the failure document where the run's own would have gone, in `seconds` or not at all."""
    name = next((name for name in _DESTINATIONS if isinstance(parameters.get(name), str)), None)
    if name is None or not _RUN_ID.fullmatch(run_id):
        return
    failure = describe_failure(run_id, reason, hide_queries(message))

    def put() -> None:
        try:
            put_document(parameters[name], failure.to_json(), name, seconds=seconds)
            _put_page(failure, parameters, seconds)
        except Exception as error:  # this is about another error, which must not be lost
            log.write(
                "the failure document is not written", "error", error=f"{type(error).__name__}: {error}"
            )
        else:
            log.write("the failure document is written")

    # A store may stall in ways that no time-out of a client ends.
    writing = threading.Thread(target=put, daemon=True)
    writing.start()
    writing.join(seconds + 1)
    if writing.is_alive():
        log.write(f"the failure document is not written: the store took more than {seconds:g} s", "error")


def _put_page(failure: RunFailure, parameters: Mapping[str, Any], seconds: float) -> None:
    uri = parameters.get("page_uri")
    if not isinstance(uri, str) or not uri or "model_uri" not in parameters:
        return
    # Takes a third of a second, which runs that succeed need not spend.
    from mooring_components.report.page import render_failure

    page = render_failure(failure, str(parameters.get("model_uri")), str(parameters.get("test_data_uri")))
    put_document(uri, page.encode(), "page_uri", seconds=seconds)


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is no JSON number")
