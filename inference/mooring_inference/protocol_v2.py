"""The Open Inference Protocol, V2, as JSON: bytes to arrays and arrays to bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import orjson

from mooring_inference.elements import build_array, json_type
from mooring_inference.errors import RequestError, bad_field
from mooring_inference.tensors import Array, Signature, TensorSpec

PLATFORM = "onnx_onnxv1"


@dataclass(frozen=True, slots=True)
class InferRequest:
    """A decoded request.

    Attributes:
        id: the caller's id; None if it gave none.
        inputs: one array for each input of the signature.
        outputs: names of the outputs to answer with.
    """

    id: str | None
    inputs: Mapping[str, Array]
    outputs: tuple[str, ...]


def decode_request(body: bytes, signature: Signature) -> InferRequest:
    """Decode ``{"id", "inputs": [{"name", "shape", "datatype", "data"}], "outputs": [{"name"}]}``.

    Raises:
        RequestError: 400, with the field that is wrong, what was expected there and what was got.
    """
    document = parse_object(body)
    request_id = document.get("id")
    if request_id is not None and not isinstance(request_id, str):
        raise bad_field("id", "string", json_type(request_id))
    specs = {spec.name: spec for spec in signature.inputs}
    inputs: dict[str, Array] = {}
    for index, entry in enumerate(_list(document, "inputs")):
        field = f"inputs[{index}]"
        tensor = _object(field, entry)
        name = tensor.get("name")
        spec = specs.get(name) if isinstance(name, str) else None
        if spec is None:
            raise bad_field(
                f"{field}.name", sorted(specs), name if isinstance(name, str) else json_type(name)
            )
        if spec.name in inputs:
            raise bad_field(f"{field}.name", "each input once", f"{name} twice")
        inputs[spec.name] = _decode_tensor(field, tensor, spec)
    missing = sorted(specs.keys() - inputs.keys())
    if missing:
        raise bad_field("inputs", sorted(specs), sorted(inputs))
    return InferRequest(request_id, inputs, _decode_outputs(document, signature))


def encode_response(
    *, model: str, version: str, request_id: str, outputs: Sequence[tuple[TensorSpec, Array]]
) -> bytes:
    """The V2 response; data is flat in row-major order, NaN and infinities become null, as JSON has none."""
    return orjson.dumps(
        {
            "model_name": model,
            "model_version": version,
            "id": request_id,
            "outputs": [
                {
                    "name": spec.name,
                    "datatype": spec.datatype.name,
                    "shape": list(array.shape),
                    "data": flat_elements(array),
                }
                for spec, array in outputs
            ],
        },
        option=orjson.OPT_SERIALIZE_NUMPY,
    )


def flat_elements(array: Array) -> object:
    """Elements of an array in row-major order, as something orjson writes."""
    if array.dtype == object or array.dtype.kind in "US":
        return [text(value) for value in array.ravel().tolist()]
    return np.ascontiguousarray(array).ravel()


def text(value: object) -> str:
    """One element of a BYTES tensor as a string."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def model_metadata(model: str, version: str, signature: Signature) -> dict[str, object]:
    """The V2 model metadata document."""
    return {
        "name": model,
        "versions": [version],
        "platform": PLATFORM,
        "inputs": [spec.metadata() for spec in signature.inputs],
        "outputs": [spec.metadata() for spec in signature.outputs],
    }


def parse_object(body: bytes) -> dict[str, object]:
    """A JSON object from bytes, or a 400."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise RequestError(
            f"body: not JSON: {exc}",
            field="body",
            expected="a JSON object",
            got=f"{len(body)} bytes that are not JSON",
        ) from None
    return _object("body", document)


def _decode_tensor(field: str, tensor: dict[str, object], spec: TensorSpec) -> Array:
    datatype = tensor.get("datatype")
    if datatype != spec.datatype.name:
        got = datatype if isinstance(datatype, str) else json_type(datatype)
        raise bad_field(f"{field}.datatype", spec.datatype.name, got)
    shape = _decode_shape(f"{field}.shape", tensor, spec)
    return build_array(f"{field}.data", spec, shape, _list(tensor, "data", field))


def _decode_shape(field: str, tensor: dict[str, object], spec: TensorSpec) -> list[int]:
    shape = tensor.get("shape")
    if not isinstance(shape, list):
        raise bad_field(field, spec.open_shape(), json_type(shape))
    if not all(type(size) is int and size >= 0 for size in shape) or not spec.accepts(shape):
        raise bad_field(field, spec.open_shape(), shape)
    return cast("list[int]", shape)


def _decode_outputs(document: dict[str, object], signature: Signature) -> tuple[str, ...]:
    names = [spec.name for spec in signature.outputs]
    if not document.get("outputs"):
        return tuple(names)
    wanted: list[str] = []
    for index, entry in enumerate(_list(document, "outputs")):
        field = f"outputs[{index}]"
        name = _object(field, entry).get("name")
        if not isinstance(name, str) or name not in names:
            raise bad_field(f"{field}.name", names, name if isinstance(name, str) else json_type(name))
        wanted.append(name)
    return tuple(wanted)


def _object(field: str, value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise bad_field(field, "object", json_type(value))
    return value


def _list(document: dict[str, object], key: str, parent: str = "") -> list[object]:
    value = document.get(key)
    if not isinstance(value, list):
        raise bad_field(f"{parent}.{key}" if parent else key, "array", json_type(value))
    return value
