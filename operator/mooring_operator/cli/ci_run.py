"""Runs the pipeline model-ci in a process of its own, as the pod of a Job does, and reads its verdict."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mooring_artifacts.data_versions.references import is_reference
from mooring_artifacts.errors import InputError
from mooring_artifacts.gates import TestGate
from mooring_artifacts.run_documents import (
    LARGEST_VERDICT,
    RunFailure,
    Verdict,
    describe_failure,
    parse_verdict,
)
from mooring_artifacts.uris import parse, redact

from mooring_operator.api import ModelDeploymentSpec
from mooring_operator.cli.addresses import as_address
from mooring_operator.cli.errors import CliError
from mooring_operator.planning.runs.model_ci import ci_parameters

Told = Callable[[str, float | None, str], None]
"""Is told a step, its seconds once it has ended, and what was wrong with it."""

_PIPELINE = "model-ci"
MOST_SLICES = 4
_NEEDED = (
    "mooring_pipelines",
    "kfp",
    "mooring_components",
    "obstore",
    "pyarrow",
    "onnxruntime",
    "jinja2",
    "polars",
)
_LAST_WORDS_SECONDS = 20.0
_TAIL_LINES = 5


@dataclass(frozen=True)
class Asked:
    """A test: the pipeline's parameters, but for where it writes, the gates, and how long it may take."""

    parameters: dict[str, Any]
    gates: list[TestGate]
    seconds: float


def ask(
    spec: ModelDeploymentSpec,
    model: str | None,
    test_data: str | None,
    champion: str | None,
    slices: Sequence[str] = (),
    endpoint: str | None = None,
    explain: int = 0,
) -> Asked:
    """Say what is tested on what, at `endpoint` where the model is served; addresses and slices that are given stand
    for those of the spec. `explain` is by how many rows features are ranked.

    Raises:
        CliError: the spec has no test, or an address is none of a file or a store.
    """
    if spec.ci is None:
        raise CliError("spec.ci is missing: it says what the model is tested on")
    parameters: dict[str, Any] = {
        **ci_parameters(spec.ci),
        "model_uri": spec.model.uri,
        "model_digest": spec.model.digest or "",
        "model_format": spec.model.format,
    }
    if model is not None:
        parameters |= {"model_uri": _address(model, "--model"), "model_digest": ""}
    if test_data is not None:
        rows = as_address(test_data)
        rows = rows if is_reference(rows) else _address(test_data, "--test-data")
        parameters |= {"test_data_uri": rows, "test_data_digest": ""}
    if champion is not None:
        parameters["champion_uri"] = _address(champion, "--champion")
    if endpoint is not None:
        parameters["endpoint"] = endpoint
    if len(slices) > MOST_SLICES:
        raise CliError(f"--slice names {len(slices)} columns; {MOST_SLICES} are allowed")
    if slices:
        parameters["test_options"] = {**parameters["test_options"], "slices": list(slices)}
    if explain:
        parameters["test_options"] = {**parameters["test_options"], "explain": explain}
    if endpoint is None:
        # Of what is served elsewhere the files are only looked at where that can be done.
        _check(parameters["model_uri"], "spec.model.uri", "--model")
    _check(parameters["test_data_uri"], "spec.ci.testData.uri", "--test-data")
    return Asked(parameters, list(spec.ci.gates), spec.ci.timeout.total_seconds())


def _address(text: str, option: str) -> str:
    missing = "no such file or folder"
    # An empty text would be the folder that this runs in.
    if text:
        try:
            os.stat(text)
        except FileNotFoundError:
            pass
        except OSError as error:
            missing = error.strerror or str(error)
        else:
            return Path(text).absolute().as_uri()
    try:
        parse(text, option)
    except InputError as error:
        if "://" in text:
            raise CliError(str(error)) from None
        raise CliError(f"{option} {text!r}: {missing}") from None
    return text


