"""Bytes to arrays and back, without a server."""

from __future__ import annotations

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from mooring_inference.errors import RequestError
from mooring_inference.protocols import v1, v2
from mooring_inference.protocols.elements import flatten
from mooring_inference.tensors import DATATYPES, Signature, TensorSpec, datatype_of_onnx

FP32, INT64, BYTES = DATATYPES["FP32"], DATATYPES["INT64"], DATATYPES["BYTES"]
X = TensorSpec("x", FP32, (None, 4))
Y = TensorSpec("y", FP32, (None, 2))
MODEL = Signature((X,), (Y, TensorSpec("label", INT64, (None,))))


def v2_body(**tensor):
    return orjson.dumps(
        {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]} | tensor]}
    )


def refusal(decode, body):
    try:
        decode(body, MODEL)
    except RequestError as exc:
        return exc.status
    return None


@st.composite
def arrays(draw):
    datatype = draw(st.sampled_from([d for d in DATATYPES.values() if d.name != "BYTES"]))
    elements = {"allow_nan": False, "allow_infinity": False} if datatype.dtype.kind == "f" else None
    shape = hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4)
    return datatype, draw(hnp.arrays(datatype.dtype, shape, elements=elements))


@given(arrays(), st.booleans())
def test_v2_round_trip_keeps_every_element(case, nested):
    datatype, array = case
    spec = TensorSpec("t", datatype, (None,) * array.ndim)
    data = array.tolist() if nested else array.ravel().tolist()
    entry = {"name": "t", "datatype": datatype.name, "shape": list(array.shape), "data": data}
    request = v2.decode_request(orjson.dumps({"inputs": [entry]}), Signature((spec,), (spec,)))
    decoded = request.inputs["t"]
    assert decoded.dtype == array.dtype
    np.testing.assert_array_equal(decoded, array)

    body, _ = v2.encode_response(model="m", version="1", request_id="i", outputs=[(spec, decoded)])
    output = orjson.loads(body)["outputs"][0]
    assert output["shape"] == list(array.shape)
    np.testing.assert_array_equal(np.array(output["data"], datatype.dtype).reshape(array.shape), array)


@given(hnp.arrays(object, hnp.array_shapes(max_dims=2, max_side=3), elements=st.text(max_size=5)))
def test_v2_round_trip_of_strings(array):
    spec = TensorSpec("t", BYTES, (None,) * array.ndim)
    entry = {"name": "t", "datatype": "BYTES", "shape": list(array.shape), "data": array.ravel().tolist()}
    decoded = v2.decode_request(orjson.dumps({"inputs": [entry]}), Signature((spec,), (spec,))).inputs["t"]
    body, _ = v2.encode_response(model="m", version="1", request_id="i", outputs=[(spec, decoded)])
    assert orjson.loads(body)["outputs"][0]["data"] == array.ravel().tolist()


@given(
    hnp.arrays(np.float32, st.tuples(st.integers(1, 5), st.just(4)), elements=st.floats(-1e6, 1e6, width=32))
)
def test_v1_and_v2_decode_to_the_same_array(array):
    one = v1.decode_request(orjson.dumps({"instances": array.tolist()}), MODEL)["x"]
    two = v2.decode_request(v2_body(shape=list(array.shape), data=array.tolist()), MODEL).inputs["x"]
    np.testing.assert_array_equal(one, two)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_or_decoded(body):
    for decode in (v2.decode_request, v1.decode_request):
        assert refusal(decode, body) in (None, 400)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False)
    | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


@given(json_values, json_values)
def test_any_json_as_shape_and_data_is_refused_or_decoded(shape, data):
    for body in (v2_body(shape=shape, data=data), v2_body(data=data), orjson.dumps({"instances": data})):
        decode = v1.decode_request if b"instances" in body else v2.decode_request
        assert refusal(decode, body) in (None, 400)


