"""Arrays of many requests as Arrow columns: their rows one behind the other."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from operator import attrgetter
from typing import TypeGuard

import numpy as np
import pyarrow as pa

from mooring_inference.capture import arrow
from mooring_inference.capture.arrow import Bools
from mooring_inference.capture.layout import TensorColumns
from mooring_inference.capture.masking import Masker, make_masker
from mooring_inference.protocols.v2 import text
from mooring_inference.tensors import Array

_SIZE = attrgetter("size")
_DTYPE = attrgetter("dtype")


class TensorRows:
    """One input or output.

    Attributes:
        name: its name in the model.
        fields: names and types of its columns.
    """

    def __init__(self, columns: TensorColumns, key: bytes | None) -> None:
        self.name = columns.tensor
        self._width = columns.width
        self._is_text = columns.is_text
        self._dtype = columns.datatype.dtype
        self._positions = [column.position for column in columns.columns]
        self._takes_all = self._positions == list(range(columns.width or 1))
        self._maskers: list[Masker | None] = [
            None if column.mask is None else make_masker(column.mask, key) for column in columns.columns
        ]
        element = self._element_type()
        kind = pa.list_(element) if self._width is None else element
        self.fields = [
            pa.field(column.name, kind if column.mask is None else pa.string()) for column in columns.columns
        ]

    def fits(self, arrays: Sequence[Array | None], rows: Sequence[int]) -> TypeGuard[Sequence[Array]]:
        """Whether each array has so many rows of the right width."""
        try:
            if list(map(len, arrays)) != rows:  # type: ignore[arg-type]
                return False
        except TypeError:  # None, and arrays of no dimension
            return False
        width = self._width
        return width is None or list(map(_SIZE, arrays)) == [count * width for count in rows]

    def fit(self, array: Array | None, rows: int) -> Array | None:
        """The array with so many rows, (rows, ...); None where it cannot have them.

        One value stands for all rows, and all that a single row has got belongs to it.
        """
        if array is None:
            return None
        if array.ndim == 0 or (array.size == 1 and rows > 1):
            array = np.broadcast_to(array.reshape(()), (rows,))
        width = self._width
        if width is None:
            if rows == 1:
                return array.reshape(1, -1)
            return array if len(array) == rows else None
        return array.reshape(rows, width) if array.size == rows * width else None

    def absent(self, rows: int) -> Array:
        """What stands for rows that are null."""
        if self._width is None:
            return np.zeros((rows, 0), self._dtype)
        return np.full((rows, self._width), "" if self._is_text else 0, self._dtype)

    def columns(self, arrays: Sequence[Array], rows: Sequence[int], valid: Bools | None) -> list[pa.Array]:
        """One Arrow array for each of ``fields``.

        Args:
            arrays: as ``fits`` wants them.
            rows: of each.
            valid: which of all the rows are not null; None: all.
        """
        if self._width is None:
            return [self._lists(arrays, rows, valid)]
        stacked = self._join(arrays).reshape(-1, self._width)
        if not self._takes_all:
            stacked = stacked[:, self._positions]
        return [
            masker(values, valid) if masker is not None else self._values(values, valid)
            for values, masker in zip(np.ascontiguousarray(stacked.T), self._maskers, strict=True)
        ]

    def _lists(self, arrays: Sequence[Array], rows: Sequence[int], valid: Bools | None) -> pa.Array:
        lengths = [array.size // count for array, count in zip(arrays, rows, strict=True)]
        elements = self._values(self._join(arrays), None)
        return arrow.from_lists(np.repeat(np.asarray(lengths, np.int64), rows), elements, valid)

    def _join(self, arrays: Sequence[Array]) -> Array:
        """All elements, one array behind the other."""
        if not self._is_text and set(map(_DTYPE, arrays)) == {self._dtype}:
            # A quarter of the cost of concatenating many small arrays.
            with contextlib.suppress(TypeError):  # one is not contiguous
                return np.frombuffer(b"".join(arrays), self._dtype)  # type: ignore[arg-type]
        return np.concatenate(arrays, axis=None)

    def _values(self, values: Array, valid: Bools | None) -> pa.Array:
        if self._is_text:
            return arrow.from_strings(
                [value if type(value) is str else text(value) for value in values.tolist()], valid
            )
        return arrow.from_numbers(values.astype(self._dtype, copy=False), valid)

    def _element_type(self) -> pa.DataType:
        if self._is_text:
            return pa.string()
        return pa.float32() if self._dtype == np.float16 else pa.from_numpy_dtype(self._dtype)