def _check(uri: str, field: str, option: str) -> None:
    try:
        parse(uri, field)
    except InputError as error:
        raise CliError(
            f"{field} {redact(uri)} is for the operator or KServe to resolve" if ":/" in uri else str(error),
            hint=f"{option} names a path or an address with its files",
        ) from None


def test(
    asked: Asked, folder: Path, page: Path | None, tell: Told, show: Callable[[str], object] | None
) -> Verdict | RunFailure:
    """Run to the end and give what was written where the operator would read it.

    Args:
        asked: the test.
        folder: an empty one, for what the run writes.
        page: where its page goes; None: nowhere.
        tell: is told of each step.
        show: is given each line that a step prints.

    Raises:
        CliError: the run cannot begin: a package is missing, or the page cannot be written.
    """
    if missing := next((name for name in _NEEDED if importlib.util.find_spec(name) is None), None):
        raise CliError(
            f"testing models needs a package that is not installed: {missing}",
            hint="install kube-mooring with its extras cli, pipelines and components",
        )
    if page is not None and os.path.isdir(page):
        raise CliError(f"--report {page} is a folder: name a file")
    if page is not None and not os.path.isdir(page.absolute().parent):
        raise CliError(f"--report {page}: there is no folder {page.absolute().parent}")
    if page is not None and not os.access(page.absolute().parent, os.W_OK):
        # Said before the test, which would end by it without a verdict.
        raise CliError(f"--report {page}: nothing may be written into {page.absolute().parent}")
    run_id, verdict = str(uuid.uuid4()), folder / "verdict.json"
    parameters = {
        **asked.parameters,
        "verdict_uri": verdict.as_uri(),
        "page_uri": "" if page is None else page.absolute().as_uri(),
    }
    environment = {
        **os.environ,
        "MOORING_RUN_ID": run_id,
        "MOORING_RUN_PARAMETERS": json.dumps(parameters),
        "TMPDIR": str(folder),
    }
    with _started(environment, asked.seconds) as process:
        last = _follow(process, tell, show)
    try:
        content = verdict.read_bytes()[: LARGEST_VERDICT + 1]
    except FileNotFoundError:
        return describe_failure(
            run_id, "RunFailed", last or f"the run ended with status {process.returncode}"
        )
    try:
        return parse_verdict(content)
    except InputError as error:
        return describe_failure(run_id, "VerdictInvalid", str(error))


test.__test__ = False  # type: ignore[attr-defined]  # not a test case, whatever pytest makes of the name


@contextmanager
def _started(environment: dict[str, str], seconds: float) -> Iterator[subprocess.Popen[str]]:
    """Start the run; it is ended with this block, after its time, and with this process."""

    def end(*_: object) -> None:
        raise SystemExit(128 + signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, end)
    process = subprocess.Popen(
        # -P: nothing in the folder that this is started in is taken for a package.
        [sys.executable, "-P", "-m", "mooring_pipelines", "run", f"--pipeline={_PIPELINE}"],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    deadline = threading.Timer(seconds, process.terminate)
    deadline.daemon = True
    deadline.start()
    try:
        yield process
    finally:
        deadline.cancel()
        signal.signal(signal.SIGTERM, before)
        process.terminate()
        try:
            process.wait(_LAST_WORDS_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _follow(process: subprocess.Popen[str], tell: Told, show: Callable[[str], object] | None) -> str:
    """Tell of each line of the run's log until it ends, and give the last lines that are none of it."""
    assert process.stdout is not None
    strange: list[str] = []
    for line in process.stdout:
        try:
            entry = json.loads(line)
            message = str(entry["message"])
        except (ValueError, TypeError, KeyError):
            strange = [*strange, line.strip()][-_TAIL_LINES:]
            continue
        step = str(entry.get("step", ""))
        if entry.get("output"):
            if show is not None:
                show(f"{step}| {message}\n")
        elif message == "step started":
            tell(step, None, "")
        elif step and "seconds" in entry:
            tell(step, float(entry["seconds"]), str(entry.get("error", "")))
    process.wait()
    return " ".join(strange)