BAD = [
    (b"{", "body", "a JSON object"),
    (b"[]", "body", "object"),
    (b'{"inputs": 3}', "inputs", "array"),
    (b'{"inputs": []}', "inputs", ["x"]),
    (b'{"inputs": [1]}', "inputs[0]", "object"),
    (orjson.dumps({"id": 1, "inputs": []}), "id", "string"),
    (v2_body(name="z"), "inputs[0].name", ["x"]),
    (v2_body(name=None), "inputs[0].name", ["x"]),
    (v2_body()[:-1] + b', "outputs": {}}', "outputs", "array"),
    (v2_body()[:-1] + b', "outputs": 0}', "outputs", "array"),
    (v2_body(datatype="FP64"), "inputs[0].datatype", "FP32"),
    (v2_body(datatype=None), "inputs[0].datatype", "FP32"),
    (v2_body(shape=[1, 5]), "inputs[0].shape", [-1, 4]),
    (v2_body(shape=[4]), "inputs[0].shape", [-1, 4]),
    (v2_body(shape=[-1, 4]), "inputs[0].shape", [-1, 4]),
    (v2_body(shape=[1.0, 4]), "inputs[0].shape", [-1, 4]),
    (v2_body(shape="1,4"), "inputs[0].shape", [-1, 4]),
    (v2_body(shape=[2, 4]), "inputs[0].data", "8 elements for shape [2, 4]"),
    (v2_body(data=[[1, 2, 3]]), "inputs[0].data[0]", "an array of 4"),
    (v2_body(shape=[2, 4], data=[[1, 2, 3, 4], 5]), "inputs[0].data[1]", "an array of 4"),
    (v2_body(shape=[2, 4], data=[[1, 2, 3, 4], [1, 2, "3", 4]]), "inputs[0].data[1][2]", "FP32"),
    (v2_body(shape=[2, 4], data=[1, 2, 3, 4, 1, 2, 3, 1e39]), "inputs[0].data[7]", "FP32"),
    (v2_body(data=[[1, 2, 3, 4]] * 2), "inputs[0].data", "1 rows for shape [1, 4]"),
    (v2_body(data="1234"), "inputs[0].data", "array"),
    (v2_body(data=[1, 2, "3", 4]), "inputs[0].data[2]", "FP32"),
    (v2_body(data=[1, "2", 3, 4]), "inputs[0].data[1]", "FP32"),
    (v2_body(data=[1, 2, 3, 1e300]), "inputs[0].data[3]", "FP32"),
    (
        b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1,4],"data":[1,2,3,NaN]}]}',
        "body",
        "a JSON object",
    ),
]


@pytest.mark.parametrize(("body", "field", "expected"), BAD)
def test_a_bad_v2_request_names_field_expected_and_got(body, field, expected):
    with pytest.raises(RequestError) as caught:
        v2.decode_request(body, MODEL)
    error = caught.value.body()
    assert (caught.value.status, error["field"], error["expected"]) == (400, field, expected)
    assert error["got"] is not None


def test_an_unknown_output_is_refused():
    body = orjson.loads(v2_body()) | {"outputs": [{"name": "nope"}]}
    with pytest.raises(RequestError) as caught:
        v2.decode_request(orjson.dumps(body), MODEL)
    assert (caught.value.field, caught.value.expected) == ("outputs[0].name", ["y", "label"])


@pytest.mark.parametrize(
    ("datatype", "value"),
    [
        ("BOOL", 1),
        ("BYTES", 1),
        ("INT64", 1.5),
        ("UINT8", 256),
        ("INT32", 2**31),
        ("UINT64", -1),
        ("INT8", "a"),
        ("INT8", None),
        ("UINT64", None),
        ("BOOL", None),
        ("BYTES", None),
    ],
)
def test_an_element_that_does_not_fit_is_refused(datatype, value):
    spec = TensorSpec("t", DATATYPES[datatype], (1,))
    entry = {"name": "t", "datatype": datatype, "shape": [1], "data": [value]}
    with pytest.raises(RequestError, match=r"inputs\[0\]\.data\[0\]"):
        v2.decode_request(orjson.dumps({"inputs": [entry]}), Signature((spec,), (spec,)))


