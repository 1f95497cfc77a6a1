"""Tensors as raw bytes, as the V2 protocol's binary extension and gRPC's raw contents carry them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from math import prod

import numpy as np

from mooring_inference.errors import bad_field
from mooring_inference.tensors import Array, TensorSpec

_LENGTH = struct.Struct("<I")


def decode_raw(field: str, spec: TensorSpec, shape: Sequence[int], raw: bytes | memoryview) -> Array:
    """Return an array of ``shape`` over little-endian, row-major ``raw``, without a copy; BYTES are length-prefixed.

    Args:
        field: what error messages call ``raw``.
        spec: says the datatype; whether it accepts ``shape`` is for the caller to see to.
        shape: sizes of the dimensions, as the request says.
        raw: the elements; read-only memory gives a read-only array.

    Raises:
        RequestError: 400, bytes and shape do not fit, or the bytes are no elements of the datatype.
    """
    count = prod(shape)
    if spec.datatype.name == "BYTES":
        return shaped(field, _decode_strings(field, shape, count, bytes(raw)), shape)
    size = count * spec.datatype.dtype.itemsize
    if len(raw) != size:
        raise bad_field(field, f"{size} bytes for shape {list(shape)}", f"{len(raw)} bytes")
    array = np.frombuffer(raw, dtype=spec.datatype.dtype)
    # Any other byte is neither true nor false to code that trusts the type.
    if spec.datatype.name == "BOOL" and size and (largest := array.view(np.uint8).max()) > 1:
        raise bad_field(field, "bytes of 0 or 1", int(largest))
    return shaped(field, array, shape)


def encode_raw(spec: TensorSpec, array: Array) -> bytes:
    """Return the little-endian, row-major bytes of an array; BYTES are length-prefixed."""
    if spec.datatype.name == "BYTES":
        strings = (v if isinstance(v, bytes) else str(v).encode() for v in array.ravel().tolist())
        return b"".join(_LENGTH.pack(len(s)) + s for s in strings)
    dtype = spec.datatype.dtype
    return (array if array.dtype == dtype else array.astype(dtype)).tobytes()


def shaped(field: str, array: Array, shape: Sequence[int]) -> Array:
    """Return a flat array in its shape.

    Raises:
        RequestError: 400, no array has such a shape: a dimension is negative, or they are too large, which the
            number of elements does not tell where another dimension is 0.
    """
    try:
        return array.reshape(shape)
    except ValueError:
        raise bad_field(field, "dimensions that an array can have", list(shape)) from None


def _decode_strings(field: str, shape: Sequence[int], count: int, content: bytes) -> Array:
    # Before anything is allocated for a number that only the shape vouches for.
    if not 0 <= count * _LENGTH.size <= len(content):
        raise bad_field(field, f"{count} strings for shape {list(shape)}", f"{len(content)} bytes")
    strings = np.empty(count, dtype=object)
    start = 0
    for index in range(count):
        if start + _LENGTH.size > len(content):
            raise bad_field(
                field,
                f"{count} strings for shape {list(shape)}, each after a length of 4 bytes",
                f"{len(content) - start} bytes after string {index}",
            )
        (length,) = _LENGTH.unpack_from(content, start)
        start += _LENGTH.size
        if start + length > len(content):
            raise bad_field(field, f"a string of {length} bytes", f"{len(content) - start} bytes")
        try:
            strings[index] = content[start : start + length].decode()
        except UnicodeDecodeError:
            raise bad_field(field, "strings in UTF-8", "other bytes") from None
        start += length
    if start != len(content):
        raise bad_field(
            field, f"{count} strings for shape {list(shape)}", f"{len(content) - start} bytes more"
        )
    return strings
