"""KServe's V1 protocol: ``{"instances": rows}`` to arrays and arrays to ``{"predictions": rows}``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import orjson

from mooring_inference.errors import RequestError, bad_field
from mooring_inference.protocols.elements import build_array, json_type
from mooring_inference.protocols.json_body import parse_object
from mooring_inference.protocols.named_rows import build_rows, check_row, split_rows
from mooring_inference.protocols.v2 import text
from mooring_inference.tensors import Array, Signature, TensorSpec


def decode_request(body: bytes, signature: Signature) -> Mapping[str, Array]:
    """Return arrays by input name.

    An instance is the row itself where the model has one input, or an object: of rows by input name, or of single
    values by the names of columns, as far as these are known.

    Raises:
        RequestError: 400, with field, expected and got.
    """
    document = parse_object(body)
    key = "instances" if "instances" in document or "inputs" not in document else "inputs"
    instances = document.get(key)
    if not isinstance(instances, list):
        raise bad_field(key, "array of instances", json_type(instances))
    return decode_rows(key, signature, instances)


def decode_rows(key: str, signature: Signature, instances: list[object]) -> dict[str, Array]:
    """Return arrays by input name from the rows below ``key``, as in ``decode_request``.

    Raises:
        RequestError: 400, with field, expected and got.
    """
    if not instances:
        return {spec.name: _no_rows(key, spec) for spec in signature.inputs}
    names = [spec.name for spec in signature.inputs]
    if isinstance(instances[0], dict):
        rows = split_rows(key, signature, instances)
        return {spec.name: _column(key, spec, rows[spec.name], by_name=True) for spec in signature.inputs}
    if len(signature.inputs) != 1:
        raise bad_field(f"{key}[0]", f"object with {names}", json_type(instances[0]))
    return {names[0]: _column(key, signature.inputs[0], instances)}


def encode_response(outputs: Sequence[tuple[TensorSpec, Array]]) -> bytes:
    """Encode ``{"predictions": rows}``: bare rows for one output, objects by output name for several."""
    if len(outputs) == 1:
        return orjson.dumps({"predictions": _rows(outputs[0][1])}, option=orjson.OPT_SERIALIZE_NUMPY)
    columns = {spec.name: list(_rows(array)) for spec, array in outputs}
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=False)]
    return orjson.dumps({"predictions": rows}, option=orjson.OPT_SERIALIZE_NUMPY)


def _rows(array: Array) -> list[object]:
    if array.ndim == 0:
        array = array.reshape(1)
    if array.dtype == object or array.dtype.kind in "US":
        strings = np.array([text(value) for value in array.ravel().tolist()], dtype=object)
        return list(strings.reshape(array.shape).tolist())
    return list(array.tolist())


def _no_rows(key: str, spec: TensorSpec) -> Array:
    """Return no rows of an input that takes any number of them."""
    if not spec.accepts([0, *(size or 0 for size in spec.shape[1:])]):
        raise bad_field(key, spec.open_shape(), "no instances")
    return build_array(key, spec, [0, *(size or 0 for size in spec.shape[1:])], [])


def _column(key: str, spec: TensorSpec, rows: list[object], *, by_name: bool = False) -> Array:
    shape = _infer_shape(rows)
    # Scalars per instance are a column where the model wants [batch, 1].
    if len(shape) == 1 and len(spec.shape) == 2 and spec.shape[1] in (1, None):
        shape = [*shape, 1]
    if not spec.accepts(shape):
        raise _bad_shape(key, spec, shape, rows[0], by_name=by_name)
    return (build_rows if by_name else build_array)(key, spec, shape, rows)


def _bad_shape(key: str, spec: TensorSpec, shape: list[int], row: object, *, by_name: bool) -> RequestError:
    """Return the error of a shape that was told from the first row, which it names where rows are objects."""
    expected = spec.open_shape()
    if by_name:
        key = f"{key}[0]"
        if spec.columns and isinstance(row, list) and len(row) == len(spec.columns):
            check_row(key, spec, row)
        else:
            key = f"{key}.{spec.name}"
        expected, shape = expected[1:], shape[1:]
    return RequestError(
        f"{key}: expected shape {expected}, got {shape}", field=key, expected=expected, got=shape
    )


def _infer_shape(value: object) -> list[int]:
    shape: list[int] = []
    while isinstance(value, list):
        shape.append(len(value))
        value = value[0] if value else None
    return shape
