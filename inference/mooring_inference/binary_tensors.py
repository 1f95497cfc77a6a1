"""Tensors as raw bytes, as the V2 protocol's binary extension and gRPC's raw contents carry them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from math import prod

import numpy as np

from mooring_inference.errors import bad_field
from mooring_inference.tensors import Array, TensorSpec


def decode_raw(field: str, spec: TensorSpec, shape: Sequence[int], raw: bytes | memoryview) -> Array:
    """An array of ``shape`` over little-endian, row-major ``raw``, without a copy; BYTES are length-prefixed.

    Raises:
        RequestError: 400, the size does not fit.
    """
    if spec.datatype.name == "BYTES":
        return _decode_strings(field, shape, raw)
    size = prod(shape) * spec.datatype.dtype.itemsize
    if len(raw) != size:
        raise bad_field(field, f"{size} bytes for shape {list(shape)}", f"{len(raw)} bytes")
    return np.frombuffer(raw, dtype=spec.datatype.dtype).reshape(shape)


def encode_raw(spec: TensorSpec, array: Array) -> bytes:
    """Row-major bytes of an array."""
    if spec.datatype.name == "BYTES":
        strings = (v if isinstance(v, bytes) else str(v).encode() for v in array.ravel().tolist())
        return b"".join(struct.pack("<I", len(s)) + s for s in strings)
    return np.ascontiguousarray(array).tobytes()


def _decode_strings(field: str, shape: Sequence[int], raw: bytes | memoryview) -> Array:
    content, start = bytes(raw), 0
    strings: list[str] = []
    while start < len(content):
        if start + 4 > len(content):
            raise bad_field(field, "a length of 4 bytes before each string", f"{len(content) - start} bytes")
        end = start + 4 + int.from_bytes(content[start : start + 4], "little")
        if end > len(content):
            raise bad_field(
                field, f"a string of {end - start - 4} bytes", f"{len(content) - start - 4} bytes"
            )
        try:
            strings.append(content[start + 4 : end].decode())
        except UnicodeDecodeError:
            raise bad_field(field, "strings in UTF-8", "other bytes") from None
        start = end
    if len(strings) != prod(shape):
        raise bad_field(field, f"{prod(shape)} strings for shape {list(shape)}", f"{len(strings)} strings")
    array = np.empty(len(strings), dtype=object)
    array[:] = strings
    return array.reshape(shape)
