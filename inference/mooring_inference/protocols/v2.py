"""The Open Inference Protocol, V2, over REST: JSON, and the binary tensor extension; bytes to arrays and back.

Source: Open Inference Protocol (REST) and its "binary tensor data" and "classification" extensions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import NamedTuple, cast

import numpy as np
import orjson

from mooring_inference.errors import bad_field
from mooring_inference.protocols.binary_tensors import decode_raw, encode_raw
from mooring_inference.protocols.elements import build_array, json_type
from mooring_inference.protocols.json_body import need_object, parse_object
from mooring_inference.protocols.named_rows import column_spec, join_columns
from mooring_inference.tensors import DATATYPES, Array, Signature, TensorSpec

# Characters of a request's id: it goes into logs, files and headers, and labels name it.
LONGEST_ID = 256

_BYTES = DATATYPES["BYTES"]


@dataclass(frozen=True, slots=True)
class OutputForm:
    """How one output is to be answered.

    Attributes:
        is_binary: as raw bytes behind the JSON.
        classes: as the ``classes`` largest values of each row, each ``VALUE:INDEX``; 0 for the tensor itself.
    """

    is_binary: bool = False
    classes: int = 0


PLAIN = OutputForm()


class InferRequest(NamedTuple):
    """A decoded request.

    Attributes:
        id: the caller's id; None if it gave none.
        inputs: one array for each input of the signature.
        outputs: names of the outputs to answer with.
        forms: how to answer each of ``outputs``; None for all as JSON.
        timeout: how long the caller waits, seconds; None if it did not say.
    """

    id: str | None
    inputs: Mapping[str, Array]
    outputs: tuple[str, ...]
    forms: tuple[OutputForm, ...] | None = None
    timeout: float | None = None


def decode_request(body: bytes, signature: Signature, header_length: int | None = None) -> InferRequest:
    """Decode ``{"id", "inputs": [{"name", "shape", "datatype", "data"}], "outputs": [{"name"}]}``.

    Args:
        body: JSON; with ``header_length``, that many bytes of JSON and then the binary tensors.
        signature: of the model.
        header_length: the header ``Inference-Header-Content-Length``.

    Raises:
        RequestError: 400, with the field that is wrong, what was expected there and what was got.
    """
    document, binary = split_body(body, header_length)
    request_id = document.get("id")
    if request_id is not None:
        check_id(request_id)
    specs = signature.inputs_by_name
    inputs: dict[str, Array] = {}
    has_columns = False
    for index, entry in enumerate(_list(document, "inputs")):
        field = f"inputs[{index}]"
        tensor = need_object(field, entry)
        name = tensor.get("name")
        spec = specs.get(name) if isinstance(name, str) else None
        if spec is None:
            spec, has_columns = _column_of(field, signature, name, tensor), True
        if spec.name in inputs:
            raise bad_field(f"{field}.name", "each input once", f"{name} twice")
        inputs[spec.name] = decode_tensor(field, tensor, spec, binary)
    if has_columns:
        inputs = join_columns(signature, inputs)
    elif len(inputs) != len(specs):
        raise bad_field("inputs", sorted(specs), sorted(inputs))
    if binary.left:
        raise bad_field("body", "binary data for the inputs that say so", f"{binary.left} bytes more")
    parameters = _parameters("parameters", document)
    outputs, forms = _decode_outputs(document, signature, parameters)
    return InferRequest(cast("str | None", request_id), inputs, outputs, forms, _decode_timeout(parameters))


def check_id(request_id: object) -> None:
    """Raise RequestError, 400, for an id that is no string or too long."""
    if not isinstance(request_id, str):
        raise bad_field("id", "string", json_type(request_id))
    if len(request_id) > LONGEST_ID:
        raise bad_field("id", f"at most {LONGEST_ID} characters", f"{len(request_id)} characters")


def encode_response(
    *,
    model: str,
    version: str,
    request_id: str,
    outputs: Sequence[tuple[TensorSpec, Array]],
    forms: Sequence[OutputForm] | None = None,
) -> tuple[bytes, int | None]:
    """Return the V2 response, and the length of its JSON where binary tensors follow it.

    Data is flat in row-major order; NaN and infinities become null in JSON, which has none.
    """
    entries: list[dict[str, object]] = []
    blobs: list[bytes] = []
    for index, (spec, array) in enumerate(outputs):
        form = forms[index] if forms else PLAIN
        if form.classes:
            spec, array = classify(spec, array, form.classes)
        entry: dict[str, object] = {
            "name": spec.name,
            "datatype": spec.datatype.name,
            "shape": list(array.shape),
        }
        if form.is_binary:
            blobs.append(encode_raw(spec, array))
            entry["parameters"] = {"binary_data_size": len(blobs[-1])}
        else:
            entry["data"] = flat_elements(array)
        entries.append(entry)
    head = orjson.dumps(
        {"model_name": model, "model_version": version, "id": request_id, "outputs": entries},
        option=orjson.OPT_SERIALIZE_NUMPY,
    )
    return (b"".join((head, *blobs)), len(head)) if blobs else (head, None)


def encode_error(body: Mapping[str, object]) -> bytes:
    """Return the body of a refusal."""
    return orjson.dumps(body, default=str)


def flat_elements(array: Array) -> object:
    """Return elements of an array in row-major order, as something orjson writes."""
    if array.dtype == object or array.dtype.kind in "US":
        return [text(value) for value in array.ravel().tolist()]
    return np.ascontiguousarray(array).ravel()


def text(value: object) -> str:
    """Return one element of a BYTES tensor as a string."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def model_metadata(
    model: str, versions: Sequence[str], platform: str, signature: Signature
) -> dict[str, object]:
    """Return the V2 model metadata document."""
    return {
        "name": model,
        "versions": list(versions),
        "platform": platform,
        "inputs": [spec.metadata() for spec in signature.inputs],
        "outputs": [spec.metadata() for spec in signature.outputs],
    }


