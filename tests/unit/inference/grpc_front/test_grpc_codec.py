"""V2 messages to arrays and back, without a server."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from mooring_inference.errors import RequestError
from mooring_inference.grpc_front import codec
from mooring_inference.grpc_front.schema import message
from mooring_inference.tensors import DATATYPES, Signature, TensorSpec

SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)


def spec(datatype="FP32", rank=2, name="x"):
    return TensorSpec(name, DATATYPES[datatype], (None,) * rank)


def signature(datatype="FP32", rank=2):
    return Signature((spec(datatype, rank),), (spec(datatype, rank, "y"), spec(datatype, rank, "z")))


def request(datatype="FP32", shape=(1, 2), *, raw=None, name="x", **contents):
    """``contents``: elements by the list that holds them."""
    made = message("ModelInferRequest")(raw_input_contents=[] if raw is None else [raw])
    tensor = made.inputs.add(name=name, datatype=datatype, shape=shape)
    for place, elements in contents.items():
        getattr(tensor.contents, place).extend(elements)
    return made


def parameter(made, key, **value):
    made.parameters[key].CopyFrom(message("InferParameter")(**value))
    return made


def respond(outputs, *, is_raw=False, classes=None):
    return codec.encode_response(
        model="m", version="1", request_id="", outputs=outputs, is_raw=is_raw, classes=classes
    )


def arrays_of(datatype):
    if datatype == "BYTES":
        return hnp.arrays(object, SHAPES, elements=TEXT)
    return hnp.arrays(DATATYPES[datatype].dtype, SHAPES)


@given(st.sampled_from(list(DATATYPES)).flatmap(lambda n: arrays_of(n).map(lambda a: (n, a))), st.booleans())
def test_what_is_answered_can_be_sent_back(typed, is_raw):
    datatype, array = typed
    response = respond([(spec(datatype, array.ndim, "y"), array)], is_raw=is_raw)
    assert bool(response.raw_output_contents) == (is_raw or datatype == "FP16")
    back = message("ModelInferRequest")(raw_input_contents=response.raw_output_contents)
    back.inputs.add().MergeFromString(response.outputs[0].SerializeToString())
    back.inputs[0].name = "x"
    decoded = codec.decode_request(back, signature(datatype, array.ndim))
    assert decoded.is_raw == (is_raw or datatype == "FP16")
    found = decoded.inputs["x"]
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(found, array)


@given(
    st.sampled_from(list(DATATYPES)),
    st.lists(st.one_of(st.integers(-3, 4), st.sampled_from([2**31, 2**62, 2**63 - 1])), max_size=3),
    st.one_of(st.none(), st.binary(max_size=40)),
    st.lists(st.integers(-(2**31), 2**31 - 1), max_size=5),
    st.lists(st.binary(max_size=3), max_size=5),
)
@example("FP32", [0, 2**62, 2**62], None, [], [])
def test_rubbish_is_refused_or_has_the_shape_it_says(datatype, shape, raw, numbers, strings):
    made = request(datatype, shape, raw=raw, int_contents=numbers, bytes_contents=strings)
    found = decode_or_refusal(made, signature(datatype, len(shape)))
    if isinstance(found, RequestError):
        assert found.status == 400
        assert found.field
    else:
        assert list(found.inputs["x"].shape) == shape


def decode_or_refusal(made, wanted):
    try:
        return codec.decode_request(made, wanted)
    except RequestError as refused:
        return refused


def twice(made):
    made.inputs.append(made.inputs[0])
    return made


def wanting(made, name="y", **parameters):
    output = made.outputs.add(name=name)
    for key, value in parameters.items():
        output.parameters[key].CopyFrom(message("InferParameter")(**value))
    return made


def in_shared_memory(made):
    made.inputs[0].parameters["shared_memory_region"].string_param = "r"
    return made


GOOD = b"\0" * 8


@pytest.mark.parametrize(
    ("made", "datatype", "said"),
    [
        (request(raw=GOOD, name="q"), "FP32", r"inputs\[0\].name: expected \['x'\], got q"),
        (request("FP64", raw=GOOD), "FP32", r"inputs\[0\].datatype: expected FP32, got FP64"),
        (request(shape=[2], raw=GOOD), "FP32", r"inputs\[0\].shape: expected \[-1, -1\], got \[2\]"),
        (request(shape=[-1, 2], raw=GOOD), "FP32", r"inputs\[0\].shape: .*got \[-1, 2\]"),
        (request(raw=GOOD[:7]), "FP32", r"raw_input_contents\[0\]: expected 8 bytes .* got 7 bytes"),
        (message("ModelInferRequest")(), "FP32", r"inputs: expected \['x'\], got \[\]"),
        (twice(request(fp32_contents=[1, 2])), "FP32", "each input once, got x twice"),
        (twice(request(raw=GOOD)), "FP32", "raw_input_contents: expected 2 entries"),
        (request(raw=GOOD, fp32_contents=[1, 2]), "FP32", "none beside raw_input_contents"),
        (request(fp32_contents=[1]), "FP32", "fp32_contents: expected 2 elements"),
        (request(fp64_contents=[1, 2]), "FP32", "FP32 in fp32_contents alone, got fp64_contents"),
        (
            request(fp32_contents=[1, 2], fp64_contents=[1]),
            "FP32",
            "fp32_contents alone, got fp32_contents, fp64_contents",
        ),
        (request("FP16", fp32_contents=[1, 2]), "FP16", "FP16 in raw_input_contents"),
        (request("INT8", int_contents=[1, 300]), "INT8", "INT8, -128 to 127, got 300"),
        (request("UINT16", uint_contents=[70000, 1]), "UINT16", "UINT16, 0 to 65535, got 70000"),
        (request("BYTES", bytes_contents=[b"a", b"\xff"]), "BYTES", r"bytes_contents\[1\]: .*UTF-8"),
        (parameter(request(raw=GOOD), "timeout", int64_param=-1), "FP32", "timeout: .* 0 or more, got -1"),
        (parameter(request(raw=GOOD), "timeout", string_param="1"), "FP32", "timeout: .* got string_param"),
        (parameter(request(raw=GOOD), "binary_data_output", int64_param=1), "FP32", "expected bool_param"),
        (wanting(request(raw=GOOD), "q"), "FP32", r"outputs\[0\].name: expected \['y', 'z'\], got q"),
        (
            wanting(request(raw=GOOD), classification={"double_param": 1}),
            "FP32",
            r"outputs\[0\].parameters.classification: .* got double_param",
        ),
        (
            wanting(request(raw=GOOD), shared_memory_region={"string_param": "r"}),
            "FP32",
            r"outputs\[0\].parameters.shared_memory_region: expected none",
        ),
        (in_shared_memory(request()), "FP32", r"inputs\[0\].parameters.shared_memory_region: expected none"),
    ],
)
def test_refusals_name_the_field_and_say_what_was_expected(made, datatype, said):
    with pytest.raises(RequestError, match=said) as refused:
        codec.decode_request(made, signature(datatype))
    assert refused.value.status == 400
    assert refused.value.field


def test_parameters_and_outputs_are_read():
    made = wanting(request(fp32_contents=[1, 2]), "z")
    plain = codec.decode_request(made, signature())
    assert (plain.outputs, plain.is_raw, plain.timeout, plain.classes) == (("z",), False, None, None)
    parameter(made, "timeout", int64_param=1500)
    parameter(made, "binary_data_output", bool_param=True)
    wanting(made, "y", classification={"int64_param": 2})
    asked = codec.decode_request(made, signature())
    assert (asked.outputs, asked.is_raw, asked.timeout, asked.classes) == (("z", "y"), True, 0.0015, (0, 2))
    assert codec.decode_request(request(raw=GOOD), signature()).outputs == ("y", "z")
    assert codec.decode_request(parameter(made, "timeout", uint64_param=0), signature()).timeout is None


def test_classes_are_the_largest_values_with_their_places():
    array = np.array([[0.5, 2, 1], [3, 0, 4]], np.float32)
    response = respond([(spec(), array), (spec(name="z"), array)], classes=[2, 0])
    classes, plain = response.outputs
    assert (classes.datatype, list(classes.shape)) == ("BYTES", [2, 2])
    assert list(classes.contents.bytes_contents) == [
        b"2.000000:1",
        b"1.000000:2",
        b"4.000000:2",
        b"3.000000:0",
    ]
    assert (plain.datatype, list(plain.contents.fp32_contents)) == ("FP32", [0.5, 2, 1, 3, 0, 4])


def test_one_output_without_typed_contents_makes_all_of_them_raw():
    half, single = np.ones((1, 1), np.float16), np.ones((1, 1), np.float32)
    response = respond([(spec("FP16", name="h"), half), (spec(name="s"), single)])
    assert [len(raw) for raw in response.raw_output_contents] == [2, 4]
    assert not any(output.HasField("contents") for output in response.outputs)