@pytest.mark.parametrize(
    ("instances", "field"),
    [
        (None, "instances"),
        ([1], "instances"),
        ([[1, 2, 3]], "instances"),
        ([[1, 2, 3, 4], [1, 2]], "instances[1]"),
        ([[1, 2, 3, 4], None], "instances[1]"),
        ([[1, 2, 3, "a"]], "instances[0][3]"),
        ([[1, 2, 3, 4], [1, 2, 1e39, 4]], "instances[1][2]"),
        ([{"x": [1, 2, 3, 4]}, {"x": [1, 2, "a", 4]}], "instances[1].x[2]"),
        ([{"x": [1, 2, 3, 4]}, {"x": 1}], "instances[1].x"),
        ([{"x": [1, 2]}], "instances[0].x"),
        ([{"z": [1, 2, 3, 4]}], "instances[0].x"),
        ([{"x": [1, 2, 3, 4], "z": 1}], "instances[0].z"),
        ([{"x": [1, 2, 3, 4]}, [1]], "instances[1]"),
    ],
)
def test_a_bad_v1_request_names_the_field(instances, field):
    with pytest.raises(RequestError) as caught:
        v1.decode_request(orjson.dumps({"instances": instances}), MODEL)
    assert (caught.value.status, caught.value.field) == (400, field)


def test_v1_instances_may_be_objects_by_input_name():
    body = orjson.dumps({"instances": [{"x": [1, 2, 3, 4]}, {"x": [5, 6, 7, 8]}]})
    assert v1.decode_request(body, MODEL)["x"].tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]


def test_v1_several_outputs_become_objects():
    outputs = [
        (Y, np.array([[0.25, 0.75], [1, 0]], np.float32)),
        (TensorSpec("label", BYTES, (None,)), np.array(["a", "b"], object)),
    ]
    assert orjson.loads(v1.encode_response(outputs)) == {
        "predictions": [{"y": [0.25, 0.75], "label": "a"}, {"y": [1.0, 0.0], "label": "b"}]
    }


def test_flat_data_is_not_touched():
    data = [1, 2, 3, 4]
    assert flatten("data", [2, 2], data) is data


@pytest.mark.parametrize(
    ("onnx", "name"), [("tensor(float)", "FP32"), ("tensor(string)", "BYTES"), ("tensor(bool)", "BOOL")]
)
def test_onnx_types(onnx, name):
    assert datatype_of_onnx(onnx) is DATATYPES[name]


@pytest.mark.parametrize("onnx", ["seq(map(int64,tensor(float)))", "tensor(bfloat16)", "tensor(complex64)"])
def test_onnx_types_that_v2_has_no_name_for(onnx):
    assert datatype_of_onnx(onnx) is None


def test_an_element_that_is_nested_a_thousand_times_is_refused_like_any_other():
    body = b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, %b]}]}'
    with pytest.raises(RequestError, match=r"data\[3\]: expected FP32, got array"):
        v2.decode_request(body % (b"[" * 1000 + b"]" * 1000), MODEL)


@pytest.mark.parametrize("shape", [[0, 2**62, 2**62], [2**40, 0, 2**40]])
def test_shapes_that_no_array_can_have_are_refused(shape):
    spec = TensorSpec("t", DATATYPES["FP32"], (None,) * 3)
    entry = {"name": "t", "datatype": "FP32", "shape": shape, "data": []}
    with pytest.raises(RequestError, match=r"inputs\[0\]\.data: expected dimensions"):
        v2.decode_request(orjson.dumps({"inputs": [entry]}), Signature((spec,), (spec,)))


def test_no_rows_have_no_classes():
    spec, found = v2.classify(Y, np.zeros((0, 3), np.float32), 2)
    assert (found.shape, spec.datatype.name) == ((0, 2), "BYTES")
