"""Bodies of any server's V1 and V2 become arrays, or one clear error."""

from __future__ import annotations

import gzip

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_inference.access.json_limits import JsonLimits
from mooring_inference.collect.self_described import NotInferenceError, decode_exchange
from mooring_inference.errors import RequestError

V2 = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [2, 3], "data": [1, 2, 3, 4, 5, 6]}]}
V2_ANSWER = {
    "model_name": "m",
    "id": "answer",
    "outputs": [{"name": "label", "datatype": "INT64", "shape": [2], "data": [0, 1]}],
}


def decode(request, response, length=None, columns=(), limits=None):
    bodies = [body if isinstance(body, bytes) else orjson.dumps(body) for body in (request, response)]
    return decode_exchange(*bodies, length, columns, limits or JsonLimits())


def test_v2_is_what_it_says():
    found = decode(V2, V2_ANSWER)
    assert found.request_id == "answer"
    assert found.inputs["x"].tolist() == [[1, 2, 3], [4, 5, 6]]
    assert found.inputs["x"].dtype == np.float32
    [(spec, array)] = found.outputs
    assert (spec.name, array.dtype, array.tolist()) == ("label", np.int64, [0, 1])
    assert decode(V2 | {"id": "mine"}, V2_ANSWER).request_id == "mine"


def test_requests_of_one_form_have_one_signature_whatever_their_rows():
    one = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}]}
    answer = {"outputs": [{"name": "label", "datatype": "INT64", "shape": [1], "data": [0]}]}
    assert decode(V2, V2_ANSWER).signature == decode(one, answer).signature
    image = [{"name": "x", "datatype": "UINT8", "shape": [1, h, 2, 1], "data": [0] * 2 * h} for h in (2, 3)]
    assert len({decode({"inputs": [tensor]}, answer).signature for tensor in image}) == 1


@pytest.mark.parametrize("says_length", [True, False])
@pytest.mark.parametrize("name", ["x", 'a}"{', "\\", "ü"])
def test_binary_tensors_are_found_behind_their_json(says_length, name):
    values = np.array([[1.5, 2, 3]], np.float32)
    # Bytes that look like JSON's own, and like the end of a string.
    flags = np.frombuffer(b'{"}]', np.uint8).reshape(1, 4)
    head = orjson.dumps(
        {
            "inputs": [
                {"name": name, "datatype": "FP32", "shape": [1, 3], "parameters": {"binary_data_size": 12}},
                {"name": "f", "datatype": "UINT8", "shape": [1, 4], "parameters": {"binary_data_size": 4}},
            ]
        }
    )
    answer = {
        "outputs": [{"name": "y", "datatype": "FP64", "shape": [1], "parameters": {"binary_data_size": 8}}]
    }
    body = head + values.tobytes() + flags.tobytes()
    found = decode(
        body, orjson.dumps(answer) + np.array([0.25]).tobytes(), len(head) if says_length else None
    )
    assert found.inputs[name].tolist() == values.tolist()
    assert found.inputs["f"].tolist() == flags.tolist()
    assert found.outputs[0][1].tolist() == [0.25]


def test_v1_rows_are_numbers_of_double_precision_by_position():
    found = decode({"instances": [[1, 2.5], [None, 4]]}, {"predictions": [0, 1]})
    rows = found.inputs["instances"]
    assert rows.dtype == np.float64
    assert np.isnan(rows[1, 0])
    assert rows[0].tolist() == [1, 2.5]
    assert [(spec.name, array.tolist()) for spec, array in found.outputs] == [("predictions", [0, 1])]
    # Whole numbers and others are of one form.
    assert found.signature == decode({"instances": [[1, 2]]}, {"predictions": [0.5]}).signature