class BinaryTensors:
    """The raw tensors behind the JSON, taken one after the other."""

    __slots__ = ("_content", "_start")

    def __init__(self, content: memoryview) -> None:
        self._content = content
        self._start = 0

    @property
    def left(self) -> int:
        """Bytes that nobody took."""
        return len(self._content) - self._start

    def take(self, field: str, size: int) -> memoryview:
        """Return the next bytes. Raises RequestError, 400, where there are not as many."""
        if size > self.left:
            raise bad_field(field, f"at most the {self.left} bytes that are left", size)
        end = self._start + size
        taken = self._content[self._start : end]
        self._start = end
        return taken


_NO_TENSORS = BinaryTensors(memoryview(b""))


def split_body(body: bytes, header_length: int | None) -> tuple[dict[str, object], BinaryTensors]:
    """Return the JSON of a body, and what follows it. Raises RequestError, 400."""
    if header_length is None:
        return parse_object(body), _NO_TENSORS
    if not 0 <= header_length <= len(body):
        raise bad_field("inference-header-content-length", f"0 to {len(body)}", header_length)
    content = memoryview(body)
    return parse_object(content[:header_length]), BinaryTensors(content[header_length:])


def _column_of(field: str, signature: Signature, name: object, tensor: dict[str, object]) -> TensorSpec:
    """Return what a tensor must be that is no input, and so must be a column of one."""
    owner = signature.owners.get(name) if isinstance(name, str) else None
    if owner is None:
        got = name if isinstance(name, str) else json_type(name)
        raise bad_field(f"{field}.name", sorted(signature.inputs_by_name), got)
    shape = tensor.get("shape")
    return column_spec(owner, str(name), len(shape) if isinstance(shape, list) else 1)


def decode_tensor(field: str, tensor: dict[str, object], spec: TensorSpec, binary: BinaryTensors) -> Array:
    """Return the array of one tensor that is to be as ``spec`` says. Raises RequestError, 400."""
    datatype = tensor.get("datatype")
    if datatype != spec.datatype.name:
        got = datatype if isinstance(datatype, str) else json_type(datatype)
        raise bad_field(f"{field}.datatype", spec.datatype.name, got)
    shape = _decode_shape(f"{field}.shape", tensor, spec)
    if "parameters" in tensor:
        size = _parameters(f"{field}.parameters", tensor).get("binary_data_size")
        if size is not None:
            if "data" in tensor:
                raise bad_field(f"{field}.data", "none beside binary_data_size", "data")
            where = f"{field}.parameters.binary_data_size"
            return decode_raw(f"{field}.data", spec, shape, binary.take(where, _whole_number(where, size)))
    return build_array(f"{field}.data", spec, shape, _list(tensor, "data", field))


