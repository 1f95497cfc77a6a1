"""Rows of requests against what a model takes: one at a time, limits of a batch, as many of each input."""

from __future__ import annotations

import numpy as np
import pytest
from mooring_inference.backends.base import LoadOptions
from mooring_inference.backends.loading import load_model
from mooring_inference.backends.warm_up import warm_up
from mooring_inference.models.batching.queue import BatchLimits
from onnx import TensorProto, helper

from tests.unit.inference.model_server import serving
from tests.unit.inference.score_models import sum_and_negative, write_model


def one_row_model(folder):
    """x ["batch", 4] -> y [1, 4] = x, by a shape that an export has fixed."""
    shape = helper.make_tensor("shape", TensorProto.INT64, [2], [1, 4])
    nodes = [helper.make_node("Reshape", ["x", "shape"], ["y"])]
    return write_model(folder, nodes, [("x", "float", ["batch", 4])], [("y", "float", ["batch", 4])], [shape])


def two_inputs(folder, first="n", second="n", kind="Add"):
    """a [first, 1], b [second, 1] -> y, their sum, or their product of rows."""
    inputs = [("a", "float", [first, 1]), ("b", "float", [second, 1])]
    if kind == "Add":
        return write_model(
            folder, [helper.make_node("Add", ["a", "b"], ["y"])], inputs, [("y", "float", [first, 1])]
        )
    nodes = [helper.make_node("Transpose", ["b"], ["t"]), helper.make_node("MatMul", ["a", "t"], ["y"])]
    return write_model(folder, nodes, inputs, [("y", "float", [first, second])])


def tensor(name, rows, width):
    data = np.arange(rows * width, dtype=float).tolist()
    return {"name": name, "datatype": "FP32", "shape": [rows, width], "data": data}


async def infer(backend, *tensors, **options):
    async with serving({"m": {"1": backend}}, **options) as (_, client):
        answer = await client.post("/v2/models/m/infer", json={"inputs": list(tensors)})
        return answer.status_code, answer.json(), (await client.get("/metrics")).text


@pytest.mark.parametrize("rows", [1, 2, 5])
async def test_a_model_of_one_row_answers_rows_one_by_one(tmp_path, rows):
    backend = load_model(one_row_model(tmp_path), LoadOptions())
    assert warm_up(backend).one_row
    status, body, metrics = await infer(backend, tensor("x", rows, 4))
    assert (status, body["outputs"][0]["shape"]) == (200, [rows, 4])
    assert body["outputs"][0]["data"] == np.arange(4.0 * rows).tolist()
    assert f'mooring_inference_batch_rows_count{{model="m",revision="1"}} {float(rows)}' in metrics


async def test_a_model_that_fails_on_no_rows_answers_them_without_rows(tmp_path):
    status, body, _ = await infer(load_model(one_row_model(tmp_path), LoadOptions()), tensor("x", 0, 4))
    assert (status, body["outputs"][0]["shape"], body["outputs"][0]["data"]) == (200, [0, 4], [])


async def test_no_rows_of_a_model_that_fails_on_all_rows_are_its_failure(tmp_path):
    """x ["n"] -> y = x at place 7 of 4."""
    places = helper.make_tensor("places", TensorProto.INT64, [1], [7])
    nodes = [helper.make_node("Gather", ["x", "places"], ["y"], axis=1)]
    model = write_model(tmp_path, nodes, [("x", "float", ["n", 4])], [("y", "float", ["n", 1])], [places])
    status, _, _ = await infer(load_model(model, LoadOptions()), tensor("x", 0, 4))
    assert status == 500


@pytest.mark.parametrize(("limit", "runs"), [(8, 4), (5, 7), (32, 1), (1, 1)])
async def test_a_batch_keeps_its_limit_and_the_metric_says_so(tmp_path, limit, runs):
    """Of one row it is none: calls run as they come."""
    backend = load_model(sum_and_negative(tmp_path), LoadOptions())
    status, body, metrics = await infer(
        backend, tensor("x", 32, 2), batching=BatchLimits(max_batch_rows=limit)
    )
    assert (status, body["outputs"][1]["data"]) == (200, [-value for value in range(64)])
    series = '{model="m",revision="1"}'
    assert f"mooring_inference_batch_rows_count{series} {float(runs)}" in metrics
    assert f"mooring_inference_batch_rows_sum{series} 32.0" in metrics


