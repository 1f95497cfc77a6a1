"""Files of rows through models that do not give one row of results for each row, or take rows of several shapes."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from onnx import helper

from tests.unit.inference.score.test_score_run import bad_of, rows_of, score
from tests.unit.inference.score_models import several_inputs, sum_and_negative, write_model

node = helper.make_node


def write_vectors(path, vectors):
    pq.write_table(pa.table({"x": pa.array(vectors, pa.list_(pa.float32()))}), path)
    return path


@pytest.mark.parametrize("rows", [1, 2, 3, 4])
def test_an_output_with_as_many_rows_by_chance_is_not_taken_for_rows(tmp_path, capsys, rows):
    """An output of [3, n] has three rows where three go in: row 0 would get a column of all rows."""
    model = write_model(
        tmp_path / "model",
        [node("Transpose", ["x"], ["turned"], perm=[1, 0]), node("Neg", ["x"], ["negative"])],
        [("x", "float", ["n", 3])],
        [("turned", "float", [3, "n"]), ("negative", "float", ["n", 3])],
    )
    source = write_vectors(tmp_path / "rows.parquet", [[1.0, 2.0, 3.0 + row] for row in range(rows)])
    assert score(model, source, tmp_path / "out") == 2
    assert "output turned has not one row for each input row: leave it out" in capsys.readouterr().err
    assert score(model, source, tmp_path / "out", "--outputs=negative") == 0
    assert [row["negative"][2] for row in rows_of(tmp_path / "out")] == [-3.0 - row for row in range(rows)]


@pytest.mark.parametrize("batch", [1, 2, 100])
def test_rows_that_depend_on_each_other_are_scored_each_alone_whatever_the_batch(tmp_path, batch):
    model = write_model(
        tmp_path / "model",
        [node("ReduceMax", ["x"], ["most"], axes=[0], keepdims=1), node("Sub", ["x", "most"], ["y"])],
        [("x", "float", ["n", 1])],
        [("y", "float", ["n", 1])],
    )
    source = write_vectors(tmp_path / "rows.parquet", [[1.0], [5.0], [3.0], [4.0], [2.0]])
    assert score(model, source, tmp_path / "out", f"--batch_size={batch}") == 0
    assert [row["y"] for row in rows_of(tmp_path / "out")] == [0.0] * 5


def test_rows_of_several_sizes_in_several_dimensions_are_scored(tmp_path):
    model = write_model(
        tmp_path / "model",
        [node("ReduceSum", ["x", "axes"], ["y"], keepdims=0)],
        [("x", "float", ["n", 2, "height", "width"])],
        [("y", "float", ["n", 2])],
        [helper.make_tensor("axes", 7, [2], [2, 3])],
    )
    images = [[[[1, 2], [3, 4]]] * 2, [[[1, 2, 3]]] * 2, [[[1, 2], [3]]] * 2, [[[1.0]]] * 3, [[[5.0]]] * 2]
    lines = tmp_path / "rows.jsonl"
    lines.write_text("\n".join(json.dumps({"x": image}) for image in images))
    table = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"x": images}), table)
    for source in (lines, table):
        target = tmp_path / f"out-{source.suffix}"
        assert score(model, source, target) == 0
        found = {row["row_number"]: row["y"] for row in rows_of(target)}
        assert found == {0: [10, 10], 1: [6, 6], 4: [5, 5]}
        assert [bad["row"] for bad in bad_of(target)] == [2, 3]


def test_lists_for_a_model_that_takes_one_value_a_row_are_refused_at_once(tmp_path, capsys):
    model = write_model(
        tmp_path / "model", [node("Neg", ["x"], ["y"])], [("x", "float", [4])], [("y", "float", [4])]
    )
    source = write_vectors(tmp_path / "rows.parquet", [[1.0, 2.0, 3.0, 4.0]])
    assert score(model, source, tmp_path / "out") == 2
    expected = "column x holds lists; input x has shape [4], one value a row"
    assert expected in capsys.readouterr().err


@pytest.mark.parametrize(
    ("column", "reason"), [("age", None), ("name", "column name: null"), ("vector", "column vector: null")]
)
def test_a_column_of_nulls_alone_is_rows_of_null(tmp_path, column, reason):
    """Writers of Parquet give a column without any value no type."""
    model = several_inputs(tmp_path / "model")
    columns = {"age": [1.0, 2.0], "name": ["a", "b"], "vector": pa.array([[1.0], [2.0]])}
    kind = pa.list_(pa.float32()) if column == "vector" else pa.null()
    pq.write_table(pa.table(columns | {column: pa.nulls(2, kind)}), tmp_path / "rows.parquet")
    assert score(model, tmp_path / "rows.parquet", tmp_path / "out") == 0
    if reason is None:
        assert [str(row["out"]) for row in rows_of(tmp_path / "out")] == ["nan", "nan"]
    else:
        assert [bad["reason"] for bad in bad_of(tmp_path / "out")] == [reason] * 2


def test_a_column_of_nulls_alone_counts_among_the_features(tmp_path):
    model = sum_and_negative(tmp_path / "model")
    pq.write_table(pa.table({"a": pa.nulls(1), "b": [2.0]}), tmp_path / "rows.parquet")
    assert score(model, tmp_path / "rows.parquet", tmp_path / "out") == 0
    assert str(rows_of(tmp_path / "out")[0]["negative"]) == "[nan, -2.0]"


def test_a_line_without_the_list_says_so(tmp_path):
    model = sum_and_negative(tmp_path / "model")
    lines = tmp_path / "rows.jsonl"
    lines.write_text('{"x": [1, 2]}\n{}\n{"x": null}\n{"x": 3}\n')
    assert score(model, lines, tmp_path / "out") == 0
    assert [bad["reason"] for bad in bad_of(tmp_path / "out")] == [
        f"column x: expected a list, got {got}" for got in ("missing", "null", "one value")
    ]
