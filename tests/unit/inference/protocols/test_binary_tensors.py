"""Tensors as raw bytes: what goes out comes back, and what is no tensor is refused by name."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from mooring_inference.errors import RequestError
from mooring_inference.protocols.binary_tensors import decode_raw, encode_raw
from mooring_inference.tensors import DATATYPES, TensorSpec

NUMERIC = [name for name in DATATYPES if name != "BYTES"]
SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)


def spec(datatype, rank=1):
    return TensorSpec("x", DATATYPES[datatype], (None,) * rank)


def decode(datatype, shape, raw):
    return decode_raw("raw", spec(datatype, len(shape)), shape, raw)


@given(
    st.sampled_from(NUMERIC).flatmap(lambda n: hnp.arrays(DATATYPES[n].dtype, SHAPES).map(lambda a: (n, a)))
)
def test_numbers_survive_the_round_trip_bit_for_bit(typed):
    datatype, array = typed
    found = decode(datatype, array.shape, encode_raw(spec(datatype), array))
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    assert found.tobytes() == array.tobytes()


@given(hnp.arrays(object, SHAPES, elements=TEXT))
def test_strings_survive_the_round_trip(array):
    found = decode("BYTES", array.shape, encode_raw(spec("BYTES"), array))
    assert found.shape == array.shape
    assert found.ravel().tolist() == array.ravel().tolist()


def decode_or_refusal(datatype, shape, raw):
    try:
        return decode(datatype, shape, raw)
    except RequestError as refused:
        return refused


LARGE = st.sampled_from([2**31, 2**62, 2**63 - 1])


@given(
    st.sampled_from(list(DATATYPES)),
    st.lists(st.one_of(st.integers(-3, 5), LARGE), max_size=4),
    st.one_of(
        st.binary(max_size=60),
        # Close to what BYTES look like, so that more than the first length is read.
        st.lists(st.binary(max_size=5)).map(lambda s: b"".join(struct.pack("<I", len(x)) + x for x in s)),
    ),
)
@example("FP32", [0, 2**62, 2**62], b"")
@example("INT8", [-1, -1], b"\0")
@example("BYTES", [-1, -1], b"\0\0\0\0")
@example("BYTES", [2**62], b"\0\0\0\0")
def test_rubbish_is_refused_or_is_what_it_says(datatype, shape, raw):
    found = decode_or_refusal(datatype, shape, raw)
    if isinstance(found, RequestError):
        assert (found.status, found.field) == (400, "raw")
    else:
        assert list(found.shape) == shape
        assert encode_raw(spec(datatype), found) == raw


def test_numbers_are_not_copied():
    raw = np.arange(4, dtype=np.float32).tobytes()
    found = decode("FP32", [2, 2], raw)
    assert np.shares_memory(found, np.frombuffer(raw, np.uint8))
    assert not found.flags.writeable


def test_a_part_of_a_larger_buffer_is_enough():
    raw = memoryview(b"?" + np.arange(3, dtype=np.int16).tobytes() + b"?")[1:-1]
    assert decode("INT16", [3], raw).tolist() == [0, 1, 2]
    assert decode("BYTES", [1], memoryview(b"?\1\0\0\0a")[1:]).tolist() == ["a"]


def test_what_is_written_has_the_datatype_and_order_of_the_protocol():
    big_endian_and_transposed = np.array([[1, 2], [3, 4]], dtype=">f8").T
    assert encode_raw(spec("FP32"), big_endian_and_transposed) == struct.pack("<4f", 1, 3, 2, 4)


@pytest.mark.parametrize(
    ("datatype", "shape", "raw", "said"),
    [
        ("FP32", [2], b"\0" * 7, r"raw: expected 8 bytes for shape \[2\], got 7 bytes"),
        ("BOOL", [2], b"\1\2", "expected bytes of 0 or 1, got 2"),
        ("INT8", [0, 2**62, 2**62], b"", "expected dimensions that an array can have"),
        ("BYTES", [2], b"\1\0\0\0a\0\0\0", r"each after a length of 4 bytes, got 3 bytes after string 1"),
        ("BYTES", [1], b"\5\0\0\0a", "expected a string of 5 bytes, got 1 bytes"),
        ("BYTES", [1], b"\1\0\0\0\xff", "strings in UTF-8"),
        ("BYTES", [1], b"\0\0\0\0\0", r"expected 1 strings for shape \[1\], got 1 bytes more"),
        ("BYTES", [3], b"\0\0\0\0", r"expected 3 strings for shape \[3\], got 4 bytes"),
    ],
)
def test_refusals_say_what_was_expected(datatype, shape, raw, said):
    with pytest.raises(RequestError, match=said):
        decode(datatype, shape, raw)
