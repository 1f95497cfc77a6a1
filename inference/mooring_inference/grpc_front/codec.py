"""V2 messages to arrays and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from mooring_inference.binary_tensors import decode_raw, encode_raw
from mooring_inference.errors import RequestError, bad_field
from mooring_inference.grpc_front.schema import message
from mooring_inference.tensors import Array, Signature, TensorSpec

# Where the elements of each datatype are, if not in raw_input_contents; FP16 has no place there.
_CONTENTS = {
    "BOOL": "bool_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}

_ModelInferResponse = message("ModelInferResponse")
_ModelMetadataResponse = message("ModelMetadataResponse")


@dataclass(frozen=True, slots=True)
class InferRequest:
    """A decoded request.

    Attributes:
        inputs: one array for each input of the signature.
        outputs: names of the outputs to answer with.
        is_raw: whether the caller sends, and so gets, raw contents.
        timeout: how long the caller waits, seconds; None if it did not say.
    """

    inputs: Mapping[str, Array]
    outputs: tuple[str, ...]
    is_raw: bool
    timeout: float | None


def decode_request(request: Any, signature: Signature) -> InferRequest:
    """Decode a ``ModelInferRequest``.

    Raises:
        RequestError: 400, with the field that is wrong, what was expected there and what was got.
    """
    specs = signature.inputs_by_name
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        raise bad_field("raw_input_contents", f"{len(request.inputs)} entries, one for each input", len(raw))
    inputs: dict[str, Array] = {}
    for index, tensor in enumerate(request.inputs):
        field = f"inputs[{index}]"
        spec = specs.get(tensor.name)
        if spec is None:
            raise bad_field(f"{field}.name", sorted(specs), tensor.name)
        if spec.name in inputs:
            raise bad_field(f"{field}.name", "each input once", f"{tensor.name} twice")
        inputs[spec.name] = _decode_tensor(field, tensor, spec, raw[index] if raw else None)
    if len(inputs) != len(specs):
        raise bad_field("inputs", sorted(specs), sorted(inputs))
    return InferRequest(inputs, _decode_outputs(request, signature), bool(raw), _decode_timeout(request))


def encode_response(
    *, model: str, version: str, request_id: str, outputs: Sequence[tuple[TensorSpec, Array]], is_raw: bool
) -> Any:
    """A ``ModelInferResponse``; FP16, which has no typed contents, makes all of it raw."""
    response = _ModelInferResponse(model_name=model, model_version=version, id=request_id)
    is_raw = is_raw or any(spec.datatype.name not in _CONTENTS for spec, _ in outputs)
    for spec, array in outputs:
        tensor = response.outputs.add(name=spec.name, datatype=spec.datatype.name, shape=array.shape)
        if is_raw:
            response.raw_output_contents.append(encode_raw(spec, array))
        else:
            contents = getattr(tensor.contents, _CONTENTS[spec.datatype.name])
            contents.extend(_elements(spec, array))
    return response


def encode_metadata(name: str, versions: Sequence[str], platform: str, signature: Signature) -> Any:
    """A ``ModelMetadataResponse``."""
    response = _ModelMetadataResponse(name=name, versions=versions, platform=platform)
    for target, specs in ((response.inputs, signature.inputs), (response.outputs, signature.outputs)):
        for spec in specs:
            target.add(name=spec.name, datatype=spec.datatype.name, shape=spec.open_shape())
    return response


def _decode_tensor(field: str, tensor: Any, spec: TensorSpec, raw: bytes | None) -> Array:
    if tensor.datatype != spec.datatype.name:
        raise bad_field(f"{field}.datatype", spec.datatype.name, tensor.datatype)
    shape = list(tensor.shape)
    if (shape and min(shape) < 0) or not spec.accepts(shape):
        raise bad_field(f"{field}.shape", spec.open_shape(), shape)
    if raw is not None:
        if tensor.HasField("contents"):
            raise bad_field(f"{field}.contents", "none beside raw_input_contents", "contents")
        return decode_raw(f"raw_input_contents[{field[7:-1]}]", spec, shape, raw)
    return _decode_contents(f"{field}.contents", tensor.contents, spec, shape)


def _decode_contents(field: str, contents: Any, spec: TensorSpec, shape: list[int]) -> Array:
    place = _CONTENTS.get(spec.datatype.name)
    if place is None:
        raise bad_field(field, f"{spec.datatype.name} in raw_input_contents", "typed contents")
    elements = getattr(contents, place)
    count = prod(shape)
    if len(elements) != count:
        raise bad_field(
            f"{field}.{place}", f"{count} elements for shape {shape}", f"{len(elements)} elements"
        )
    if spec.datatype.name == "BYTES":
        return _decode_strings(f"{field}.{place}", elements).reshape(shape)
    try:
        return np.array(elements, dtype=spec.datatype.dtype).reshape(shape)
    except OverflowError:
        raise bad_field(f"{field}.{place}", f"{spec.datatype.name} elements", "others") from None


def _decode_strings(field: str, elements: Sequence[bytes]) -> Array:
    strings = np.empty(len(elements), dtype=object)
    for index, element in enumerate(elements):
        try:
            strings[index] = element.decode()
        except UnicodeDecodeError:
            raise bad_field(f"{field}[{index}]", "a string in UTF-8", "other bytes") from None
    return strings


def _elements(spec: TensorSpec, array: Array) -> list[Any]:
    elements: list[Any] = array.ravel().tolist()
    if spec.datatype.name == "BYTES":
        return [value if isinstance(value, bytes) else str(value).encode() for value in elements]
    return elements


def _decode_outputs(request: Any, signature: Signature) -> tuple[str, ...]:
    if not request.outputs:
        return signature.output_names
    for index, output in enumerate(request.outputs):
        if output.name not in signature.output_names:
            raise bad_field(f"outputs[{index}].name", list(signature.output_names), output.name)
    return tuple(output.name for output in request.outputs)


def _decode_timeout(request: Any) -> float | None:
    if "timeout" not in request.parameters:
        return None
    # Microseconds, as over REST; 0 is none.
    value = request.parameters["timeout"]
    choice = value.WhichOneof("parameter_choice")
    number = getattr(value, choice) if choice in ("int64_param", "uint64_param") else -1
    if number < 0:
        raise RequestError(
            "parameters.timeout: expected microseconds, 0 or more, as int64_param",
            field="parameters.timeout",
            expected="int64_param, 0 or more",
        )
    return number / 1e6 if number else None
