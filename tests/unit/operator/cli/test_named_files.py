"""Files that commands are given by name: what cannot be read ends in one line, whatever it is."""

import io
import os
import sys
import tempfile

import pytest

from tests.unit.cli_world import invoke

LONG = "x" * 300
MANIFEST = """\
apiVersion: mooring.dev/v1alpha1
kind: ModelDeployment
metadata: {name: iris}
spec:
  model: {uri: s3://models/iris/1, format: onnx}
  ci: {testData: {uri: s3://data/iris, labelColumn: label}}
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "iris.yaml").write_text(MANIFEST)
    return tmp_path


def refused(capsys, *arguments):
    code, out, err = invoke(capsys, *arguments)
    line, *more = err.splitlines()
    assert (code, out) == (2, "")
    assert all(each.startswith("hint: ") for each in more)
    return line.removeprefix("error: ")


@pytest.mark.parametrize("command", [("validate",), ("rehearse",), ("ci", "check"), ("ci", "run")])
@pytest.mark.parametrize(
    ("name", "says"),
    [
        (LONG, f"{LONG}: File name too long"),
        ("", "'' is no name of a file or folder"),
        ("iris.yaml/below", "iris.yaml/below: Not a directory"),
        ("/dev/zero", "/dev/zero: more than 64 MiB are no manifest"),
    ],
    ids=["too long a name", "no name", "below a file", "endless"],
)
def test_a_manifest_that_cannot_be_read_is_told_in_one_line(here, capsys, command, name, says):
    code, _, err = invoke(capsys, *command, name)
    assert code in (1, 2)
    assert says in err
    assert "Traceback" not in err
    assert len(err.splitlines()) == 1


def test_a_file_of_holes_is_not_read_to_its_end(here, capsys):
    with (here / "huge.yaml").open("wb") as file:
        file.truncate(1 << 40)
    assert refused(capsys, "ci", "check", "huge.yaml") == "huge.yaml: more than 64 MiB are no manifest"


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"\xff\xfe", "<stdin>: is no UTF-8 text"), (b" " * ((64 << 20) + 1), "more than 64 MiB")],
    ids=["no text", "too long"],
)
def test_standard_input_is_read_as_files_are(here, capsys, monkeypatch, content, says):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert says in refused(capsys, "ci", "check", "-")


def test_a_folder_that_cannot_be_looked_into_is_told(here, capsys, monkeypatch):
    (here / "deploy" / "locked").mkdir(parents=True)
    (here / "deploy" / "a.yaml").write_text(MANIFEST)
    scandir = os.scandir

    def refusing(path):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    assert refused(capsys, "ci", "check", "deploy") == "deploy/locked: Permission denied"


def test_a_folder_of_several_pipelines_is_none(here, capsys):
    (here / "other.yaml").write_text("pipelineInfo: {name: x}\n")
    assert refused(capsys, "ci", "check", ".") == ". is a folder of 2 files: name the one with the pipeline"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("ci", "run", "iris.yaml", "--model", LONG), f"--model '{LONG}': File name too long"),
        (("ci", "run", "iris.yaml", "--model", "none"), "--model 'none': no such file or folder"),
        (
            ("ci", "run", "iris.yaml", "--champion", "iris.yaml/x"),
            "--champion 'iris.yaml/x': Not a directory",
        ),
        (("data", "latest", LONG), "cannot be a dataset's name"),
        (("data", "list", "iris.yaml"), "iris.yaml/names: Not a directory"),
        (("audit", "iris.yaml"), "is a file; a trail is a folder"),
        (("schema", "infer", "fifo.csv"), "fifo.csv' is neither a plain file nor a folder"),
    ],
    ids=lambda it: " ".join(it)[:24] if isinstance(it, tuple) else "",
)
def test_what_a_command_is_given_and_cannot_read_is_told_in_one_line(here, capsys, arguments, says):
    os.mkfifo(here / "fifo.csv")
    line = refused(capsys, *arguments)
    assert says in line
    assert "Generic" not in line


def test_a_page_that_cannot_be_written_is_told_before_the_test(here, capsys, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: not (str(path) == str(here) and mode == os.W_OK))
    arguments = ("ci", "run", "iris.yaml", "--model", "iris.yaml", "--test-data", "iris.yaml")
    line = refused(capsys, *arguments, "--report", "page.html")
    assert line == f"--report page.html: nothing may be written into {here}"


def test_a_parameter_of_any_name_is_told_on_one_line(here, capsys):
    (here / "odd.yaml").write_text(
        'pipelineInfo: {name: x}\nroot: {inputDefinitions: {parameters: {"x\\n\\e[31my": {}}}}\n'
    )
    code, out, _ = invoke(capsys, "ci", "check", "odd.yaml")
    assert code == 1
    assert (
        "odd.yaml: parameter x \\u001b[31my is none that Mooring gives: give it a default" in out.splitlines()
    )


def test_a_place_for_files_that_is_missing_is_told_with_its_name(here, capsys, monkeypatch):
    (here / "rows.csv").write_text("x\n1\n")
    monkeypatch.setattr(tempfile, "tempdir", str(here / "gone"))
    line = refused(capsys, "schema", "infer", "rows.csv")
    assert line.startswith(str(here / "gone"))
    assert line.endswith(": No such file or directory")
