"""Data that is not as its schema says is told of completely: every kind of fault, how often, and where."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mooring_artifacts.data_schema import parse_schema
from mooring_artifacts.errors import InputError
from mooring_components.validation.report import validate

NOW = datetime(2026, 6, 1, tzinfo=UTC)
SCHEMA = {
    "columns": [
        {"name": "id", "type": "integer", "unique": True},
        {"name": "age", "type": "integer", "min": 0, "max": 120},
        {"name": "income", "type": "number", "max": 1e6},
        {"name": "city", "type": "string", "values": ["Bonn", "Köln"]},
        {"name": "ok", "type": "boolean"},
        {"name": "at", "type": "timestamp"},
        {"name": "zip", "type": "string"},
    ],
    "freshness": {"column": "at", "within": 3600},
    "minRows": 100,
}
DIRT = b"""id,age,income,city,ok,at,extra
1,30,1000.5,Bonn,true,2026-01-01T00:00:00Z,x
2,,nan,Bonn,yes,2026-01-01T00:00:00Z,x
2,-4,1e9,Paris,false,whenever,x
4,abc,12,Bonn,true,2026-01-02T00:00:00Z
5,130,12,\xff\xfe,true,2026-01-02T00:00:00Z,x
6,3.5,12,,1,2026-01-02T00:00:00Z,x
7, 3 ,12,"K\xc3\xb6ln",TRUE,2026-01-02T10:00:00+02:00,x,y
"""


def checked(path, schema=SCHEMA):
    return validate([path], parse_schema(schema), NOW)


def test_twelve_kinds_of_dirt_in_a_csv_are_all_found_at_once(tmp_path):
    (tmp_path / "d.csv").write_bytes(DIRT)
    report = checked(tmp_path / "d.csv")
    assert report.rows == 7
    found = {(violation.column, violation.check): violation for violation in report.violations}
    assert {key: violation.count for key, violation in found.items()} == {
        ("zip", "missing"): 1,
        ("extra", "extra"): 1,
        ("", "unreadable"): 2,
        ("city", "encoding"): 1,
        ("", "rows"): 7,
        ("id", "unique"): 1,
        ("age", "nulls"): 1,
        ("age", "type"): 1,
        ("age", "min"): 1,
        ("age", "max"): 1,
        ("income", "nan"): 1,
        ("income", "max"): 1,
        ("city", "nulls"): 1,
        ("city", "values"): 2,
        ("ok", "type"): 1,
        ("at", "type"): 1,
        ("at", "freshness"): 1,
    }
    # Rows keep their numbers in the file, beside those that cannot be read.
    shown = {key: [(e.row, e.value) for e in v.examples] for key, v in found.items() if v.examples}
    assert shown[("", "unreadable")] == [(3, "6 cells, expected 7"), (6, "8 cells, expected 7")]
    assert shown[("age", "max")] == [(4, "130")]
    assert shown[("age", "type")] == [(5, "3.5")]
    assert found[("age", "nulls")].message == "column age has 1 null"
    assert found[("age", "min")].message == "column age has 1 value below 0.0, such as '-4' in row 2"
    assert report.summary().endswith("and 14 more")


CLEAN = {
    "id": [1, 2, 3],
    "age": [30, 40, 50],
    "income": [1.5, 2.5, 3.5],
    "city": ["Bonn", "Köln", "Bonn"],
    "ok": [True, False, True],
    "at": [NOW - timedelta(minutes=9)] * 3,
    "zip": ["53111", "50667", "53111"],
}


def write(path, columns):
    table = pa.table(columns)
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=2)
    elif path.suffix == ".arrow":
        pyarrow.feather.write_feather(table, path, chunksize=2)
    elif path.suffix == ".csv":
        pl.from_arrow(table).write_csv(path, datetime_format="%Y-%m-%dT%H:%M:%S%z")
    else:
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        path.write_text("".join(json.dumps(row, default=datetime.isoformat) + "\n" for row in rows))
    return path


FORMATS = ["parquet", "arrow", "csv", "jsonl"]


@pytest.mark.parametrize("kind", FORMATS)
def test_rows_as_they_should_be_have_no_violations_in_any_format(tmp_path, kind):
    report = checked(write(tmp_path / f"d.{kind}", CLEAN), {**SCHEMA, "minRows": 3})
    assert (report.rows, list(report.violations)) == (3, [])


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"id": [1, 2, 1]}, ("id", "unique", 1)),
        ({"id": [7, 7, 7]}, ("id", "unique", 2)),
        ({"age": [30, None, None]}, ("age", "nulls", 2)),
        ({"age": [30, 121, 500]}, ("age", "max", 2)),
        ({"age": [-1, 0, 120]}, ("age", "min", 1)),
        ({"income": [1.0, 2e6, 3.0]}, ("income", "max", 1)),
        ({"city": ["Bonn", "Paris", "Rom"]}, ("city", "values", 2)),
        ({"at": [NOW - timedelta(hours=h) for h in (2, 3, 4)]}, ("at", "freshness", 1)),
        ({"new": [1, 2, 3]}, ("new", "extra", 1)),
        ({"zip": [None, "a", "b"]}, ("zip", "nulls", 1)),
    ],
)
def test_one_fault_is_one_violation_in_any_format(tmp_path, kind, changes, fault):
    report = checked(write(tmp_path / f"d.{kind}", {**CLEAN, **changes}), {**SCHEMA, "minRows": 3})
    assert [(v.column, v.check, v.count) for v in report.violations] == [fault]


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_nan_is_a_kind_of_its_own_and_neither_null_nor_large(tmp_path, kind):
    columns = {**CLEAN, "income": pa.array([1.0, float("nan"), None])}
    report = checked(write(tmp_path / f"d.{kind}", columns), {**SCHEMA, "minRows": 3})
    assert [(v.column, v.check, v.count) for v in report.violations] == [
        ("income", "nulls", 1),
        ("income", "nan", 1),
    ]


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [
        ("age", ["30", "40", "50"], "string"),
        ("age", [30.5, 40.0, 50.0], "double"),
        ("city", [1, 2, 3], "int"),
        ("ok", [1, 0, 1], "int"),
        ("at", ["2026", "2026", "2026"], "string"),
    ],
)
def test_a_declared_type_is_taken_at_its_word(tmp_path, column, values, said):
    report = checked(write(tmp_path / "d.parquet", {**CLEAN, column: values}), {**SCHEMA, "minRows": 3})
    assert [(v.column, v.check, v.count) for v in report.violations] == [(column, "type", 3)], said


def test_a_whole_number_that_is_too_large_does_not_pass_by_as_nothing(tmp_path):
    columns = {**CLEAN, "age": pa.array([30, 2**64 - 1, None], pa.uint64())}
    report = checked(write(tmp_path / "d.parquet", columns), {**SCHEMA, "minRows": 3})
    assert [(v.check, v.count) for v in report.violations] == [("nulls", 1), ("type", 1)]
    assert report.violations[1].message.startswith("column age has 1 value that is no integer")


def test_a_column_that_may_be_missing_or_null_is(tmp_path):
    schema = {
        "columns": [
            {"name": "a", "type": "number", "nulls": 0.5},
            {"name": "b", "type": "number", "required": False},
        ]
    }
    assert not checked(write(tmp_path / "d.csv", {"a": [1.0, None, 3.0, None]}), schema).violations
    (violation,) = checked(write(tmp_path / "d.csv", {"a": [1.0, None, None]}), schema).violations
    assert violation.message == "column a has 2 nulls, 50.00% of the rows are allowed"


def test_many_files_are_one_table_and_duplicates_count_across_them(tmp_path):
    for name, ids in (("1", [1, 2, 3]), ("2", [3, 4, 5])):
        write(tmp_path / f"{name}.parquet", {**CLEAN, "id": ids})
    report = validate(sorted(tmp_path.glob("*.parquet")), parse_schema({**SCHEMA, "minRows": 6}), NOW)
    assert [(v.column, v.check, v.count) for v in report.violations] == [("id", "unique", 1)]


@settings(max_examples=25, deadline=None)
@given(ages=st.lists(st.one_of(st.none(), st.integers(-200, 300)), min_size=1, max_size=60))
def test_counts_are_those_of_a_plain_loop_whatever_the_batches(tmp_path_factory, ages):
    path = tmp_path_factory.mktemp("data") / "d.parquet"
    pq.write_table(pa.table({"age": pa.array(ages, pa.int64())}), path, row_group_size=7)
    schema = {"columns": [{"name": "age", "type": "integer", "min": 0, "max": 120, "unique": True}]}
    found = {violation.check: violation.count for violation in checked(path, schema).violations}
    there = [age for age in ages if age is not None]
    expected = {
        "nulls": len(ages) - len(there),
        "min": sum(age < 0 for age in there),
        "max": sum(age > 120 for age in there),
        "unique": len(there) - len(set(there)),
    }
    assert found == {check: count for check, count in expected.items() if count}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("d.txt", b"", "is none of .arrow"),
        ("d.parquet", b"PAR1", "cannot be read as parquet"),
        ("d.arrow", b"ARROW1", "cannot be read as arrow"),
        ("d.csv", b"", "is empty"),
        ("d.csv", b"a,a\n1,2\n", "two columns of the name 'a'"),
    ],
)
def test_what_cannot_be_read_at_all_is_one_line(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        checked(tmp_path / name)


def test_lines_that_are_no_objects_are_rows_that_cannot_be_read(tmp_path):
    (tmp_path / "d.jsonl").write_text('{"a": 1}\n[]\nnonsense\n{"a": "x"}\n')
    report = checked(tmp_path / "d.jsonl", {"columns": [{"name": "a", "type": "integer"}]})
    assert [(v.check, v.count) for v in report.violations] == [("unreadable", 2), ("type", 1)]
    assert report.violations[1].examples[0].row == 3


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path):
    (tmp_path / "d.csv").write_bytes(b"\xef\xbb\xbfa,b\n1,2\n")
    schema = {"columns": [{"name": "a", "type": "integer"}, {"name": "b", "type": "integer"}]}
    assert not checked(tmp_path / "d.csv", schema).violations


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "schema.columns .* is not allowed"),
        ({"columns": [{"name": "a", "type": "float"}]}, "schema.columns.0.type 'float' is not allowed"),
        ({"columns": [{"name": "a", "type": "string", "min": 1}]}, "column a of type string has min or max"),
        (
            {"columns": [{"name": "a", "type": "number", "min": 2, "max": 1}]},
            "column a has min 2 above max 1",
        ),
        ({"columns": [{"name": "a", "type": "integer", "values": ["1"]}]}, "cannot have the value '1'"),
        ({"columns": [{"name": "a", "type": "number"}] * 2}, "column a is there twice"),
        (
            {"columns": [{"name": "a", "type": "number"}], "freshness": {"column": "a", "within": 1}},
            "freshness needs column a of type timestamp",
        ),
    ],
)
def test_a_schema_of_another_form_is_refused_by_field(document, message):
    with pytest.raises(InputError, match=message):
        parse_schema(document)


def test_memory_does_not_grow_with_the_rows(tmp_path):
    path = tmp_path / "d.parquet"
    with pq.ParquetWriter(path, pa.schema([("a", pa.float64())])) as writer:
        for seed in range(8):
            writer.write_table(pa.table({"a": np.random.default_rng(seed).normal(size=100_000)}))
    report = checked(path, {"columns": [{"name": "a", "type": "number", "min": 0}]})
    (violation,) = report.violations
    assert 390_000 < violation.count < 410_000
    assert len(violation.examples) == 5
