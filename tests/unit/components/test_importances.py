"""Features are ranked by what the runtime's occlusion says of rows, and what cannot be ranked is said."""

import numpy as np
import onnx
import pyarrow as pa
import pytest
from mooring_artifacts.errors import InputError
from mooring_components.datasets import TestData
from mooring_components.feeding import feed_model
from mooring_components.importances import measure_importances
from mooring_components.models import open_model
from mooring_components.options import TestOptions, parse_options
from mooring_components.quality import evaluate
from onnx import TensorProto, helper

WEIGHTS = {"age": 1.0, "income": -3.0, "city": 0.5, "nothing": 0.0}


def save(folder, nodes, inputs, weights=(), outputs=("y",)):
    graph = helper.make_graph(
        nodes,
        "g",
        inputs,
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        list(weights),
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(made, folder / "m.onnx")
    return open_model(folder)


def linear(folder, batch=None):
    """Amounts: a weighted sum of four columns."""
    weights = helper.make_tensor("w", TensorProto.FLOAT, [4, 1], list(WEIGHTS.values()))
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 4])
    return save(folder, [helper.make_node("MatMul", ["x", "w"], ["y"])], [value], [weights])


def rows_of(count=200, seed=3):
    table = np.random.default_rng(seed).normal(size=(count, 4))
    columns = {name: pa.array(table[:, place]) for place, name in enumerate(WEIGHTS)}
    return TestData(columns, table @ list(WEIGHTS.values()), "rows")


def test_a_weighted_sum_is_moved_as_its_weights_say(tmp_path):
    data = rows_of(40)
    found = measure_importances(feed_model(linear(tmp_path), data, {}), 40)
    assert (found.rows, found.output, found.problem, found.left_out) == (40, "y", "", 0)
    for feature in found.features:
        column = data.columns[feature.name].to_numpy()
        wanted = abs(WEIGHTS[feature.name]) * np.abs(column - column.mean()).mean()
        assert feature.size == pytest.approx(wanted, abs=1e-5)
    assert [each.name for each in found.features] == ["income", "age", "city", "nothing"]
    assert sum(each.share for each in found.features) == pytest.approx(1)


def test_only_the_rows_that_were_asked_for_are_explained_from_all_over(tmp_path):
    data = rows_of(200)
    found = measure_importances(feed_model(linear(tmp_path), data, {}), 3)
    column = data.columns["income"].to_numpy()[[0, 99, 199]].astype("f4")
    assert found.rows == 3
    assert found.features[0].size == pytest.approx(3 * np.abs(column - column.mean()).mean(), rel=1e-4)


def test_texts_numbers_and_whole_numbers_are_ranked_together(tmp_path):
    nodes = [
        helper.make_node("Cast", ["n"], ["nf"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["s"], ["sf"], to=TensorProto.FLOAT),
        helper.make_node("Sum", ["a", "nf", "sf"], ["y"]),
    ]
    kinds = {"a": TensorProto.FLOAT, "n": TensorProto.INT64, "s": TensorProto.STRING}
    inputs = [helper.make_tensor_value_info(name, kind, [None]) for name, kind in kinds.items()]
    columns = {
        "a": pa.array([1.0, None, 3.0]),
        "n": pa.array([7, 7, 9]),
        "s": pa.array(["10", "50", "10"]),
    }
    data = TestData(columns, np.zeros(3), "rows")
    found = measure_importances(feed_model(save(tmp_path, nodes, inputs), data, {}), 3)
    # The usual number is 7, the usual text "10"; a row with NaN has no attribution.
    assert found.problem == "no feature moves what the model says"
    data = TestData({**columns, "a": pa.array([1.0, 2.0, 3.0])}, np.zeros(3), "rows")
    found = measure_importances(feed_model(open_model(tmp_path), data, {}), 3)
    sizes = {each.name: each.size for each in found.features}
    assert sizes == pytest.approx({"s": 40 / 3, "n": 2 / 3, "a": 2 / 3})


@pytest.mark.parametrize(
    ("batch", "says"),
    [(1, ""), (4, "this model cannot be explained: its inputs have no batch axis of open size")],
)
def test_models_of_a_fixed_batch(tmp_path, batch, says):
    assert measure_importances(feed_model(linear(tmp_path, batch), rows_of(8), {}), 8).problem == says


def test_a_model_of_many_features_shows_the_first_and_says_how_many_are_left_out(tmp_path):
    weights = helper.make_tensor("w", TensorProto.FLOAT, [30, 1], [float(i) for i in range(30)])
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 30])
    model = save(tmp_path, [helper.make_node("MatMul", ["x", "w"], ["y"])], [value], [weights])
    columns = {f"c{i}": pa.array([-1.0, 1.0]) for i in range(30)}
    found = measure_importances(feed_model(model, TestData(columns, np.zeros(2), "rows"), {}), 2)
    assert [each.name for each in found.features] == [f"c{i}" for i in range(29, 9, -1)]
    assert found.left_out == 10


def test_features_are_ranked_where_that_is_asked_for_and_nothing_else_changes(tmp_path):
    model, data = linear(tmp_path), rows_of()
    plain, ranked = (evaluate(model, data, TestOptions(explain=rows)) for rows in (0, 16))
    assert plain.evidence.importances is None
    assert ranked.evidence.importances.features[0].name == "income"
    assert (ranked.metrics, ranked.intervals) == (plain.metrics, plain.intervals)


@pytest.mark.parametrize("rows", [-1, 65, 1.5, "8"])
def test_a_number_of_rows_that_is_not_allowed_is_said(rows):
    with pytest.raises(InputError, match=r"test_options\.explain .* is not allowed"):
        parse_options({"explain": rows})
    assert parse_options({"explain": 8.0}).explain == 8
