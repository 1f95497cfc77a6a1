"""Signatures in MLflow's ``MLmodel`` files: columns of a table, or tensors.

Source: MLflow, ``mlflow.types.schema``: ``inputs`` and ``outputs`` are JSON in YAML, each a list of
``{"type": "double", "name": ..}`` or ``{"type": "tensor", "tensor-spec": {"dtype": .., "shape": ..}, "name": ..}``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from mooring_inference.errors import ModelLoadError
from mooring_inference.tensors import DATATYPES, Datatype, TensorSpec

_BY_NUMPY = {str(row.dtype): row for row in DATATYPES.values()} | {"str": DATATYPES["BYTES"]}
_BY_COLUMN = {
    "boolean": DATATYPES["BOOL"],
    "integer": DATATYPES["INT32"],
    "long": DATATYPES["INT64"],
    "float": DATATYPES["FP32"],
    "double": DATATYPES["FP64"],
    "string": DATATYPES["BYTES"],
    # As ISO 8601 text.
    "datetime": DATATYPES["BYTES"],
}


@dataclass(frozen=True, slots=True)
class Field:
    """One column or tensor.

    Attributes:
        name: None where MLflow has none.
        datatype: V2.
        shape: of a column (None, 1), one row a row of the table, as MLServer has it.
        column: MLflow's type of a column; None for a tensor.
    """

    name: str | None
    datatype: Datatype
    shape: tuple[int | None, ...]
    column: str | None

    def spec(self, fallback: str) -> TensorSpec:
        """Return the field as an input or output, under its own name or another."""
        return TensorSpec(self.name or fallback, self.datatype, self.shape)


@dataclass(frozen=True, slots=True)
class MlflowSignature:
    """What MLflow knows of a model; None where it knows nothing."""

    inputs: tuple[Field, ...] | None
    outputs: tuple[Field, ...] | None


def parse_signature(document: object) -> MlflowSignature:
    """Return the signature of an ``MLmodel`` file.

    Raises:
        ModelLoadError: it is not in MLflow's form, or has a type that no tensor carries; names the field.
    """
    if document is None:
        return MlflowSignature(None, None)
    if not isinstance(document, dict):
        raise ModelLoadError(f"MLmodel: signature: expected an object, got {document!r}")
    return MlflowSignature(
        _parse_fields("inputs", document.get("inputs")), _parse_fields("outputs", document.get("outputs"))
    )


def specs_of(fields: Sequence[Field], prefix: str) -> tuple[TensorSpec, ...]:
    """Return the fields as tensors; those without a name are ``PREFIX-0``, ``PREFIX-1``, as in MLServer."""
    return tuple(field.spec(f"{prefix}-{index}") for index, field in enumerate(fields))


def _parse_fields(key: str, text: object) -> tuple[Field, ...] | None:
    if text is None:
        return None
    try:
        entries = json.loads(text) if isinstance(text, str) else text
    except ValueError as error:
        raise ModelLoadError(f"MLmodel: signature.{key} is not JSON: {error}") from None
    if not isinstance(entries, list) or not entries:
        raise ModelLoadError(f"MLmodel: signature.{key}: expected an array of at least one, got {entries!r}")
    return tuple(
        _parse_field(f"MLmodel: signature.{key}[{index}]", entry) for index, entry in enumerate(entries)
    )


def _parse_field(where: str, entry: object) -> Field:
    if not isinstance(entry, dict):
        raise ModelLoadError(f"{where}: expected an object, got {entry!r}")
    name, kind = entry.get("name"), entry.get("type")
    if name is not None:
        # Columns of a table may have numbers for names.
        name = str(name)
    if kind != "tensor":
        if not isinstance(kind, str) or kind not in _BY_COLUMN:
            allowed = ", ".join(("tensor", *_BY_COLUMN))
            raise ModelLoadError(f"{where}.type: expected one of {allowed}, got {kind!r}")
        return Field(name, _BY_COLUMN[kind], (None, 1), kind)
    tensor = entry.get("tensor-spec")
    dtype, shape = (tensor.get("dtype"), tensor.get("shape")) if isinstance(tensor, dict) else (None, None)
    if not isinstance(dtype, str) or dtype not in _BY_NUMPY:
        raise ModelLoadError(
            f"{where}.tensor-spec.dtype: expected one of {', '.join(_BY_NUMPY)}, got {dtype!r}"
        )
    if not isinstance(shape, list) or not all(type(size) is int and size >= -1 for size in shape):
        raise ModelLoadError(f"{where}.tensor-spec.shape: expected whole numbers, -1 for any, got {shape!r}")
    return Field(name, _BY_NUMPY[dtype], tuple(None if size == -1 else size for size in shape), None)
