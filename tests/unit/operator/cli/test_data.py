"""``mooring data``: versions are pushed, listed, shown and compared; what cannot be had is one line."""

import json
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
import yaml
from mooring_operator.cli.commands import data

from tests.unit.cli_world import invoke


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.csv").write_text("a,label\n1,x\n2,y\n")
    return tmp_path


@pytest.fixture
def pushed(here, capsys):
    """A store with two versions of iris."""
    assert invoke(capsys, "data", "push", "rows.csv", "store/iris", "-m", "the first")[0] == 0
    (here / "rows.csv").write_text("a,label\n1,x\n2,y\n3,z\n")
    assert invoke(capsys, "data", "push", "rows.csv", "store/iris")[0] == 0
    return here


def as_json(capsys, *arguments, code=0):
    found, out, err = invoke(capsys, "data", *arguments, "-o", "json")
    assert (found, err) == (code, "")
    return json.loads(out)


@pytest.mark.parametrize("command", [("list",), ("show",), ("push", "rows.csv"), ("prune",)])
@pytest.mark.parametrize(("place", "begins"), [("s3:/data/iris", "s3"), ("file:x@1", "file")])
def test_an_address_with_one_slash_is_no_path(here, capsys, command, place, begins):
    code, out, err = invoke(capsys, "data", *command, place)
    assert (code, out) == (2, "")
    assert err.splitlines() == [
        f"error: {place} is neither an address nor a file: addresses begin with {begins}://",
        f"hint: ./{place} is a path",
    ]


def test_a_store_in_a_folder_that_is_called_as_an_address_begins_is_one(here, capsys):
    for store in ("./s3:/iris", "s3:/iris"):
        code, _, err = invoke(capsys, "data", "push", "rows.csv", store)
        assert (code, err) == (0, "")


def test_a_push_says_which_version_it_is(here, capsys):
    code, out, err = invoke(capsys, "data", "push", "rows.csv", "store/iris")
    uri = f"{(here / 'store/iris').as_uri()}@1"
    first, digest = out.splitlines()
    assert (code, err, first) == (0, "", f"{uri} is new: 2 rows, 2 columns, 1 file, 16 B")
    again = as_json(capsys, "push", "rows.csv", "store/iris")
    assert (again["uri"], again["version"], again["new"], again["uploaded"]) == (uri, digest, False, 0)
    other = invoke(capsys, "data", "push", "rows.csv", "store/flowers")[1]
    assert f"{uri} is the same version" in other
    (here / "renamed.csv").write_bytes((here / "rows.csv").read_bytes())
    code, out, _ = invoke(capsys, "data", "push", "renamed.csv", "store/iris")
    assert (code, out.splitlines()[1:]) == (
        0,
        ["its files are called otherwise: the names in that version count", digest],
    )


def test_files_that_are_no_rows_are_left_out_and_said(here, capsys):
    (here / "rows").mkdir()
    pl.DataFrame({"x": [1]}).write_parquet(here / "rows/a.parquet")
    (here / "rows/_SUCCESS").write_text("")
    code, _, err = invoke(capsys, "data", "push", "rows", "store/iris")
    assert (code, err) == (0, "no files of rows, and left out: _SUCCESS\n")


def test_stores_and_datasets_are_listed(pushed, capsys):
    invoke(capsys, "data", "push", "rows.csv", "store/flowers")
    code, out, _ = invoke(capsys, "data", "list", "store")
    header, flowers, iris = out.splitlines()
    assert (code, header.split()[:4]) == (0, ["NAME", "LATEST", "VERSION", "ROWS"])
    assert (flowers.split()[:2], iris.split()[:2]) == (["flowers", "1"], ["iris", "2"])
    code, out, _ = invoke(capsys, "data", "list", "store/iris")
    assert [line.split()[0] for line in out.splitlines()] == ["NUMBER", "2", "1"]
    assert "the first" in out
    assert [each["number"] for each in as_json(capsys, "list", "store/iris")] == [2, 1]
    assert [each["name"] for each in as_json(capsys, "list", "store")] == ["flowers", "iris"]


def test_a_version_is_shown_by_number_digest_and_as_the_newest(pushed, capsys):
    newest = as_json(capsys, "show", "store/iris@latest")
    assert (newest["number"], newest["rows"]) == (2, 3)
    assert newest["columns"] == [{"name": "a", "type": "text"}, {"name": "label", "type": "text"}]
    assert [file["path"] for file in newest["files"]] == ["rows.csv"]
    assert as_json(capsys, "show", f"store/iris@{newest['version'][:16]}") == newest
    code, out, _ = invoke(capsys, "data", "show", "store/iris@1")
    assert code == 0
    assert "the first" in out
    assert "rows.csv" in out
    code, out, _ = invoke(capsys, "data", "latest", "store/iris")
    assert (code, out.strip()) == (0, newest["uri"])
    code, out, _ = invoke(capsys, "data", "latest", newest["uri"].rpartition("@")[0], "-o", "yaml")
    assert yaml.safe_load(out)["version"] == newest["version"]


def test_a_difference_is_exit_code_1(pushed, capsys):
    code, out, _ = invoke(capsys, "data", "diff", "store/iris@1", "@latest")
    assert code == 1
    assert "+1 rows, +4 B" in out
    assert "Changed" in out
    found = as_json(capsys, "diff", "store/iris@2", "store/iris@1", code=1)
    assert (found["rows"], [change["change"] for change in found["files"]]) == (-1, ["Changed"])
    code, out, _ = invoke(capsys, "data", "diff", "store/iris@1", "@1")
    assert code == 0
    assert "the same content" in out


