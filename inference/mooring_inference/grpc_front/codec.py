"""V2 messages to arrays and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from mooring_inference.errors import bad_field
from mooring_inference.grpc_front.schema import message
from mooring_inference.protocols.binary_tensors import decode_raw, encode_raw, shaped
from mooring_inference.protocols.named_rows import column_spec, join_columns
from mooring_inference.protocols.v2 import check_classes, classify
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
        is_raw: whether the caller gets raw contents: it sends them, or asks for them.
        timeout: how long the caller waits, seconds; None if it did not say.
        classes: for each of ``outputs``, how many of the largest values the caller gets as classes, 0 for the
            output itself; None where it is 0 for all.
    """

    inputs: Mapping[str, Array]
    outputs: tuple[str, ...]
    is_raw: bool
    timeout: float | None
    classes: tuple[int, ...] | None = None


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
    has_columns = False
    for index, tensor in enumerate(request.inputs):
        field = f"inputs[{index}]"
        spec = specs.get(tensor.name)
        if spec is None:
            if (owner := signature.owners.get(tensor.name)) is None:
                raise bad_field(f"{field}.name", sorted(specs), tensor.name)
            spec, has_columns = column_spec(owner, tensor.name, len(tensor.shape)), True
        if spec.name in inputs:
            raise bad_field(f"{field}.name", "each input once", f"{tensor.name} twice")
        inputs[spec.name] = _decode_tensor(field, tensor, spec, raw[index] if raw else None)
    if has_columns:
        inputs = join_columns(signature, inputs)
    elif len(inputs) != len(specs):
        raise bad_field("inputs", sorted(specs), sorted(inputs))
    is_raw, timeout = bool(raw), None
    if request.parameters:
        is_raw = _flag("parameters.binary_data_output", request.parameters, "binary_data_output") or is_raw
        # Microseconds, as over REST; 0 is none.
        timeout = _whole_number("parameters.timeout", request.parameters, "timeout") / 1e6 or None
    if not request.outputs:
        return InferRequest(inputs, signature.output_names, is_raw, timeout)
    return InferRequest(
        inputs,
        _decode_outputs(request.outputs, signature),
        is_raw,
        timeout,
        _decode_classes(request.outputs, signature),
    )


def encode_response(
    *,
    model: str,
    version: str,
    request_id: str,
    outputs: Sequence[tuple[TensorSpec, Array]],
    is_raw: bool,
    classes: Sequence[int] | None = None,
) -> Any:
    """Return a ``ModelInferResponse``; FP16, which has no typed contents, makes all of it raw."""
    if classes is not None:
        outputs = [
            classify(spec, array, count) if count else (spec, array)
            for (spec, array), count in zip(outputs, classes, strict=True)
        ]
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
    """Return a ``ModelMetadataResponse``."""
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
    if tensor.parameters:
        _refuse_shared_memory(f"{field}.parameters", tensor.parameters)
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
    filled = [found.name for found, _ in contents.ListFields()]
    if filled not in ([], [place]):
        raise bad_field(field, f"{spec.datatype.name} in {place} alone", ", ".join(filled))
    count = prod(shape)
    if len(elements) != count:
        raise bad_field(
            f"{field}.{place}", f"{count} elements for shape {shape}", f"{len(elements)} elements"
        )
    if spec.datatype.name == "BYTES":
        return shaped(field, _decode_strings(f"{field}.{place}", elements), shape)
    dtype = spec.datatype.dtype
    try:
        array: Array = np.fromiter(elements, dtype, count)
    except OverflowError:
        limits = np.iinfo(dtype.str)
        wrong = next(element for element in elements if not limits.min <= element <= limits.max)
        raise bad_field(
            f"{field}.{place}", f"{spec.datatype.name}, {limits.min} to {limits.max}", wrong
        ) from None
    return shaped(field, array, shape)


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


def _decode_outputs(outputs: Any, signature: Signature) -> tuple[str, ...]:
    for index, output in enumerate(outputs):
        if output.name not in signature.output_names:
            raise bad_field(f"outputs[{index}].name", list(signature.output_names), output.name)
    return tuple(output.name for output in outputs)


def _decode_classes(outputs: Any, signature: Signature) -> tuple[int, ...] | None:
    classes = [0] * len(outputs)
    for index, output in enumerate(outputs):
        if output.parameters:
            field = f"outputs[{index}].parameters"
            _refuse_shared_memory(field, output.parameters)
            classes[index] = _whole_number(f"{field}.classification", output.parameters, "classification")
            check_classes(field, signature.outputs_by_name[output.name], classes[index])
    return tuple(classes) if any(classes) else None


def _refuse_shared_memory(field: str, parameters: Any) -> None:
    # Triton's clients would look for the tensor there, or have put it there.
    if "shared_memory_region" in parameters:
        raise bad_field(f"{field}.shared_memory_region", "none: tensors are in the messages", "a region")


def _flag(field: str, parameters: Any, key: str) -> bool:
    """Return a parameter that is true or false; false where there is none."""
    if key not in parameters:
        return False
    if (choice := parameters[key].WhichOneof("parameter_choice")) != "bool_param":
        raise bad_field(field, "bool_param", choice or "none")
    return bool(parameters[key].bool_param)


def _whole_number(field: str, parameters: Any, key: str) -> int:
    """Return a parameter that is 0 or more; 0 where there is none."""
    if key not in parameters:
        return 0
    choice = parameters[key].WhichOneof("parameter_choice")
    if choice not in ("int64_param", "uint64_param"):
        raise bad_field(field, "int64_param, 0 or more", choice or "none")
    number: int = getattr(parameters[key], choice)
    if number < 0:
        raise bad_field(field, "int64_param, 0 or more", number)
    return number
