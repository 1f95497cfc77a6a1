"""Bodies of V1 and V2 as arrays where no model says what is right: they are taken at their own word. Pure.

V2 names its tensors, their types and shapes. V1 does not: numbers are FP64, the only input or output is called by its
key, ``instances`` or ``predictions``, and objects give one input or output for each of their names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from mooring_inference.access.json_limits import JsonLimits
from mooring_inference.errors import bad_field
from mooring_inference.protocols import v1, v2
from mooring_inference.protocols.elements import json_type
from mooring_inference.protocols.json_body import need_object
from mooring_inference.rest.content_encoding import inflate
from mooring_inference.tensors import DATATYPES, Array, Signature, TensorSpec

# Of tensors in a body, and of bytes of JSON before binary ones that are looked through for its end.
_MOST_TENSORS, _LONGEST_HEAD = 1024, 1 << 20
_MOST_DIMENSIONS = 8

# A string, or a bracket outside of one.
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[{}]', re.DOTALL)
_GZIP = b"\x1f\x8b\x08"


class NotInferenceError(Exception):
    """A body that asks a model for nothing, such as that of a look at its metadata, or of another protocol."""


@dataclass(frozen=True, slots=True)
class Exchanged:
    """A request and its answer.

    Attributes:
        request_id: as the request says, or else the answer; None where neither does.
        signature: what they say of themselves; equal for requests of one form.
        inputs: arrays by name.
        outputs: arrays with what they are.
    """

    request_id: str | None
    signature: Signature
    inputs: Mapping[str, Array]
    outputs: Sequence[tuple[TensorSpec, Array]]


def decode_exchange(
    request: bytes, response: bytes, header_length: int | None, columns: Sequence[str], limits: JsonLimits
) -> Exchanged:
    """Decode both bodies.

    Args:
        request: V1 or V2, JSON or with binary tensors, perhaps compressed with gzip.
        response: the same of its answer.
        header_length: bytes of the request's JSON, where binary tensors follow and that is known.
        columns: names of what rows of the only input hold; of no meaning where their number is another.
        limits: what a body may cost, once it is inflated.

    Raises:
        NotInferenceError: it is no inference.
        RequestError: 400, a body contradicts itself; 413, it is too large when inflated.
    """
    asked, binary = _open(request, header_length, limits)
    answered, more = _open(response, None, limits)
    if isinstance(asked.get("instances"), list):
        request_id, inputs = None, _rows("instances", asked)
        outputs = _rows("predictions", answered)
    elif _is_v2(asked.get("inputs")):
        request_id = next((d["id"] for d in (asked, answered) if d.get("id")), None)
        if request_id is not None:
            v2.check_id(request_id)
        inputs = _tensors("inputs", asked, binary)
        outputs = _tensors("outputs", answered, more)
    else:
        raise NotInferenceError
    if len(inputs) == 1 and columns:
        inputs = [(_with_columns(inputs[0][0], tuple(columns)), inputs[0][1])]
    signature = Signature(tuple(spec for spec, _ in inputs), tuple(spec for spec, _ in outputs))
    return Exchanged(
        cast("str | None", request_id), signature, {spec.name: array for spec, array in inputs}, outputs
    )


def _open(
    body: bytes, header_length: int | None, limits: JsonLimits
) -> tuple[dict[str, object], v2.BinaryTensors]:
    """Return a body's JSON, and the binary tensors behind it."""
    if body.startswith(_GZIP):
        # The logger does not say how a body is coded.
        body = inflate(body, "gzip", limits.max_bytes)
    if not body.strip():
        raise NotInferenceError
    if header_length is None:
        header_length = _end_of_json(body)
    limits.check(body[:header_length])
    return v2.split_body(body, header_length)


def _end_of_json(body: bytes) -> int:
    """Return where the object that a body begins with ends; its whole length where that cannot be told.

    JSON that is longer than a head before binary tensors may be is left to the parser.
    """
    depth = 0
    if body[:1] == b"{":
        for token in _TOKEN.finditer(body, 0, min(len(body), _LONGEST_HEAD)):
            found = body[token.start()]
            depth += (found == ord("{")) - (found == ord("}"))
            if not depth:
                return token.end() if body[token.end() :].strip() else len(body)
    return len(body)


