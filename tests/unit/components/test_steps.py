"""How steps end: in one line, and without telling anybody else."""

import os
import subprocess
import sys

import pytest
from mooring_artifacts.run_documents import parse_verdict

TELL = "from mooring_components.steps import tell_errors_in_one_line; tell_errors_in_one_line()\n"


@pytest.mark.parametrize(
    ("raised", "last"),
    [
        (
            "from mooring_artifacts.errors import InputError\nraise InputError('two\\nlines')",
            "InputError: two lines",
        ),
        ("from mooring_components.parquet import TooLarge\nraise TooLarge('large')", "TooLarge: large"),
        (
            "from mooring_artifacts.errors import StoreUnavailable\nraise StoreUnavailable('s3')",
            "StoreUnavailable: s3",
        ),
        ("raise MemoryError('no memory')", "MemoryError: no memory"),
    ],
)
def test_what_a_person_has_to_correct_is_one_line(raised, last):
    program = f"{TELL}try:\n    1 / 0\nexcept ArithmeticError:\n    exec({raised!r})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, f"{last}\n")


def test_what_we_have_to_correct_is_a_traceback():
    done = subprocess.run([sys.executable, "-c", f"{TELL}1 / 0"], capture_output=True, text=True, check=False)
    assert done.stderr.startswith("Traceback")
    assert done.stderr.endswith("ZeroDivisionError: division by zero\n")


LEAVE = """
from mooring_components.steps import Place, tell_errors_in_one_line
from mooring_components.parquet import TooLarge
from mooring_artifacts.errors import InputError, StoreUnavailable
tell_errors_in_one_line(Place("fetch-model", "run-1", {uri!r}))
raise {raised}
"""


def left(uri, raised, **environment):
    """The output of a step that fails."""
    return subprocess.run(
        [sys.executable, "-c", LEAVE.format(uri=uri, raised=raised)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize(
    ("raised", "reason", "message"),
    [
        ("InputError('no such file')", "InvalidInput", "fetch-model: no such file"),
        ("TooLarge('large')", "TooLarge", "fetch-model: large"),
        ("StoreUnavailable('s3 is away')", "StoreUnavailable", "fetch-model: s3 is away"),
        ("MemoryError()", "OutOfMemory", "fetch-model: it had no memory left"),
        ("KeyError('x')", "StepFailed", "fetch-model: KeyError: 'x'"),
        ("InputError('https://s/x?sig=1 is away')", "InvalidInput", "fetch-model: https://s/x?... is away"),
        ("InputError('x' * 5000)", "InvalidInput", "fetch-model: " + "x" * 984 + "..."),
    ],
)
def test_a_step_leaves_its_reason_where_the_verdict_would_be(tmp_path, raised, reason, message):
    assert left(f"file://{tmp_path}/v.json", raised).returncode == 1
    found = parse_verdict((tmp_path / "v.json").read_bytes())
    assert (found.run_id, found.error.reason, found.error.message) == ("run-1", reason, message)


def test_where_the_run_leaves_the_reason_a_step_does_not(tmp_path):
    done = left(f"file://{tmp_path}/v.json", "InputError('x')", MOORING_RUN_ID="run-1")
    assert (done.returncode, done.stderr, list(tmp_path.iterdir())) == (1, "InputError: x\n", [])


def test_a_reason_that_cannot_be_left_is_told_after_the_error(tmp_path):
    done = left(f"file://{tmp_path}", "InputError('x')")
    assert done.returncode == 1
    first, second = done.stderr.splitlines()
    assert first == "InputError: x"
    assert second.startswith("the reason is not left where the verdict would be (")


@pytest.mark.parametrize("module", ["mooring_components.models", "mooring_inference.backends.onnx.backend"])
def test_onnx_runtime_reports_nothing_to_its_maker(tmp_path, module):
    # It keeps the identity that it reports under in the user's cache.
    program = f"import {module}, onnxruntime; print(onnxruntime.__version__)"
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, check=True, capture_output=True)
    assert done.stdout
    assert list(tmp_path.rglob("*onnxruntime*")) == []
