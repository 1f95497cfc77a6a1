"""What is inferred of rows holds for them, and says what a person would say first."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mooring_artifacts.data_schema import Column, DataSchema, parse_schema, parse_schema_text, render_schema
from mooring_artifacts.errors import InputError
from mooring_components.validation.inference import infer_schema
from mooring_components.validation.report import validate

NOW = datetime(2026, 6, 1, tzinfo=UTC)
VALUES = {
    "integer": st.integers(-(2**63), 2**63 - 1),
    "number": st.floats(),
    "string": st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=8),
    "boolean": st.booleans(),
    "timestamp": st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)),
}
ARROW = {
    "integer": pa.int64(),
    "number": pa.float64(),
    "string": pa.string(),
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("us"),
}


def write(path, columns):
    table = pa.table(columns)
    if path.suffix == ".csv":
        pl.from_arrow(table).write_csv(path, datetime_format="%Y-%m-%dT%H:%M:%S%.f")
    else:
        pq.write_table(table, path, row_group_size=3)
    return path


@settings(max_examples=40, deadline=None)
@given(data=st.data(), kind=st.sampled_from(["parquet", "csv"]))
def test_rows_are_as_their_own_schema_says(tmp_path_factory, data, kind):
    rows = data.draw(st.integers(1, 12))
    types = data.draw(st.lists(st.sampled_from(list(VALUES)), min_size=1, max_size=4))
    columns = {
        f"c{i}": pa.array(
            data.draw(st.lists(st.none() | VALUES[each], min_size=rows, max_size=rows)), ARROW[each]
        )
        for i, each in enumerate(types)
    }
    path = write(tmp_path_factory.mktemp("d") / f"d.{kind}", columns)
    schema = infer_schema([path])
    assert parse_schema_text(render_schema(schema)) == schema
    assert list(validate([path], schema, NOW).violations) == []
    if kind == "parquet":
        filled = [name for name in columns if columns[name].null_count < rows]
        assert {c.name: c.type for c in schema.columns if c.name in filled} == {
            name: types[int(name[1:])] for name in filled
        }


def test_a_schema_says_what_a_person_would_say_first(tmp_path):
    at = [NOW - timedelta(days=day) for day in range(4)]
    columns = {
        "id": [4, 3, 2, 1],
        "share": [0.25, None, float("nan"), 2.0],
        "city": ["Köln", "Bonn", "Köln", None],
        "ok": [True, False, True, True],
        "at": at,
        "nothing": pa.nulls(4),
    }
    expected = """\
columns:
- {name: id, type: integer, min: 1, max: 4}
- {name: share, type: number, nulls: 0.25, nan: true, min: 0.25, max: 2}
- {name: city, type: string, nulls: 0.25, values: [Bonn, Köln]}
- {name: ok, type: boolean}
- {name: at, type: timestamp}
- {name: nothing, type: string, nulls: 1.0}
"""
    assert render_schema(infer_schema([write(tmp_path / "d.csv", columns)])) == expected


def test_texts_of_many_values_or_long_ones_are_no_list(tmp_path):
    columns = {"many": [f"v{i}" for i in range(20)], "long": ["x" * 100] * 20, "few": ["a", "b"] * 10}
    schema = infer_schema([write(tmp_path / "d.parquet", columns)])
    assert [column.values for column in schema.columns] == [[], [], ["a", "b"]]


def test_what_some_files_lack_is_not_required_and_types_of_files_are_joined(tmp_path):
    paths = [
        write(tmp_path / "1.parquet", {"a": [1], "b": ["x"]}),
        write(tmp_path / "2.parquet", {"a": [0.5]}),
    ]
    schema = infer_schema(paths)
    assert [(c.name, c.type, c.required) for c in schema.columns] == [
        ("a", "number", True),
        ("b", "string", False),
    ]
    assert list(validate(paths, schema, NOW).violations) == []


def test_columns_that_no_schema_has_are_left_out(tmp_path):
    path = write(tmp_path / "d.parquet", {"pixels": [[1, 2], [3, 4]], "label": [0, 1]})
    schema = infer_schema([path])
    assert ([c.name for c in schema.columns], schema.extra_columns) == (["label"], "Allow")
    assert list(validate([path], schema, NOW).violations) == []


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("d.csv", "a,b\n", "there are no rows"),
        ("d.csv", "a,b\n1,2\n3\n", "row 1 cannot be read: 1 cells, expected 2"),
        ("d.jsonl", "nonsense\n", "row 0 cannot be read: no JSON object"),
        ("d.csv", "a,\n1,2\n", "the name of column 2 has 0 characters"),
        ("d.txt", "", "is none of"),
    ],
)
def test_what_has_no_schema_says_why(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message):
        infer_schema([tmp_path / name])


def test_a_file_of_lists_alone_has_no_schema(tmp_path):
    with pytest.raises(InputError, match="no column has a type of a schema"):
        infer_schema([write(tmp_path / "d.parquet", {"pixels": [[1], [2]]})])


def test_files_whose_types_have_nothing_in_common_are_refused(tmp_path):
    paths = [write(tmp_path / "1.parquet", {"a": [1]}), write(tmp_path / "2.parquet", {"a": ["x"]})]
    with pytest.raises(InputError, match="column 'a' has types in different files"):
        infer_schema(paths)


def test_what_is_written_is_read_again():
    schema = DataSchema(
        columns=[
            Column(name="a: {b}", type="integer", values=[1, 2], min=-1e300, max=1e300),
            Column(name="ja", type="string", values=["no", "1", "null", "", "2026-01-01"]),
        ],
        min_rows=5,
        extra_columns="Allow",
    )
    assert parse_schema_text(render_schema(schema)) == schema


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("2026-01-02", True),
        ("2026-01-02 10:00", True),
        ("2026-01-02T10:00:00.123456789Z", True),
        (" 2026-01-02T10:00:00-0530 ", True),
        ("2026-02-30", False),
        ("02.01.2026", False),
        ("whenever", False),
    ],
)
@pytest.mark.parametrize("others", [[], ["2026-01-01"], ["2026-01-01T00:00:00+02:00"], ["whenever"]])
def test_a_timestamp_is_read_the_same_whatever_stands_beside_it(tmp_path, text, right, others):
    (tmp_path / "d.csv").write_text("\n".join(["at,n", *(f"{each},1" for each in [*others, text])]) + "\n")
    schema = parse_schema(
        {"columns": [{"name": "at", "type": "timestamp"}, {"name": "n", "type": "integer"}]}
    )
    wrong = (not right) + others.count("whenever")
    found = validate([tmp_path / "d.csv"], schema, NOW).violations
    assert [(violation.check, violation.count) for violation in found] == ([("type", wrong)] if wrong else [])