def _is_v2(inputs: object) -> bool:
    return bool(
        isinstance(inputs, list) and inputs and isinstance(inputs[0], dict) and "datatype" in inputs[0]
    )


def _tensors(
    key: str, document: dict[str, object], binary: v2.BinaryTensors
) -> list[tuple[TensorSpec, Array]]:
    entries = document.get(key)
    if not isinstance(entries, list):
        raise bad_field(key, "array", json_type(entries))
    if len(entries) > _MOST_TENSORS:
        raise bad_field(key, f"at most {_MOST_TENSORS} tensors", len(entries))
    found: dict[str, tuple[TensorSpec, Array]] = {}
    for index, entry in enumerate(entries):
        field = f"{key}[{index}]"
        tensor = need_object(field, entry)
        spec = _spec_of(field, tensor)
        if spec.name in found:
            raise bad_field(f"{field}.name", "each tensor once", f"{spec.name} twice")
        found[spec.name] = spec, v2.decode_tensor(field, tensor, spec, binary)
    if binary.left:
        raise bad_field("body", f"binary data for the {key} that say so", f"{binary.left} bytes more")
    return list(found.values())


def _spec_of(field: str, tensor: dict[str, object]) -> TensorSpec:
    name, datatype, shape = tensor.get("name"), tensor.get("datatype"), tensor.get("shape")
    if not isinstance(name, str) or not name:
        raise bad_field(f"{field}.name", "a name", json_type(name))
    if not isinstance(datatype, str) or datatype not in DATATYPES:
        raise bad_field(f"{field}.datatype", sorted(DATATYPES), str(datatype))
    if not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape):
        raise bad_field(f"{field}.shape", "an array of whole numbers", json_type(shape))
    return TensorSpec(name, DATATYPES[datatype], _open_shape(field, shape))


def _open_shape(field: str, shape: list[int]) -> tuple[int | None, ...]:
    """Return the shape of requests like this one: any number of rows; of rows that are no table, any size."""
    if not 0 < len(shape) <= _MOST_DIMENSIONS:
        raise bad_field(f"{field}.shape", f"1 to {_MOST_DIMENSIONS} dimensions", len(shape))
    return (None, *shape[1:]) if len(shape) < 3 else (None,) * len(shape)


def _rows(key: str, document: dict[str, object]) -> list[tuple[TensorSpec, Array]]:
    rows = document.get(key)
    if not isinstance(rows, list):
        raise bad_field(key, "array", json_type(rows))
    if not rows:
        raise bad_field(key, "at least one row", "none")
    if isinstance(rows[0], dict):
        if len(rows[0]) > _MOST_TENSORS:
            raise bad_field(key, f"at most {_MOST_TENSORS} names", len(rows[0]))
        # In one order, whatever that of the caller is.
        specs = [_spec_of_values(key, name, [_get(row, name) for row in rows]) for name in sorted(rows[0])]
    else:
        specs = [_spec_of_values(key, key, rows)]
    arrays = v1.decode_rows(key, Signature(tuple(specs), ()), rows)
    return [(spec, arrays[spec.name]) for spec in specs]


def _get(row: object, name: str) -> object:
    return row.get(name) if isinstance(row, dict) else None


def _spec_of_values(key: str, name: str, values: Sequence[object]) -> TensorSpec:
    shape = [len(values)]
    first = next((value for value in values if value is not None), None)
    while isinstance(first, list):
        shape.append(len(first))
        first = next((value for value in first if value is not None), None)
    if isinstance(first, dict):
        raise bad_field(key, "rows of numbers, booleans or strings", f"objects in {name}"[:100])
    kind = "BOOL" if isinstance(first, bool) else "BYTES" if isinstance(first, str) else "FP64"
    return TensorSpec(name, DATATYPES[kind], _open_shape(key, shape))


def _with_columns(spec: TensorSpec, columns: tuple[str, ...]) -> TensorSpec:
    width = 1 if len(spec.shape) == 1 else spec.shape[1]
    return replace(spec, columns=columns) if len(spec.shape) <= 2 and width == len(columns) else spec
