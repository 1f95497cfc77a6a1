"""Messages to arrays and arrays to messages.

A message is a V2 request, ``{"id", "inputs": [{"name", "shape", "datatype", "data"}], "outputs"?}``, or one row,
``{"id", "features": {...}}``. The answer to the first is a V2 response; to the second it is
``{"id", "outputs": {NAME: VALUE}}``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import orjson

from mooring_inference.errors import RequestError, bad_field
from mooring_inference.protocols.elements import json_type
from mooring_inference.protocols.json_body import load_json, parse_object
from mooring_inference.protocols.named_rows import build_rows, split_row
from mooring_inference.protocols.v2 import (
    OutputForm,
    check_id,
    decode_request,
    encode_response,
    text,
)
from mooring_inference.tensors import Array, Signature, TensorSpec

# How much of a message that nobody could use goes into its dead letter, bytes.
_SHOWN = 64 << 10


@dataclass(frozen=True, slots=True)
class Request:
    """A decoded message.

    Attributes:
        id: what the message says of itself; None where it has none.
        inputs: one array for each input of the model, with as many rows each.
        outputs: names of the outputs to answer with.
        rows: how many rows.
        one_row: whether it holds ``features``.
        forms: how to answer each of ``outputs``; None for all as JSON.
    """

    id: str | None
    inputs: Mapping[str, Array]
    outputs: tuple[str, ...]
    rows: int
    one_row: bool
    forms: Sequence[OutputForm] | None = None


class Codec:
    """Knows the model that messages are for."""

    def __init__(self, signature: Signature, model: str, version: str) -> None:
        """A codec.

        Args:
            signature: inputs, with the names of their features as far as these are known, and outputs.
            model: its name, for answers.
            version: its version, for answers.
        """
        self._signature = signature
        self._model = model
        self._version = version
        self._outputs = {spec.name: spec for spec in signature.outputs}

    def decode(self, body: bytes) -> Request:
        """Return the arrays of a message.

        Raises:
            RequestError: it is not a message for this model.
        """
        document = parse_object(body)
        if "features" in document:
            return self._decode_row(document)
        decoded = decode_request(body, self._signature)
        self._signature.check_rows(decoded.inputs)
        counts = {array.shape[0] if array.ndim else 0 for array in decoded.inputs.values()}
        if len(counts) > 1:
            raise bad_field("inputs", "as many rows in each input", sorted(counts))
        if any(form.is_binary for form in decoded.forms or ()):
            raise bad_field("outputs", "outputs as JSON", "outputs as binary data")
        return Request(
            decoded.id, decoded.inputs, decoded.outputs, counts.pop(), one_row=False, forms=decoded.forms
        )

    def encode(self, request: Request, key: str, outputs: Sequence[Array]) -> bytes:
        """Return the answer to a message; ``outputs`` are those of ``request.outputs``, NaN becomes null."""
        if request.one_row:
            values = {name: _of_row(array) for name, array in zip(request.outputs, outputs, strict=True)}
            return orjson.dumps({"id": key, "outputs": values})
        named = [(self._outputs[name], array) for name, array in zip(request.outputs, outputs, strict=True)]
        body, _ = encode_response(
            model=self._model, version=self._version, request_id=key, outputs=named, forms=request.forms
        )
        return body

    def _decode_row(self, document: dict[str, object]) -> Request:
        request_id = document.get("id")
        if request_id is not None:
            check_id(request_id)
        features = document["features"]
        specs = self._signature.inputs
        if isinstance(features, dict):
            rows = split_row("features", self._signature, features)
        elif len(specs) == 1 and isinstance(features, list):
            rows = {specs[0].name: features}
        else:
            raise bad_field(
                "features", "object or array" if len(specs) == 1 else "object", json_type(features)
            )
        is_named = isinstance(features, dict)
        inputs = {spec.name: _row("features", spec, rows[spec.name], is_named=is_named) for spec in specs}
        return Request(cast("str | None", request_id), inputs, tuple(self._outputs), 1, one_row=True)


def dead_letter(*, key: str, origin: str, reason: str, attempts: int, body: bytes | None) -> bytes:
    """Return what says why a message got no answer, with the message itself, cut where it is very long."""
    shown = None if body is None else body[:_SHOWN].decode("utf-8", "replace")
    letter = {"id": key, "origin": origin, "reason": reason, "attempts": attempts, "message": shown}
    if body is not None and len(body) > _SHOWN:
        letter["message_bytes"] = len(body)
    return orjson.dumps(letter)


def error_answer(key: str, reason: str) -> bytes:
    """Return the answer to a message that cannot be scored, where there is no place for dead letters."""
    return orjson.dumps({"id": key, "error": reason})


def id_of(body: bytes | None) -> str | None:
    """Return the id of a message that may be wrong otherwise."""
    try:
        document = load_json(body or b"")
    except orjson.JSONDecodeError:
        return None
    found = document.get("id") if isinstance(document, dict) else None
    return found if isinstance(found, str) and found else None


def _row(field: str, spec: TensorSpec, value: object, *, is_named: bool) -> Array:
    sizes: list[int] = []
    level = value
    for want in spec.shape[1:]:
        nested = level if isinstance(level, list) else None
        sizes.append(want if want is not None else len(nested) if nested is not None else 1)
        level = nested[0] if nested else None
    if spec.shape[1:] and not isinstance(value, list):
        value = [value]
    if spec.shape[1:] and isinstance(value, list) and len(spec.shape) == 2 and len(value) != sizes[0]:
        raise bad_field(field, f"{sizes[0]} values", f"{len(value)} values")
    try:
        return build_rows(field, spec, [1, *sizes], [value])
    except RequestError as error:
        # There is one row, so that its number says nothing; nor does the input's name where a list was sent for it.
        place = (error.field or field).removeprefix(f"{field}[0]")
        if not is_named:
            place = place.removeprefix(f".{spec.name}")
        raise bad_field(f"{field}{place}", error.expected, error.got) from None


def _of_row(array: Array) -> object:
    """Return what an output has for the one row that went in: its row, or all of it where it has another number."""
    values = array.tolist()
    return _element(values[0] if array.ndim and len(array) == 1 else values)


def _element(value: object) -> object:
    """Return a value or nested list that orjson writes, strings decoded."""
    if isinstance(value, list):
        return [_element(element) for element in value]
    return text(value) if isinstance(value, bytes) else value