def test_v1_objects_are_one_input_for_each_name_in_any_order():
    asked = {"instances": [{"age": None, "job": "a", "old": True}, {"old": False, "job": "b", "age": 3}]}
    found = decode(asked, {"predictions": [{"y": 1, "p": [0.1, 0.9]}, {"y": 0, "p": [0.5, 0.5]}]})
    assert list(found.inputs) == ["age", "job", "old"]
    assert found.inputs["job"].tolist() == ["a", "b"]
    assert found.inputs["old"].tolist() == [True, False]
    assert np.isnan(found.inputs["age"][0])
    assert {spec.name: array.shape for spec, array in found.outputs} == {"p": (2, 2), "y": (2,)}


def test_columns_are_named_where_there_are_as_many():
    names = ("a", "b")
    body = {"instances": [[1, 2]]}
    assert decode(body, {"predictions": [0]}, columns=names).signature.input_columns == {"instances": names}
    assert decode(V2, V2_ANSWER, columns=names).signature.input_columns == {}


def test_bodies_that_a_server_or_its_caller_has_compressed_are_inflated_within_the_limit():
    bodies = [gzip.compress(orjson.dumps(body)) for body in (V2, V2_ANSWER)]
    assert decode(*bodies).inputs["x"].shape == (2, 3)
    with pytest.raises(RequestError) as caught:
        decode(gzip.compress(b" " * (9 << 20)), bodies[1], limits=JsonLimits(1 << 20))
    assert caught.value.status == 413


@pytest.mark.parametrize(
    "request_body",
    [b"", b"  ", {}, {"prompt": "hello", "model": "llm"}, {"inputs": "text"}, {"inputs": [[1, 2]]}],
)
def test_what_is_no_inference_is_told_apart(request_body):
    with pytest.raises(NotInferenceError):
        decode(request_body, V2_ANSWER)


@pytest.mark.parametrize(
    ("request_body", "response", "field"),
    [
        (b"{", V2_ANSWER, "body"),
        (b"[1]", V2_ANSWER, "body"),
        (V2, b"<html>", "body"),
        (V2, {"error": "no"}, "outputs"),
        ({"inputs": [V2["inputs"][0] | {"shape": [2, -3]}]}, V2_ANSWER, "inputs[0].shape"),
        ({"inputs": [V2["inputs"][0] | {"shape": []}]}, V2_ANSWER, "inputs[0].shape"),
        ({"inputs": [V2["inputs"][0] | {"shape": [3, 3]}]}, V2_ANSWER, "inputs[0].data"),
        ({"inputs": [V2["inputs"][0] | {"datatype": "BF16"}]}, V2_ANSWER, "inputs[0].datatype"),
        ({"inputs": V2["inputs"] * 2}, V2_ANSWER, "inputs[1].name"),
        (V2 | {"id": 3}, V2_ANSWER, "id"),
        (V2 | {"id": "x" * 300}, V2_ANSWER, "id"),
        (orjson.dumps(V2) + b"more", V2_ANSWER, "body"),
        ({"instances": []}, {"predictions": []}, "instances"),
        ({"instances": [[1, 2], [3]]}, {"predictions": [0, 0]}, "instances"),
        ({"instances": [{"a": 1}, {"b": 2}]}, {"predictions": [0, 0]}, "instances[1].a"),
        ({"instances": [[{"a": 1}]]}, {"predictions": [0]}, "instances"),
        ({"instances": [[1]]}, {"error": "no"}, "predictions"),
    ],
)
def test_a_body_that_contradicts_itself_is_named(request_body, response, field):
    with pytest.raises(RequestError) as caught:
        decode(request_body, response)
    assert (caught.value.field or "").startswith(field)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


@given(st.sampled_from(["instances", "inputs"]), JSON, JSON)
def test_whatever_rows_hold_is_decoded_or_refused(key, rows, answers):
    try:
        found = decode({key: rows}, {"predictions": answers, "outputs": answers})
    except (RequestError, NotInferenceError):
        return
    assert all(len(array) for array in found.inputs.values())


@given(st.binary(max_size=60), st.none() | st.integers(0, 80))
def test_whatever_bytes_come_are_refused_or_no_inference(body, length):
    with pytest.raises((RequestError, NotInferenceError)):
        decode(body, V2_ANSWER, length)
