"""Models that depend on more than their rows are found, and what cannot be compared is said."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from mooring_components.consistency import REPEATED, TOGETHER, difference, measure_consistency
from mooring_components.datasets import TestData
from mooring_components.feeding import feed_model
from mooring_components.quality import evaluate
from onnx import TensorProto, helper

from tests.unit.components.test_importances import linear, rows_of, save


def value(shape):
    return helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)


def measured(folder, nodes, shape=(None, 4), rows=40, weights=()):
    model = save(folder, nodes, [value(list(shape))], weights)
    return measure_consistency(feed_model(model, rows_of(rows), {}))


def test_a_model_of_its_rows_alone_says_the_same_twice_and_together(tmp_path):
    found = measure_consistency(feed_model(linear(tmp_path), rows_of(), {}))
    assert found[REPEATED] == 0.0
    assert found[TOGETHER] < 1e-6


def test_a_model_with_random_numbers_is_found_by_two_passes(tmp_path):
    noise = helper.make_node("RandomNormalLike", ["x"], ["noise"])
    found = measured(tmp_path, [noise, helper.make_node("Add", ["x", "noise"], ["y"])])
    assert found[REPEATED] > 0.1


def test_a_model_that_looks_at_its_neighbours_is_found_by_batches(tmp_path):
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [0])
    mean = helper.make_node("ReduceMean", ["x"], ["mean"], axes=[0])
    found = measured(tmp_path, [mean, helper.make_node("Sub", ["x", "mean"], ["y"])], weights=[axes])
    assert found[REPEATED] == 0.0
    assert found[TOGETHER] > 0.1


@pytest.mark.parametrize(
    ("node", "shape", "rows", "why"),
    [
        (helper.make_node("Identity", ["x"], ["y"]), (1, 4), 40, "the model takes a fixed number of rows"),
        (helper.make_node("Identity", ["x"], ["y"]), (None, 4), 1, "there is one row"),
        (helper.make_node("ReduceSum", ["x"], ["y"], keepdims=0), (None, 4), 40, "an output has no row for"),
        (
            helper.make_node("Reshape", ["x", "one"], ["y"]),
            (None, 4),
            40,
            "the model fails on a request of 32 rows",
        ),
    ],
    ids=["fixed", "one row", "an amount for all rows", "takes one row only"],
)
def test_what_cannot_be_compared_has_a_reason(tmp_path, node, shape, rows, why):
    one = helper.make_tensor("one", TensorProto.INT64, [2], [1, 4])
    assert why in measured(tmp_path, [node], shape, rows, [one])[TOGETHER]


def test_a_slow_model_is_asked_for_one_row(tmp_path):
    fed = feed_model(linear(tmp_path), rows_of(), {})
    assert measure_consistency(fed, seconds=0.0) == {REPEATED: 0.0, TOGETHER: "there is one row"}


def test_differences_are_metrics_of_the_model_and_reasons_are_told(tmp_path):
    found = evaluate(linear(tmp_path), rows_of())
    assert found.metrics["repeatDifference"] == 0.0
    found = evaluate(linear(tmp_path), TestData({"a": pa.array([[1.0] * 4])}, np.array([1.0]), "one row"))
    assert found.unmeasured["batchDifference"] == "there is one row"


@pytest.mark.parametrize(
    ("one", "two", "far"),
    [
        ([1e6], [1e6 + 1], 1e-6),
        ([0.25], [0.5], 0.25),
        ([np.nan, np.inf, -np.inf], [np.nan, np.inf, -np.inf], 0.0),
        ([np.nan], [1.0], 1.0),
        ([np.inf], [1e30], 1.0),
        ([np.inf], [-np.inf], 1.0),
        ([], [], 0.0),
        ([1.0], [1.0, 2.0], 1.0),
    ],
)
def test_a_difference_is_relative_to_large_numbers_and_1_where_one_is_none(one, two, far):
    assert difference(np.array(one), np.array(two)) == pytest.approx(far, rel=1e-3)


@pytest.mark.parametrize(("one", "two"), [([1, 2], [1, 3]), (["a"], ["b"])])
def test_labels_differ_or_do_not(one, two):
    first, second = np.array(one), np.array(two)
    assert (difference(first, second), difference(first, first)) == (1.0, 0.0)


@given(
    arrays.arrays(np.float32, 5, elements=st.floats(width=32)),
    arrays.arrays(np.float32, 5, elements=st.floats(width=32)),
)
def test_a_difference_is_finite_symmetric_and_0_only_of_equals(one, two):
    found = difference(one, two)
    assert found == difference(two, one)
    assert 0 <= found <= 2
    assert (found == 0) == bool(np.array_equal(one, two, equal_nan=True)) or found < 1e-300
