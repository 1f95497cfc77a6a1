"""Tensor types of the Open Inference Protocol (V2), and what a model takes and gives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod

import numpy as np
import numpy.typing as npt

from mooring_inference.errors import bad_field

Array = npt.NDArray[np.generic]


@dataclass(frozen=True, slots=True)
class Datatype:
    """One V2 datatype.

    Attributes:
        name: the protocol's name, such as ``FP32``.
        dtype: the numpy dtype that holds it; object for ``BYTES`` (each element a str).
        pack: the ``struct`` format character; None where elements need another conversion.
        onnx: the element type's name in an ONNX Runtime signature.
    """

    name: str
    dtype: np.dtype[np.generic]
    pack: str | None
    onnx: str


DATATYPES = {
    row.name: row
    for row in (
        Datatype("BOOL", np.dtype(np.bool_), None, "bool"),
        Datatype("UINT8", np.dtype(np.uint8), "B", "uint8"),
        Datatype("UINT16", np.dtype(np.uint16), "H", "uint16"),
        Datatype("UINT32", np.dtype(np.uint32), "I", "uint32"),
        Datatype("UINT64", np.dtype(np.uint64), "Q", "uint64"),
        Datatype("INT8", np.dtype(np.int8), "b", "int8"),
        Datatype("INT16", np.dtype(np.int16), "h", "int16"),
        Datatype("INT32", np.dtype(np.int32), "i", "int32"),
        Datatype("INT64", np.dtype(np.int64), "q", "int64"),
        Datatype("FP16", np.dtype(np.float16), "e", "float16"),
        Datatype("FP32", np.dtype(np.float32), "f", "float"),
        Datatype("FP64", np.dtype(np.float64), "d", "double"),
        Datatype("BYTES", np.dtype(object), None, "string"),
    )
}

_BY_ONNX = {row.onnx: row for row in DATATYPES.values()}


def datatype_of_onnx(onnx_type: str) -> Datatype | None:
    """Return the datatype of ``tensor(float)`` and the like; None for sequences, maps and unknown elements."""
    if not (onnx_type.startswith("tensor(") and onnx_type.endswith(")")):
        return None
    return _BY_ONNX.get(onnx_type[len("tensor(") : -1])


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Name, datatype and shape of one input or output; a dimension of None takes any size.

    Attributes:
        columns: names of what a row of shape [n, k] holds, such as features or classes; empty where not known.
        row_axis: the model's own name of the first dimension; empty where it has none.
    """

    name: str
    datatype: Datatype
    shape: tuple[int | None, ...]
    columns: tuple[str, ...] = ()
    row_axis: str = ""

    def metadata(self) -> dict[str, object]:
        """Return the V2 metadata entry, with -1 for open dimensions, and names of columns as a parameter."""
        entry: dict[str, object] = {
            "name": self.name,
            "datatype": self.datatype.name,
            "shape": self.open_shape(),
        }
        if self.columns:
            entry["parameters"] = {"columns": list(self.columns)}
        return entry

    def open_shape(self) -> list[int]:
        """Return the shape with -1 for open dimensions."""
        return [-1 if size is None else size for size in self.shape]

    def accepts(self, shape: Sequence[int]) -> bool:
        """Return whether an array of ``shape`` fits."""
        if len(shape) != len(self.shape):
            return False
        # Every request comes here: a generator would take three times as long.
        for want, size in zip(self.shape, shape, strict=True):  # noqa: SIM110
            if want is not None and want != size:
                return False
        return True


@dataclass(frozen=True)
class Signature:
    """The inputs and outputs of a model, in the model's order."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    @cached_property
    def inputs_by_name(self) -> dict[str, TensorSpec]:
        """The inputs."""
        return {spec.name: spec for spec in self.inputs}

    @cached_property
    def outputs_by_name(self) -> dict[str, TensorSpec]:
        """The outputs."""
        return {spec.name: spec for spec in self.outputs}

    @cached_property
    def output_names(self) -> tuple[str, ...]:
        """Names of the outputs."""
        return tuple(spec.name for spec in self.outputs)

    def with_columns(self, columns: Mapping[str, tuple[str, ...]]) -> Signature:
        """Return the signature with names of what rows hold, by input; names that do not fit are left out."""
        named = [
            replace(spec, columns=columns[spec.name])
            if spec.name in columns and _takes(spec, len(columns[spec.name]))
            else spec
            for spec in self.inputs
        ]
        return Signature(tuple(named), self.outputs)

    @cached_property
    def input_columns(self) -> dict[str, tuple[str, ...]]:
        """Names of what rows hold, by input, as far as they are known."""
        return {spec.name: spec.columns for spec in self.inputs if spec.columns}

    @cached_property
    def owners(self) -> dict[str, TensorSpec]:
        """The input that each column belongs to, by the column's name; without those of several inputs."""
        counts = Counter(name for spec in self.inputs for name in spec.columns)
        return {name: spec for spec in self.inputs for name in spec.columns if counts[name] == 1}

    @cached_property
    def _inputs_of_equal_rows(self) -> tuple[tuple[str, ...], ...]:
        """Groups of inputs that must have as many rows each.

        A model that names the first dimensions of its inputs differently says that they may differ.
        """
        open_inputs = [spec for spec in self.inputs if spec.shape and spec.shape[0] is None]
        axes = {spec.row_axis for spec in open_inputs if spec.row_axis}
        if len(axes) < 2:
            return (tuple(spec.name for spec in open_inputs),)
        return tuple(tuple(spec.name for spec in open_inputs if spec.row_axis == axis) for axis in axes)

    @property
    def rows_may_differ(self) -> bool:
        """Whether the model says of some of its inputs that their rows may differ in number."""
        return len(self._inputs_of_equal_rows) > 1

    def check_rows(self, inputs: Mapping[str, Array]) -> None:
        """Raise RequestError, 400, for inputs that differ in their rows though the model takes as many of each."""
        for group in self._inputs_of_equal_rows:
            rows = {name: len(inputs[name]) for name in group}
            if len(set(rows.values())) > 1:
                raise bad_field("inputs", "as many rows in each input", rows)

    def answer_bytes(self, inputs: Mapping[str, Array]) -> int:
        """Return what the outputs for these inputs take at least; open dimensions count as 1."""
        for array in inputs.values():
            return self._output_row_bytes * len(array) if array.ndim else 0
        return 0

    @cached_property
    def _output_row_bytes(self) -> int:
        return sum(
            spec.datatype.dtype.itemsize * prod(size or 1 for size in spec.shape[1:]) for spec in self.outputs
        )


def _takes(spec: TensorSpec, count: int) -> bool:
    """Return whether a row of an input may be so many named values."""
    return (len(spec.shape) == 2 and spec.shape[1] in (None, count)) or (len(spec.shape) == 1 and count == 1)
