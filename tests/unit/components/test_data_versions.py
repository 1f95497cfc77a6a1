"""Files of rows become versions: what they hold is told, and what is no table is refused."""

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime

import polars as pl
import pytest
from mooring_artifacts.data_versions.references import parse_dataset, parse_reference
from mooring_artifacts.data_versions.store import DataStore
from mooring_artifacts.errors import InputError
from mooring_artifacts.storage import content_digest
from mooring_components.data_versions import describe, push

NOW = datetime(2026, 11, 1, tzinfo=UTC)
ROWS = pl.DataFrame({"id": [1, 2, 3], "city": ["Bonn", None, "Paris"]})
WRITERS = {
    "a.parquet": ROWS.write_parquet,
    "a.csv": ROWS.write_csv,
    "a.jsonl": ROWS.write_ndjson,
    "a.arrow": ROWS.write_ipc,
}


@pytest.fixture
def dataset(tmp_path):
    return parse_dataset((tmp_path / "store" / "iris").as_uri())


def write(folder, **files):
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_bytes(content)
    return folder


@pytest.mark.parametrize("name", WRITERS)
def test_rows_and_columns_are_those_of_the_file(tmp_path, name):
    WRITERS[name](tmp_path / name)
    found = describe({name: tmp_path / name})
    typed = name in ("a.parquet", "a.arrow")
    types = [("id", "Int64"), ("city", "String")] if typed else [("id", "text"), ("city", "text")]
    assert (found.rows, [(c.name, c.type) for c in found.columns]) == (3, types)
    assert found.version == content_digest((tmp_path / name).as_uri())


def test_a_folder_is_one_version_of_all_its_files_of_rows(tmp_path, dataset):
    rows = tmp_path / "rows"
    (rows / "part").mkdir(parents=True)
    for name in ("one.parquet", "part/two.parquet"):
        ROWS.write_parquet(rows / name)
    (rows / "README.md").write_text("what is what")
    done = push(rows.as_uri(), dataset, NOW)
    assert [file.path for file in done.manifest.files] == ["one.parquet", "part/two.parquet"]
    assert (done.pushed.record.rows, done.left_out, done.pushed.new) == (6, ["README.md"], True)
    # Two files of one content are stored once.
    assert done.uploaded == (rows / "one.parquet").stat().st_size


def test_the_same_content_under_another_name_is_said(tmp_path, dataset):
    folder = write(tmp_path / "rows", a_csv=b"x\n1\n", b_csv=b"x\n1\n")
    first = push((folder / "a.csv").as_uri(), dataset, NOW)
    again = push((folder / "b.csv").as_uri(), dataset, NOW)
    assert (again.pushed.new, again.pushed.record) == (False, first.pushed.record)
    other = push((folder / "a.csv").as_uri(), parse_dataset(f"{dataset.store}/other"), NOW)
    assert (other.pushed.new, other.uploaded) == (True, 0)
    assert other.pushed.record.version == first.pushed.record.version
    assert [str(each) for each in other.elsewhere] == [f"{dataset}@1"]


def test_rows_may_lie_in_a_store_of_other_formats(tmp_path):
    folder = write(tmp_path / "rows", a_csv=b"x,y\n1,2\n", b_jsonl=b'{"x": 1}\n{"x": 2, "y": 3}\n')
    pl.DataFrame({"x": [1], "y": [2.5]}).write_parquet(folder / "c.parquet")
    found = describe({path.name: path for path in folder.iterdir()})
    assert (found.rows, [(c.name, c.type) for c in found.columns]) == (4, [("x", "Int64"), ("y", "Float64")])


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"a_csv": b""}, "a.csv is empty"),
        ({"a_csv": b"x,y\n"}, "'a.csv': there are no rows"),
        ({"a_csv": b"x,y\n1,2\n3\n"}, "a.csv: row 1 cannot be read: 1 cells, expected 2"),
        ({"a_csv": b"x,x\n1,2\n"}, "a.csv has two columns of the name 'x'"),
        ({"a_parquet": b"PAR1 no more"}, "a.parquet cannot be read as parquet"),
        ({"a_arrow": b"x" * 100}, "a.arrow cannot be read as arrow"),
        ({"a_jsonl": b"[1]\n"}, "a.jsonl: row 0 cannot be read: no JSON object|there are no rows"),
        ({"a_jsonl": b'{"x": 1}\nnothing\n'}, "a.jsonl: row 1 cannot be read: no JSON object"),
        ({"a_csv": b"x\n1\n", "b_csv": b"x,y\n1,2\n"}, "'b.csv' and 'a.csv' have different columns: 'y'"),
        ({"a_txt": b"x\n1\n"}, "is a folder without files of rows: .parquet"),
        ({}, "holds no files"),
    ],
)
def test_what_is_no_table_is_refused_and_leaves_nothing(tmp_path, dataset, files, says):
    with pytest.raises(InputError, match=says):
        push(write(tmp_path / "rows", **files).as_uri(), dataset, NOW)
    assert not (tmp_path / "store").exists()


def test_files_of_different_types_are_refused(tmp_path):
    for name, value in (("a.parquet", 1), ("b.parquet", "one")):
        pl.DataFrame({"x": [value]}).write_parquet(tmp_path / name)
    with pytest.raises(InputError, match="different columns: 'x' is String and Int64"):
        describe({path.name: path for path in tmp_path.iterdir()})


