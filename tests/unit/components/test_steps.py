"""How steps end: in one line, and without telling anybody else."""

import subprocess
import sys

import pytest

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


@pytest.mark.parametrize("module", ["mooring_components.models", "mooring_inference.backends.onnx.backend"])
def test_onnx_runtime_reports_nothing_to_its_maker(tmp_path, module):
    # It keeps the identity that it reports under in the user's cache.
    program = f"import {module}, onnxruntime; print(onnxruntime.__version__)"
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, check=True, capture_output=True)
    assert done.stdout
    assert list(tmp_path.rglob("*onnxruntime*")) == []