@pytest.mark.parametrize(
    "axes",
    [("n", "n"), (None, None), ("n", None), ("unk__1", "unk__2"), ("a_dynamic_axes_1", "b_dynamic_axes_1")],
)
@pytest.mark.parametrize("rows", [(2, 3), (2, 1), (1, 2), (0, 1)])
async def test_inputs_of_other_numbers_of_rows_are_refused(tmp_path, axes, rows):
    backend = load_model(two_inputs(tmp_path, *axes), LoadOptions())
    status, body, _ = await infer(backend, tensor("a", rows[0], 1), tensor("b", rows[1], 1))
    assert (status, body["field"], body["got"]) == (400, "inputs", {"a": rows[0], "b": rows[1]})


async def test_inputs_may_differ_where_the_model_names_their_rows_differently(tmp_path):
    backend = load_model(two_inputs(tmp_path, "users", "items", "MatMul"), LoadOptions())
    status, body, _ = await infer(backend, tensor("a", 3, 1), tensor("b", 2, 1))
    assert (status, body["outputs"][0]["shape"]) == (200, [3, 2])


async def test_a_model_of_one_row_gives_explanations_of_several(tmp_path):
    backend = load_model(one_row_model(tmp_path), LoadOptions())
    async with serving({"m": {"1": backend}}) as (_, client):
        answer = await client.post("/v1/models/m:explain", json={"instances": [[1, 2, 3, 4], [4, 3, 2, 1]]})
    assert answer.status_code == 200
    assert [one["target"] for one in answer.json()["explanations"]] == [3, 0]


async def explained(backend, **parameters):
    body = {"instances": [[3, 1, 2], [1, 5, 0]], "parameters": {"method": "occlusion", **parameters}}
    async with serving({"m": {"1": backend}}) as (_, client):
        answer = await client.post("/v1/models/m:explain", json=body)
        return answer.status_code, answer.json()


async def test_an_output_without_a_row_for_each_row_is_not_explained(tmp_path):
    """One of [3, n] would be explained by numbers of other rows, and one of no dimension fail."""
    nodes = [
        helper.make_node("Transpose", ["x"], ["turned"], perm=[1, 0]),
        helper.make_node("ReduceSum", ["x"], ["total"], keepdims=0),
    ]
    outputs = [("turned", "float", [3, "n"]), ("total", "float", [])]
    odd = write_model(tmp_path / "odd", nodes, [("x", "float", ["n", 3])], outputs)
    for parameters in ({}, {"output": "total"}):
        status, body = await explained(load_model(odd, LoadOptions()), **parameters)
        assert (status, "none of its outputs is numeric, with a row" in body["error"]) == (400, True)
    nodes.append(helper.make_node("Neg", ["x"], ["negative"]))
    outputs.append(("negative", "float", ["n", 3]))
    both = write_model(tmp_path / "both", nodes, [("x", "float", ["n", 3])], outputs)
    status, body = await explained(load_model(both, LoadOptions()))
    assert (status, body["predictions"]) == (200, [[-3, -1, -2], [-1, -5, 0]])
    assert (await explained(load_model(both, LoadOptions()), output="turned"))[0] == 400


async def test_rows_that_show_in_each_others_results_are_explained_each_alone(tmp_path):
    """Less the largest of all rows each row alone is zeros, whatever its elements: none of them has a part in it."""
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["most"], axes=[0], keepdims=1),
        helper.make_node("Sub", ["x", "most"], ["y"]),
    ]
    model = write_model(tmp_path, nodes, [("x", "float", ["n", 3])], [("y", "float", ["n", 3])])
    status, body = await explained(load_model(model, LoadOptions()))
    assert (status, body["predictions"]) == (200, [[0, 0, 0]] * 2)
    assert [one["attributions"] for one in body["explanations"]] == [[0, 0, 0]] * 2