def _decode_shape(field: str, tensor: dict[str, object], spec: TensorSpec) -> list[int]:
    shape = tensor.get("shape")
    if not isinstance(shape, list):
        raise bad_field(field, spec.open_shape(), json_type(shape))
    for size in shape:
        if type(size) is not int or size < 0:
            raise bad_field(field, spec.open_shape(), shape)
    if not spec.accepts(shape):
        raise bad_field(field, spec.open_shape(), shape)
    return cast("list[int]", shape)


def _decode_outputs(
    document: dict[str, object], signature: Signature, parameters: dict[str, object]
) -> tuple[tuple[str, ...], tuple[OutputForm, ...] | None]:
    is_binary = _flag("parameters.binary_data_output", parameters.get("binary_data_output", False))
    if document.get("outputs") in (None, []):
        names = signature.output_names
        return names, (OutputForm(is_binary=True),) * len(names) if is_binary else None
    wanted: list[str] = []
    forms: list[OutputForm] = []
    for index, entry in enumerate(_list(document, "outputs")):
        field = f"outputs[{index}]"
        output = need_object(field, entry)
        name = output.get("name")
        if not isinstance(name, str) or name not in signature.output_names:
            raise bad_field(
                f"{field}.name",
                list(signature.output_names),
                name if isinstance(name, str) else json_type(name),
            )
        wanted.append(name)
        form = _decode_form(f"{field}.parameters", output, is_binary)
        check_classes(f"{field}.parameters", signature.outputs_by_name[name], form.classes)
        forms.append(form)
    return tuple(wanted), tuple(forms) if any(form != PLAIN for form in forms) else None


def _decode_form(field: str, output: dict[str, object], is_binary: bool) -> OutputForm:
    parameters = _parameters(field, output)
    classes = parameters.get("classification", 0)
    return OutputForm(
        _flag(f"{field}.binary_data", parameters.get("binary_data", is_binary)),
        _whole_number(f"{field}.classification", classes),
    )


def _decode_timeout(parameters: dict[str, object]) -> float | None:
    if "timeout" not in parameters:
        return None
    # Microseconds, as Triton's clients send it; 0 is none.
    microseconds = _whole_number("parameters.timeout", parameters["timeout"])
    return microseconds / 1e6 if microseconds else None


def check_classes(field: str, spec: TensorSpec, classes: int) -> None:
    """Raise RequestError, 400, for an output that is asked for as classes though it has no order."""
    if classes and spec.datatype.name == "BYTES":
        raise bad_field(f"{field}.classification", "an output of numbers", spec.datatype.name)


def classify(spec: TensorSpec, array: Array, classes: int) -> tuple[TensorSpec, Array]:
    """Return the largest values of each row of an output of numbers with their indices, as strings."""
    # Not -1 for the width: it cannot be told where there are no rows.
    rows = array.reshape(array.shape[0], prod(array.shape[1:])) if array.ndim > 1 else array.reshape(1, -1)
    count = min(classes, rows.shape[1])
    best = np.argsort(-rows.astype(np.float64), axis=1, kind="stable")[:, :count]
    strings = np.array(
        [[f"{row[i]:f}:{i}" for i in indices] for row, indices in zip(rows, best, strict=True)], dtype=object
    ).reshape(len(rows), count)
    shaped: Array = strings if array.ndim > 1 else strings[0]
    return TensorSpec(spec.name, _BYTES, shaped.shape), shaped


def _parameters(field: str, holder: dict[str, object]) -> dict[str, object]:
    found = holder.get("parameters")
    return {} if found is None else need_object(field, found)


def _flag(field: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise bad_field(field, "boolean", json_type(value))
    return value


def _whole_number(field: str, value: object) -> int:
    if type(value) is not int or value < 0:
        raise bad_field(field, "a whole number, 0 or more", value)
    return value


def _list(document: dict[str, object], key: str, parent: str = "") -> list[object]:
    value = document.get(key)
    if not isinstance(value, list):
        raise bad_field(f"{parent}.{key}" if parent else key, "array", json_type(value))
    return value