def test_a_version_is_pushed_to_another_store(pushed, capsys):
    first = as_json(capsys, "show", "store/iris@1")
    copied = as_json(capsys, "push", "store/iris@1", "other/iris")
    assert (copied["version"], copied["rows"], copied["new"]) == (first["version"], 2, True)
    assert as_json(capsys, "show", "other/iris@latest")["files"] == first["files"]


def test_old_versions_are_pruned_once_they_were_shown(pushed, capsys, monkeypatch):
    for content in ("a,label\n4,x\n", "a,label\n5,x\n"):
        (pushed / "rows.csv").write_text(content)
        invoke(capsys, "data", "push", "rows.csv", "store/iris")
    strict = ("store/iris", "--keep-last", "1", "--keep", "@2")
    # What was the newest this month stays.
    assert as_json(capsys, "prune", *strict) == {"dryRun": False, "versions": [], "files": 0, "bytes": 0}
    monkeypatch.setattr(data, "_now", lambda: datetime.now(UTC) + timedelta(days=31))
    code, out, _ = invoke(capsys, "data", "prune", *strict, "--dry-run")
    assert (code, [line.split()[:2] for line in out.splitlines()[1:-1]]) == (
        0,
        [["iris", "1"], ["iris", "3"]],
    )
    assert out.splitlines()[-1] == "would be deleted: 2 versions, 2 files, 28 B"
    found = as_json(capsys, "prune", *strict)
    assert ([each["number"] for each in found["versions"]], found["files"]) == ([1, 3], 2)
    assert [each["number"] for each in as_json(capsys, "list", "store/iris")] == [4, 2]
    assert "3 was pruned, the latest is 4" in invoke(capsys, "data", "show", "store/iris@3")[2]
    code, out, _ = invoke(capsys, "data", "prune", "store", "--keep-last", "1")
    assert (code, out.splitlines()[-1]) == (0, "deleted: 1 version, 1 file, 20 B")


def test_text_of_others_moves_no_cursor(here, capsys):
    (here / "rows.csv").write_text("a\x1b[31m,b\n1,2\n")
    assert invoke(capsys, "data", "push", "rows.csv", "store/iris")[0] == 0
    out = invoke(capsys, "data", "show", "store/iris@1")[1]
    assert "\x1b" not in out
    assert "\\u001b[31m" in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("show", "store/iris@7"), "there is no such version of 'iris': it has 2, the latest is 2"),
        (("show", "store/none@latest"), "there is no such version of 'none': it has none"),
        (("show", "store/iris"), "names no version of a dataset: write STORE/NAME@latest"),
        (("show", ""), "names no version of a dataset"),
        (("diff", "store/iris@1", "@x"), "names no version of a dataset"),
        (("latest", "store/none"), "there is no such version of 'none'"),
        (("list", "nowhere"), "nowhere holds no datasets, and is none"),
        (("list", ""), "STORE ''"),
        (("prune", "nowhere"), "nowhere holds no datasets, and is none"),
        (("prune", "store/none"), "store/none holds no datasets, and is none"),
        (("prune", "store", "--keep", "2"), "--keep needs one dataset: STORE/NAME"),
        (
            ("prune", "store/iris", "--keep", "x"),
            "--keep 'x' is no version: write latest, NUMBER or sha256:HEX",
        ),
        (("prune", "store/iris", "--keep", "7"), "there is no version 7 to keep"),
        (("push", "nothing.csv", "store/x"), "nothing.csv' does not exist"),
        (("push", "", "store/x"), "ROWS '' is not allowed"),
        (("push", "empty", "store/x"), "empty' holds no files"),
        (("push", "picture.csv", "store/x"), "picture.csv is not in UTF-8: byte 0x89 in a column's name"),
        (("push", "rows.csv", "store/Odd Name"), "'Odd Name' cannot be a dataset's name: write lower-case"),
        (("push", "rows.csv", "store/a@1"), "'a@1' cannot be a dataset's name"),
        (("push", "rows.csv", "ftp://host/x"), "its scheme is none of file, s3, gs, az"),
        (("push", "rows.csv", "s3://bucket"), "it names no file or folder"),
        (("push", "rows.csv", "store/x", "-m", "a\nb"), "the description is not one line"),
    ],
)
def test_what_cannot_be_had_is_one_line(pushed, capsys, arguments, says):
    (pushed / "empty").mkdir()
    (pushed / "picture.csv").write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00,1\n2\n")
    code, out, err = invoke(capsys, "data", *arguments)
    assert (code, out) == (2, "")
    lines = err.splitlines()
    assert lines[0].startswith("error: ")
    assert says in lines[0]
    assert all(line.startswith("hint: ") for line in lines[1:])


def test_a_store_that_does_not_answer_is_one_line(here, capsys, monkeypatch):
    for name, value in {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
    }.items():
        monkeypatch.setenv(name, value)
    for arguments in (("list", "s3://b/v"), ("push", "rows.csv", "s3://b/v/iris")):
        code, _, err = invoke(capsys, "data", *arguments)
        assert code == 2
        (line,) = err.splitlines()
        assert line.startswith("error: s3://b/v: ")
