"""Rows and schemas are read where they are said to be, and rows that a model was trained on are found."""

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mooring_artifacts.data_schema import parse_schema, parse_schema_text
from mooring_artifacts.errors import InputError
from mooring_artifacts.storage import content_digest
from mooring_components.validation.report import validate
from mooring_components.validation.step import read_schema, validate_at

NOW = datetime(2026, 6, 1, tzinfo=UTC)
TEXT = "columns: [{name: a, type: integer, values: [1, 2]}, {name: b, type: number}]"
COLUMNS = [{"name": "a", "type": "integer"}, {"name": "b", "type": "number"}, {"name": "c", "type": "string"}]
ROWS = {"a": [1, 2, 3, 4], "b": [0.5, None, float("nan"), 2.0], "c": ["x", "y", "z", None]}


def write(path, columns=ROWS):
    path.parent.mkdir(exist_ok=True)
    if path.suffix == ".csv":
        pl.DataFrame(columns).write_csv(path)
    else:
        pq.write_table(pa.table(columns), path, row_group_size=2)
    return path


def leaked(tmp_path, training, rows=ROWS, *, kind="parquet", **options):
    """The violations of `rows` beside `training`."""
    document = {"columns": COLUMNS, "trainingData": {"uri": "s3://d/train", **options}}
    schema = parse_schema(
        {**document, "columns": [{**column, "nulls": 1, "nan": True} for column in COLUMNS[1:]] + COLUMNS[:1]}
        if "columns" not in options
        else document
    )
    tested = [write(tmp_path / "test.parquet", rows)]
    seen = [write(tmp_path / f"train.{kind}", training)]
    return [
        (violation.check, violation.count, [each.row for each in violation.examples])
        for violation in validate(tested, schema, NOW, training=seen).violations
        if violation.check == "leakage"
    ]


def test_rows_of_the_training_data_are_found_whatever_their_order(tmp_path):
    training = {"c": ["n", "z", "x"], "b": [9.0, float("nan"), 0.5], "a": [9, 3, 1], "more": [1, 2, 3]}
    assert leaked(tmp_path, training) == [("leakage", 2, [0, 2])]


def test_rows_that_differ_in_one_value_are_others(tmp_path):
    assert leaked(tmp_path, {**ROWS, "a": [5, 6, 7, 8]}) == []
    assert leaked(tmp_path, {**ROWS, "c": ["", "n", "n", "n"]}) == []


def test_a_null_is_the_same_as_a_null_and_no_zero(tmp_path):
    assert leaked(tmp_path, {"a": [2], "b": pa.array([None], pa.float64()), "c": ["y"]}) == [
        ("leakage", 1, [1])
    ]
    assert leaked(tmp_path, {"a": [2], "b": [0.0], "c": ["y"]}) == []


def test_rows_may_be_told_apart_by_some_columns_alone(tmp_path):
    training = {"a": [4, 1], "b": [7.0, 8.0], "c": ["n", "n"]}
    assert leaked(tmp_path, training) == []
    assert leaked(tmp_path, training, columns=["a"]) == [("leakage", 2, [0, 3])]


def test_files_of_two_formats_are_compared_by_value(tmp_path):
    rows = {"a": [1, 2, 3], "b": [0.5, 1.0, -3.25], "c": ["x", "y", "z"]}
    assert leaked(tmp_path, rows, rows, kind="csv") == [("leakage", 3, [0, 1, 2])]


def test_a_share_of_rows_may_be_repeated(tmp_path):
    training = {name: values[:1] for name, values in ROWS.items()}
    assert leaked(tmp_path, training, repeated=0.25) == []
    assert leaked(tmp_path, training, repeated=0.2) == [("leakage", 1, [0])]


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_leakage_is_what_a_set_of_rows_says(tmp_path_factory, data):
    rows = st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from([0.0, 1.5]), st.sampled_from("xy")),
        min_size=1,
        max_size=20,
    )
    tested, seen = data.draw(rows), data.draw(rows)
    tables = [dict(zip("abc", map(list, zip(*drawn, strict=True)), strict=True)) for drawn in (tested, seen)]
    expected = [place for place, row in enumerate(tested) if row in set(seen)]
    found = leaked(tmp_path_factory.mktemp("data"), tables[1], tables[0])
    assert found == ([("leakage", len(expected), expected[:5])] if expected else [])


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"a": [1.5]}, "column 'a' of train.parquet is no integer: rows cannot be compared"),
        ({"x": [1]}, "no column of the schema in common"),
    ],
)
def test_training_data_that_cannot_be_compared_says_so(tmp_path, training, message):
    with pytest.raises(InputError, match=message):
        leaked(tmp_path, training)


