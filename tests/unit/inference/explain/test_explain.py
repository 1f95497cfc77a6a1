"""Explanations: exact where theory says what they are, and refused where they cannot be made."""

from __future__ import annotations

import asyncio
import math

import numpy as np
import onnx
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from mooring_inference.backends.base import LoadOptions
from mooring_inference.backends.loading import load_model
from mooring_inference.errors import RequestError
from mooring_inference.explain import (
    ExplanationLimits,
    ExplanationRequest,
    decode_request,
    encode_response,
    plan_explanation,
    run_plan,
    run_plan_async,
)
from mooring_inference.tensors import DATATYPES, Signature, TensorSpec


def spec(name, datatype="FP64", shape=(None, 3)):
    return TensorSpec(name, DATATYPES[datatype], shape)


ONE = Signature((spec("x"),), (spec("y", shape=(None, 2)),))
NUMBERS = st.floats(-100, 100).map(lambda value: round(value, 3))
ROWS = hnp.arrays(np.float64, st.tuples(st.integers(1, 4), st.just(3)), elements=NUMBERS)
WEIGHTS = hnp.arrays(np.float64, (3, 2), elements=NUMBERS)


def explain(request, predict, gradients=None, signature=ONE, **limits):
    _, plan = plan_explanation(
        request, signature, differentiable=gradients is not None, limits=ExplanationLimits(**limits)
    )
    return run_plan(plan, predict, gradients)


class Interacting:
    """y0 = x0 * x1 + tanh(x2), y1 = x0 squared - 3 x2, with its gradients by hand."""

    def __init__(self):
        self.batches = []

    def predict(self, inputs):
        x = inputs["x"]
        self.batches.append(len(x))
        return np.stack([x[:, 0] * x[:, 1] + np.tanh(x[:, 2]), x[:, 0] ** 2 - 3 * x[:, 2]], axis=1)

    def gradients(self, inputs, targets):
        x = inputs["x"]
        self.batches.append(len(x))
        zero, one = np.zeros(len(x)), np.ones(len(x))
        first = np.stack([x[:, 1], x[:, 0], 1 - np.tanh(x[:, 2]) ** 2], axis=1)
        second = np.stack([2 * x[:, 0], zero, -3 * one], axis=1)
        return {"x": np.where(targets[:, None] == 0, first, second)}


@given(ROWS, WEIGHTS, ROWS, st.sampled_from(["occlusion", "permutation", "integrated_gradients"]))
def test_a_linear_model_is_explained_by_weight_times_distance_from_the_baseline(x, weights, baseline, method):
    request = ExplanationRequest({"x": x}, method=method, baseline={"x": baseline[:1]}, orders=2, steps=3)
    result = explain(
        request,
        lambda inputs: inputs["x"] @ weights + 5,
        lambda inputs, targets: {"x": weights.T[targets]},
    )
    np.testing.assert_array_equal(result.targets, (x @ weights + 5).argmax(axis=1))
    expected = weights.T[result.targets] * (x - baseline[:1])
    np.testing.assert_allclose(result.attributions["x"], expected, atol=1e-8)
    np.testing.assert_allclose(result.completeness_errors, 0, atol=1e-8)


@given(ROWS, st.integers(0, 1))
def test_occlusion_is_the_fall_of_the_output_when_one_element_goes(x, target):
    model = Interacting()
    result = explain(ExplanationRequest({"x": x}, method="occlusion", target=target), model.predict)
    for row, column in np.ndindex(x.shape):
        without = x[row : row + 1].copy()
        without[0, column] = 0
        fall = model.predict({"x": x[row : row + 1]}) - model.predict({"x": without})
        assert result.attributions["x"][row, column] == pytest.approx(fall[0, target], abs=1e-9)


@given(ROWS.map(lambda x: x / 25), st.integers(0, 1))
def test_integrated_gradients_are_complete(x, target):
    model = Interacting()
    request = ExplanationRequest({"x": x}, target=target, steps=64)
    result = explain(request, model.predict, model.gradients)
    assert result.method == "integrated_gradients"
    np.testing.assert_allclose(result.completeness_errors, 0, atol=1e-6)
    changes = result.predictions - result.baseline_predictions
    np.testing.assert_allclose(result.attributions["x"].sum(axis=1), changes, atol=1e-6)


def test_integrated_gradients_of_a_product_halve_the_interaction():
    model = Interacting()
    result = explain(
        ExplanationRequest({"x": np.array([[3.0, 4, 0]])}, target=0), model.predict, model.gradients
    )
    np.testing.assert_allclose(result.attributions["x"], [[6, 6, 0]], atol=1e-12)


