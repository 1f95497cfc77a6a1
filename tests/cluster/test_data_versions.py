"""Versions of datasets in a real S3 server: by the command line, and by two writers at once."""

import json
import subprocess
import sys

import pytest
from mooring_artifacts.data_versions.references import parse_dataset
from mooring_artifacts.data_versions.store import DataStore
from mooring_artifacts.storage import write

from tests.unit.cli_world import invoke
from tests.unit.components.test_data_pruning import pushers_and_pruners, writers_and_readers
from tests.unit.components.test_data_versions import WRITER


@pytest.fixture
def bucket(s3_store, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    return f"s3://{s3_store.bucket}"


def test_versions_are_pushed_listed_and_compared(bucket, tmp_path, capsys):
    (tmp_path / "rows.csv").write_text("a,label\n1,x\n")
    # More than goes into one request.
    (tmp_path / "large.csv").write_bytes(b"a,label\n" + b"1,x\n" * (5 << 20))
    for rows in ("rows.csv", "large.csv", "rows.csv"):
        assert invoke(capsys, "data", "push", rows, f"{bucket}/shown/iris")[0] == 0
    code, out, _ = invoke(capsys, "data", "list", f"{bucket}/shown/iris", "-o", "json")
    assert (code, [(each["number"], each["rows"]) for each in json.loads(out)]) == (0, [(2, 5 << 20), (1, 1)])
    code, out, _ = invoke(capsys, "data", "list", f"{bucket}/shown")
    assert (code, out.splitlines()[1].split()[:2]) == (0, ["iris", "2"])
    code, out, _ = invoke(capsys, "data", "diff", f"{bucket}/shown/iris@1", "@2")
    assert (code, "Removed" in out, "large.csv" in out) == (1, True, True)


def test_rows_of_a_bucket_are_pushed_too(bucket, capsys):
    write(f"{bucket}/rows/part/a.csv", b"a,label\n1,x\n")
    write(f"{bucket}/rows/notes.txt", b"what is what")
    code, out, err = invoke(capsys, "data", "push", f"{bucket}/rows", f"{bucket}/copied/iris", "-o", "json")
    assert (code, err) == (0, "no files of rows, and left out: notes.txt\n")
    store = DataStore(parse_dataset(f"{bucket}/copied/iris").store)
    assert [file.path for file in store.manifest(json.loads(out)["version"]).files] == ["part/a.csv"]


def test_two_processes_at_once_lose_nothing(bucket, tmp_path):
    dataset, writers = parse_dataset(f"{bucket}/race/iris"), []
    for me in ("one", "two"):
        (tmp_path / me).mkdir()
        writers.append(
            subprocess.Popen(
                [sys.executable, "-c", WRITER, str(tmp_path / me), me, str(dataset)],
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    for writer in writers:
        assert (writer.communicate()[1], writer.returncode) == ("", 0)
    records = DataStore(dataset.store).records(dataset.name)
    assert [record.number for record in records] == list(range(1, 91))
    assert len({record.version for record in records}) == 90


def test_what_is_pushed_while_others_prune_is_whole(bucket, tmp_path):
    pushers_and_pruners(tmp_path, f"{bucket}/pruned")


def test_the_newest_is_read_while_two_push_and_one_prunes(bucket, tmp_path):
    writers_and_readers(tmp_path, f"{bucket}/read", turns=45)


def test_a_store_without_conditional_writes_is_refused(bucket, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("AWS_CONDITIONAL_PUT", "disabled")
    (tmp_path / "rows.csv").write_text("a,label\n1,x\n")
    code, _, err = invoke(capsys, "data", "push", "rows.csv", f"{bucket}/refused/iris")
    assert code == 2
    assert f"error: {bucket}/refused cannot create a file only where there is none" in err


def test_wrong_credentials_are_one_line(bucket, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    (tmp_path / "rows.csv").write_text("a,label\n1,x\n")
    for arguments in (("list", f"{bucket}/v"), ("push", "rows.csv", f"{bucket}/v/iris")):
        code, _, err = invoke(capsys, "data", *arguments)
        assert (code, len(err.splitlines()), "403" in err) == (2, 1, True)