def test_a_named_column_that_the_training_data_lacks_is_named(tmp_path):
    with pytest.raises(InputError, match=r"train\.parquet has no column 'a' to compare rows by"):
        leaked(tmp_path, {"b": [1.0]}, columns=["a"])


@pytest.mark.parametrize("written", ["text", "yaml", "json"])
def test_a_schema_is_a_text_or_a_file(tmp_path, written):
    text = TEXT if written != "json" else parse_schema_text(TEXT).model_dump_json(by_alias=True)
    if written != "text":
        (tmp_path / "schema").write_text(text)
        text = f"file://{tmp_path}/schema"
    assert read_schema(text) == parse_schema_text(TEXT)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "data_schema is no object"),
        ("[]", "data_schema is no object"),
        ("columns: [", "data_schema: line 2"),
        ("{1: 2}", "data_schema is no object"),
        ("columns: &a [*a]", "data_schema: line 1: expected no anchors"),
        ("columns: [{name: a, type: '{{$.x}}'}]", "data_schema holds '{{\\$'"),
        ("columns: [{name: a, type: integer, values: [1.5]}]", "cannot have the value 1.5"),
        ("columns: [{name: a, type: string, values: [no]}]", "cannot have the value False"),
        (
            "{columns: [{name: a, type: integer}], trainingData: {uri: x, columns: [b]}}",
            "names b, which is no",
        ),
        ("file:///nowhere/schema.yaml", "data_schema 'file:///nowhere/schema.yaml' does not exist"),
        ("https://example.com/schema", "data_schema .* is not allowed"),
    ],
)
def test_what_is_no_schema_is_one_line_with_the_field(text, message):
    with pytest.raises(InputError, match=message) as error:
        read_schema(text)
    assert "\n" not in str(error.value)


def test_a_file_that_is_no_text_is_no_schema(tmp_path):
    (tmp_path / "schema").write_bytes(b"\xff\xfe\x00columns")
    with pytest.raises(InputError, match="data_schema"):
        read_schema(f"file://{tmp_path}/schema")


def test_a_folder_of_rows_is_one_table_and_other_files_are_left_alone(tmp_path):
    for part in (1, 2):
        write(tmp_path / "d" / f"{part}.parquet", {"a": [part], "b": [1.0]})
    (tmp_path / "d" / "_SUCCESS").write_text("")
    report = validate_at(f"file://{tmp_path}/d", TEXT, tmp_path / "place", NOW)
    assert (report.rows, list(report.violations)) == (2, [])


def test_only_rows_of_the_digest_that_was_asked_for_are_validated(tmp_path):
    uri = f"file://{write(tmp_path / 't.parquet', {'a': [1], 'b': [1.0]})}"
    digest = content_digest(uri)
    assert validate_at(uri, TEXT, tmp_path / "p", NOW, expected_digest=digest).rows == 1
    with pytest.raises(InputError, match=r"test_data_digest .* does not match"):
        validate_at(uri, TEXT, tmp_path / "q", NOW, expected_digest="sha256:" + "0" * 64)


def test_training_data_of_a_schema_is_read_where_it_says(tmp_path):
    rows = {"a": [1, 2], "b": [1.0, 2.0]}
    uri, seen = (f"file://{write(tmp_path / name, rows)}" for name in ("t.parquet", "s.parquet"))
    schema = f"{TEXT[:-1]}]\ntrainingData: {{uri: '{seen}'}}"
    (violation,) = validate_at(uri, schema, tmp_path / "p", NOW).violations
    assert violation.message == "2 rows of 2 are in the training data; the first is row 0"


def test_a_leak_is_found_in_the_last_batch_of_many(tmp_path):
    values = np.arange(100_000)
    columns = [{"name": "a", "type": "integer"}]
    schema = parse_schema({"columns": columns, "trainingData": {"uri": "s3://d/t"}})
    tested = write(tmp_path / "t.parquet", {"a": values[:50_000]})
    seen = write(tmp_path / "s.parquet", {"a": values[49_999:]})
    (violation,) = validate([tested], schema, NOW, training=[seen]).violations
    assert (violation.count, violation.examples[0].row) == (1, 49_999)