@given(ROWS, st.integers(0, 2**63 - 1))
def test_permutation_sums_to_the_change_and_repeats_itself_for_one_seed(x, seed):
    model = Interacting()
    request = ExplanationRequest({"x": x}, target=0, method="permutation", orders=5, seed=seed)
    first, second = explain(request, model.predict), explain(request, model.predict)
    np.testing.assert_allclose(first.completeness_errors, 0, atol=1e-8)
    np.testing.assert_array_equal(first.attributions["x"], second.attributions["x"])


def test_permutation_nears_the_shapley_value():
    request = ExplanationRequest({"x": np.array([[2.0, 8, 0]])}, target=0, method="permutation", orders=2000)
    attributions = explain(request, Interacting().predict).attributions["x"]
    np.testing.assert_allclose(attributions, [[8, 8, 0]], atol=1)


def test_inputs_of_every_kind_are_occluded_by_their_zero():
    signature = Signature(
        (
            spec("colour", "BYTES", (None,)),
            spec("on", "BOOL", (None, 1)),
            spec("image", "UINT8", (None, 2, 2)),
        ),
        (spec("label", "BYTES", (None,)), spec("score", "INT64", (None,)), spec("p", "FP32", (None,))),
    )

    def predict(inputs):
        long = np.array([len(text) for text in inputs["colour"]])
        image = (inputs["image"] * np.array([[1, 10], [100, 1000]])).sum(axis=(1, 2))
        return (long + 7 * inputs["on"][:, 0] + image).astype(np.float32)

    inputs = {
        "image": np.array([[[1, 2], [3, 4]]], np.uint8),
        "colour": np.array(["red"], object),
        "on": np.array([[True]]),
    }
    result = explain(ExplanationRequest(inputs), predict, signature=signature)
    assert result.output == "p"
    assert result.attributions["colour"].tolist() == [3]
    assert result.attributions["on"].tolist() == [[7]]
    assert result.attributions["image"].tolist() == [[[1, 20], [300, 4000]]]
    explanation = orjson.loads(encode_response(result))["explanations"][0]
    assert explanation["baseline"] == {"colour": "", "on": [False], "image": [[0, 0], [0, 0]]}


@given(ROWS, st.sampled_from(["occlusion", "permutation", "integrated_gradients"]), st.integers(1, 5))
def test_batches_are_never_larger_than_allowed_and_change_nothing(x, method, batch):
    model, whole = Interacting(), Interacting()
    request = ExplanationRequest({"x": x}, method=method, target=1, steps=9, orders=3)
    small = explain(request, model.predict, model.gradients, batch=batch)
    assert max(model.batches) <= batch
    large = explain(request, whole.predict, whole.gradients)
    np.testing.assert_allclose(small.attributions["x"], large.attributions["x"], atol=1e-9)


def test_a_model_of_one_row_is_asked_row_by_row():
    model = Interacting()
    signature = Signature((spec("x", shape=(1, 3)),), (spec("y", shape=(1, 2)),))
    explain(ExplanationRequest({"x": np.ones((1, 3))}), model.predict, signature=signature)
    assert set(model.batches) == {1}


def test_steps_can_be_awaited():
    model = Interacting()

    async def predict(inputs):
        await asyncio.sleep(0)
        return model.predict(inputs)

    async def gradients(inputs, targets):
        await asyncio.sleep(0)
        return model.gradients(inputs, targets)

    request = ExplanationRequest({"x": np.array([[1.0, 2, 3]])})
    output, plan = plan_explanation(request, ONE, differentiable=True)
    awaited = asyncio.run(run_plan_async(plan, predict, gradients))
    assert output == "y"
    called = explain(request, model.predict, model.gradients)
    np.testing.assert_array_equal(awaited.attributions["x"], called.attributions["x"])