def test_a_type_of_many_fields_is_cut_and_still_another_than_others(tmp_path):
    for name, last in (("a.parquet", 1), ("b.parquet", "one")):
        fields = {**{f"field{i}": i for i in range(60)}, "last": last}
        pl.DataFrame({"x": [fields]}).write_parquet(tmp_path / name)
    (column,) = describe({"a.parquet": tmp_path / "a.parquet"}).columns
    assert len(column.type) == 200
    with pytest.raises(InputError, match="different columns: 'x'"):
        describe({path.name: path for path in tmp_path.iterdir()})


@pytest.mark.parametrize("name", ["a#b.csv", "a?b.csv", "a\\b.csv", "a\nb.csv", "a\udcffb.csv"])
def test_files_of_odd_names_are_refused_by_name(tmp_path, dataset, name):
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / name).write_bytes(b"x\n1\n")
    with pytest.raises(InputError, match=r"which is no usable name: it ha|holds a character"):
        push((tmp_path / "rows").as_uri(), dataset, NOW)


@pytest.mark.parametrize("name", ["a b%20@1.csv", "\u00fc.csv", "$(x) 'q'.csv", "a@latest.parquet.csv"])
def test_other_names_are_kept_as_they_are(tmp_path, dataset, name):
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / name).write_bytes(b"x\n1\n")
    done = push((tmp_path / "rows").as_uri(), dataset, NOW)
    assert [file.path for file in DataStore(dataset.store).manifest(done.manifest.version).files] == [name]


@pytest.mark.parametrize("description", ["two\nlines", "\x1b[31m", "x" * 1001])
def test_a_description_is_one_line(tmp_path, dataset, description):
    with pytest.raises(InputError, match="the description is not one line"):
        push(write(tmp_path / "rows", a_csv=b"x\n1\n").as_uri(), dataset, NOW, description)


WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from mooring_artifacts.data_versions.references import parse_dataset
from mooring_components.data_versions import push

folder, me, dataset = Path(sys.argv[1]), sys.argv[2], parse_dataset(sys.argv[3])
for turn in range(50):
    # Every fifth is what the other pushes too.
    (folder / "rows.csv").write_text(f"who,turn\\n{me if turn % 5 else 'both'},{turn}\\n")
    push((folder / "rows.csv").as_uri(), dataset, datetime.now(UTC))
"""


def start(*arguments):
    return subprocess.Popen([sys.executable, "-c", *map(str, arguments)], stderr=subprocess.PIPE, text=True)


def test_two_processes_at_once_lose_nothing(tmp_path, dataset):
    writers = []
    for me in ("one", "two"):
        (tmp_path / me).mkdir()
        writers.append(start(WRITER, tmp_path / me, me, dataset))
    for writer in writers:
        assert (writer.communicate()[1], writer.returncode) == ("", 0)
    records = DataStore(dataset.store).records(dataset.name)
    assert [record.number for record in records] == list(range(1, 91))
    assert len({record.version for record in records}) == 90


KILLED = """
import os, signal, sys
from datetime import UTC, datetime
import obstore
from mooring_artifacts.data_versions.references import parse_dataset
from mooring_components.data_versions import push

calls, real = int(sys.argv[3]), obstore.put
def put(store, key, body, **options):
    global calls
    calls -= 1
    if calls < 0:
        if not isinstance(body, bytes):
            body = die(body)
        else:
            os.kill(os.getpid(), signal.SIGKILL)
    return real(store, key, body, **options)
def die(body):
    for count, chunk in enumerate(body):
        if count == 8:
            os.kill(os.getpid(), signal.SIGKILL)
        yield chunk
obstore.put = put
push(sys.argv[1], parse_dataset(sys.argv[2]), datetime.now(UTC))
"""


@pytest.mark.parametrize("writes", range(5), ids=["note", "first file", "second file", "manifest", "record"])
def test_a_push_that_is_killed_is_not_seen_and_goes_on(tmp_path, dataset, writes):
    rows = write(tmp_path / "rows", a_csv=b"x\n" + b"1\n" * (6 << 20), b_csv=b"x\n" + b"2\n" * (6 << 20))
    before = write(tmp_path / "before", a_csv=b"x\n0\n")
    push(before.as_uri(), dataset, NOW)
    killed = start(KILLED, rows.as_uri(), dataset, writes)
    assert (killed.communicate()[1], killed.returncode) == ("", -signal.SIGKILL)
    store = DataStore(dataset.store)
    assert store.find(parse_reference(f"{dataset}@latest")).number == 1
    done = push(rows.as_uri(), dataset, NOW)
    assert (done.pushed.record.number, done.pushed.new) == (2, True)
    # What was stored whole is not stored again.
    assert done.uploaded == (2 - min(max(writes - 1, 0), 2)) * os.path.getsize(rows / "a.csv")
    place, files = store.files(store.manifest(done.pushed.record.version))
    for file in files:
        assert (place.address.path / "blobs/sha256" / file.key.rpartition("/")[2]).read_bytes() == (
            rows / file.path
        ).read_bytes()
