"""Whole files of rows of four formats are one table, typed by their values where the format has no types."""

import io
import json

import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.ipc as arrow_ipc
import pyarrow.parquet as arrow_parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mooring_artifacts.errors import InputError
from mooring_components.datasets import load_test_data
from mooring_components.tables import read_table

ROWS = {
    "age": [31, None, 7],
    "rate": [0.5, 1e-3, -2.0],
    "city": ["Bonn", 'a "b"', "Ölsted, DK"],
    "ok": [True, False, True],
}


def read(**contents):
    return read_table({name.replace("_", "."): bytearray(text) for name, text in contents.items()}, "rows")


def parquet(table):
    out = io.BytesIO()
    arrow_parquet.write_table(table, out)
    return out.getvalue()


def arrow(table):
    out = io.BytesIO()
    with arrow_ipc.new_file(out, table.schema) as writer:
        writer.write_table(table)
    return out.getvalue()


def csv(table):
    out = io.BytesIO()
    arrow_csv.write_csv(table, out)
    return out.getvalue()


def jsonl(table):
    return "\n".join(json.dumps(row) for row in table.to_pylist()).encode()


WRITERS = {"a.parquet": parquet, "a.arrow": arrow, "a.csv": csv, "a.jsonl": jsonl}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_rows(name):
    table = pa.table(ROWS)
    found = read_table({name: bytearray(WRITERS[name](table))}, "rows")
    assert found.schema.types == table.schema.types
    assert found.to_pydict() == table.to_pydict()


@pytest.mark.parametrize(
    ("cells", "kind", "values"),
    [
        (["1", "", "-3"], "int64", [1, None, -3]),
        (["1", "2.5"], "double", [1.0, 2.5]),
        (["1e3", ".5", "-inf"], "double", [1000.0, 0.5, float("-inf")]),
        (["01234", "99999"], "string", ["01234", "99999"]),
        (["2026-01-01", "2026-01-02"], "string", ["2026-01-01", "2026-01-02"]),
        (["12345678901234567890", "1"], "double", [12345678901234567890.0, 1.0]),
        (["true", "False"], "bool", [True, False]),
        (["true", "1"], "string", ["true", "1"]),
        (["", ""], "string", [None, None]),
        (["a", "1"], "string", ["a", "1"]),
    ],
)
def test_a_column_of_csv_is_what_all_its_values_are(cells, kind, values):
    found = read(a_csv="\n".join(["x,y", *(f"{cell},0" for cell in cells)]).encode())
    assert (str(found["x"].type), found["x"].to_pylist()) == (kind, values)


def test_files_of_one_folder_are_typed_together():
    found = read(a_csv=b"x\n1\n2\n", b_csv=b"x\n0.5\n", c_csv=b"\xef\xbb\xbfx\n7\n")
    assert found["x"].to_pylist() == [1.0, 2.0, 0.5, 7.0]
    lines = read(a_jsonl=b'{"x": 1}\n{"x": 2}', b_ndjson=b'\xef\xbb\xbf{"x": 0.5}\n')
    assert lines["x"].to_pylist() == [1.0, 2.0, 0.5]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"", "is empty"),
        ("a.csv", b"x,y\n1,2\n3\n", "Expected 2 columns, got 1"),
        ("a.csv", b"x,x\n1,2\n", "two columns of one name"),
        ("a.csv", b"x\n\xff\xfe\n", "cannot be read as csv"),
        ("a.csv", "größe,y\n1,2\n".encode("latin-1"), "is not in UTF-8: byte 0xf6 in a column's name"),
        ("a.csv", b"PAR1,y\n", "holds no rows"),
        ("a.jsonl", b'{"x": 1}\n{"x": "a"}\n', "cannot be read as jsonl"),
        ("a.jsonl", b"nonsense\n", "cannot be read as jsonl"),
        ("a.arrow", b"nonsense", "cannot be read as arrow"),
        ("a.parquet", b"x\n1\n", "is not Parquet"),
        ("a.txt", b"x\n1\n", "is not Parquet"),
    ],
)
def test_a_damaged_file_is_told_in_one_line(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as refused:
        load_test_data(f"file://{tmp_path}/{name}", "PAR1")
    assert said in str(refused.value)
    assert name in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", WRITERS)
def test_test_data_may_have_every_format_and_keep_its_digest(tmp_path, name):
    (tmp_path / name).write_bytes(WRITERS[name](pa.table(ROWS)))
    whole = load_test_data(f"file://{tmp_path}", "rate")
    assert (list(whole.columns), whole.labels.tolist()) == (["age", "city", "ok"], ROWS["rate"])
    again = load_test_data(f"file://{tmp_path}/{name}", "rate", expected_digest=whole.digest)
    assert again.digest == whole.digest


def test_what_is_no_file_of_rows_in_a_folder_is_left_alone(tmp_path):
    (tmp_path / "README.md").write_text("about")
    (tmp_path / "a.csv").write_text("x,label\n1,0\n")
    assert len(load_test_data(f"file://{tmp_path}", "label")) == 1
    (tmp_path / "a.csv").unlink()
    with pytest.raises(InputError, match=r"without files of rows: \.parquet"):
        load_test_data(f"file://{tmp_path}", "label")


cells = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\x00"), max_size=12)


@settings(deadline=None)
@given(st.lists(cells, min_size=1, max_size=8))
def test_no_cell_of_csv_changes_its_value_by_its_type(texts):
    """Each text is read back as itself, as the number it writes, or as nothing."""
    quoted = ['"' + text.replace('"', '""') + '"' for text in texts]
    content = "\n".join(["x,y", *(f"{cell},0" for cell in quoted)]).encode()
    for text, value in zip(texts, read(a_csv=content)["x"].to_pylist(), strict=True):
        match value:
            case None:
                assert text == ""
            case str():
                assert value == text
            case bool():
                assert value == (text.lower() == "true")
            case _:
                assert value == pytest.approx(float(text), nan_ok=True)