def test_a_real_onnx_model_is_explained_through_its_backend(tmp_path):
    weights = np.array([[2.0], [-1.0], [0.5]], np.float32)
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["x", "w"], ["y"])],
        "linear",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [None, 3])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [None, 1])],
        [onnx.numpy_helper.from_array(weights, "w")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "model.onnx")
    backend = load_model(tmp_path, LoadOptions())
    request = decode_request(b'{"instances": [[1, 2, 3], [4, 5, 6]]}', backend.signature)
    output, plan = plan_explanation(request, backend.signature)
    result = run_plan(plan, lambda inputs: backend.predict(inputs, [output])[0])
    backend.close()
    np.testing.assert_allclose(result.attributions["x"], [[2, -2, 1.5], [8, -5, 3]], rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "limits", "status", "words"),
    [
        ({"method": "integrated_gradients"}, {}, 400, "for this model"),
        ({"output": "z"}, {}, 400, "parameters.output: expected ['y'], got z"),
        ({"target": 2}, {}, 400, "parameters.target: expected 0 to 1, got 2"),
        ({"baseline": {"x": np.zeros((1, 2))}}, {}, 400, "parameters.baseline: expected [1, 3], got [1, 2]"),
        ({"inputs": {"x": np.zeros((0, 3))}}, {}, 400, "at least one"),
        ({}, {"rows": 1}, 413, "at most 1 rows, this one takes 2"),
        ({}, {"elements": 2}, 413, "at most 2 elements in a row, this one takes 3"),
        ({}, {"evaluations": 10}, 413, "at most 10 evaluations of the model, this one takes 11"),
    ],
)
def test_what_cannot_be_explained_is_refused(change, limits, status, words):
    request = ExplanationRequest(**({"inputs": {"x": np.ones((2, 3))}} | change))
    with pytest.raises(RequestError) as caught:
        explain(request, Interacting().predict, **limits)
    assert caught.value.status == status
    assert words in caught.value.message


@pytest.mark.parametrize("method", ["occlusion", "permutation", "integrated_gradients"])
def test_the_limit_on_evaluations_counts_every_row_that_the_model_answers(method):
    model = Interacting()
    request = ExplanationRequest({"x": np.ones((2, 3))}, method=method, orders=2, steps=5)
    explain(request, model.predict, model.gradients)
    used = sum(model.batches)
    explain(request, model.predict, model.gradients, evaluations=used)
    with pytest.raises(RequestError, match=f"takes {used}"):
        explain(request, model.predict, model.gradients, evaluations=used - 1)


@pytest.mark.parametrize(
    ("inputs", "outputs", "words"),
    [
        ((spec("x", shape=(4, 3)),), ONE.outputs, "no batch axis of open size"),
        ((spec("x", shape=()),), ONE.outputs, "no batch axis of open size"),
        (ONE.inputs, (spec("label", "BYTES"),), "none of its outputs is numeric"),
    ],
)
def test_a_model_without_batch_or_number_cannot_be_explained(inputs, outputs, words):
    with pytest.raises(RequestError, match=words):
        plan_explanation(ExplanationRequest({"x": np.ones((2, 3))}), Signature(inputs, outputs))


def test_a_request_is_decoded_and_answered_in_the_form_of_its_instances():
    body = orjson.dumps(
        {
            "instances": [[1, 2, 3], [4, 5, 6]],
            "parameters": {"target": 1, "method": "occlusion", "baseline": [1, 1, 1]},
        }
    )
    request = decode_request(body, ONE)
    assert (request.target, request.method, request.steps) == (1, "occlusion", 64)
    answer = orjson.loads(encode_response(explain(request, Interacting().predict)))
    assert len(answer["predictions"]) == 2
    assert answer["explanations"][0] == {
        "method": "occlusion",
        "output": "y",
        "target": 1,
        "attributions": [0, 0, -6],
        "baseline": [1, 1, 1],
        "prediction": -8,
        "baseline_prediction": -2,
        "completeness_error": 0,
    }


def test_what_json_has_no_word_for_becomes_null():
    request = ExplanationRequest({"x": np.array([[1.0, 2, 3]])}, target=0)
    answer = encode_response(explain(request, lambda inputs: np.full((len(inputs["x"]), 2), math.nan)))
    assert orjson.loads(answer)["explanations"][0]["prediction"] is None


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ([], "parameters: expected object, got array"),
        ({"outputs": "y"}, "parameters: expected keys out of"),
        ({"method": "lime"}, "parameters.method: expected one of"),
        ({"method": 1}, "parameters.method: expected string, got number"),
        ({"target": -1}, "parameters.target: expected whole number"),
        ({"target": "a"}, "parameters.target: expected whole number from 0 to 2147483648, got string"),
        ({"steps": 0}, "parameters.steps: expected whole number from 1 to 1024, got 0"),
        ({"orders": True}, "parameters.orders: expected whole number"),
        ({"baseline": [1, 2]}, "parameters.baseline: instances: expected shape"),
    ],
)
def test_wrong_parameters_are_named(parameters, words):
    with pytest.raises(RequestError) as caught:
        decode_request(orjson.dumps({"instances": [[1, 2, 3]], "parameters": parameters}), ONE)
    assert caught.value.status == 400
    assert words in caught.value.message
