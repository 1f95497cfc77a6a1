"""Outputs of a model as columns of Parquet."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from mooring_inference.protocols.v2 import text
from mooring_inference.score.errors import UsageError
from mooring_inference.tensors import Array, TensorSpec


class OutputLayout:
    """How the outputs become columns: a row of one value as that value, any other row as a list.

    Attributes:
        fields: names and types of the columns.
    """

    def __init__(self, outputs: Sequence[TensorSpec], *, flatten: bool) -> None:
        """Decide on the columns.

        Args:
            outputs: the outputs that are wanted.
            flatten: give each element of a row a column of its own, ``NAME_0`` and so on, or ``NAME_CLASS``.

        Raises:
            UsageError: an output of unknown size shall be flattened.
        """
        self._outputs = tuple(outputs)
        self._flatten = flatten
        self.fields: list[pa.Field] = [field for spec in outputs for field in self._fields_of(spec)]

    def columns(self, arrays: Sequence[Array]) -> list[pa.Array]:
        """Return the columns of some rows.

        Args:
            arrays: one for each output, with as many rows each.
        """
        columns: list[pa.Array] = []
        for spec, array in zip(self._outputs, arrays, strict=True):
            if _single(spec):
                columns.append(_plain(spec, array.reshape(len(array))))
            elif self._flatten:
                rows = array.reshape(len(array), -1)
                columns += [_plain(spec, rows[:, index]) for index in range(rows.shape[1])]
            else:
                columns.append(_nest(spec, array if spec.shape else array.reshape(len(array), -1)))
        return columns

    def _fields_of(self, spec: TensorSpec) -> list[pa.Field]:
        element = _element_type(spec)
        if _single(spec):
            return [pa.field(spec.name, element)]
        if self._flatten:
            sizes = [size for size in spec.shape[1:] if size is not None]
            if not spec.shape or len(sizes) < len(spec.shape) - 1:
                raise UsageError(
                    f"output {spec.name} of shape {spec.open_shape()} cannot be flattened: its size is not known"
                )
            names = spec.columns or range(int(np.prod(sizes)))
            return [pa.field(f"{spec.name}_{name}", element) for name in names]
        for _ in spec.shape[1:] or (None,):
            element = pa.list_(element)
        return [pa.field(spec.name, element)]


def _single(spec: TensorSpec) -> bool:
    # A shape of no dimension at all means that the model does not say.
    return bool(spec.shape) and all(size == 1 for size in spec.shape[1:])


def _element_type(spec: TensorSpec) -> pa.DataType:
    if spec.datatype.name == "BYTES":
        return pa.string()
    # Few readers of Parquet know half precision.
    return pa.float32() if spec.datatype.name == "FP16" else pa.from_numpy_dtype(spec.datatype.dtype)


def _plain(spec: TensorSpec, values: Array) -> pa.Array:
    element = _element_type(spec)
    if element == pa.string():
        return pa.array([text(value) for value in values.tolist()], element)
    return pa.array(np.ascontiguousarray(values.astype(element.to_pandas_dtype(), copy=False)))


def _nest(spec: TensorSpec, array: Array) -> pa.Array:
    nested = _plain(spec, array.reshape(-1))
    for axis in range(array.ndim - 1, 0, -1):
        lists = int(np.prod(array.shape[:axis]))
        offsets = pa.array(np.arange(lists + 1, dtype=np.int32) * array.shape[axis])
        nested = pa.ListArray.from_arrays(offsets, nested)
    return nested
