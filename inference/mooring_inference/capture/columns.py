"""Arrays of many requests as Arrow columns, masked.

Not by ``pyarrow.array``: it imports pandas where that is installed, which takes a second and 40 MB, and looks at
each element.
"""

from __future__ import annotations

import contextlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeGuard, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mooring_inference.capture.layout import TensorColumns
from mooring_inference.capture.sampling import read_key
from mooring_inference.capture.settings import (
    HMAC_KEY_VARIABLE,
    Bucket,
    CaptureSettingsError,
    Drop,
    Hmac,
    Mask,
)
from mooring_inference.protocols.v2 import text
from mooring_inference.tensors import Array

TIME_TYPE = pa.timestamp("us", tz="UTC")

Bools = npt.NDArray[np.bool_]


def from_numbers(values: Array, valid: Bools | None = None) -> pa.Array:
    """Make a column of numbers or booleans, (n,); half precision becomes single, which more readers of Parquet know.

    Args:
        values: contiguous.
        valid: (n,), False for null; None: no nulls.
    """
    if values.dtype == np.bool_:
        bits = _bitmap(cast(Bools, values))
        return pa.Array.from_buffers(pa.bool_(), len(values), [_bitmap(valid), bits])
    if values.dtype == np.float16:
        values = values.astype(np.float32)
    kind = pa.from_numpy_dtype(values.dtype)
    return pa.Array.from_buffers(kind, len(values), [_bitmap(valid), pa.py_buffer(values)])


def from_times(seconds: npt.NDArray[np.float64]) -> pa.Array:
    """Make a column of times in UTC from seconds since 1970, (n,), to the microsecond."""
    micros = np.rint(seconds * 1e6).astype(np.int64)
    return pa.Array.from_buffers(TIME_TYPE, len(micros), [None, pa.py_buffer(micros)])


def from_strings(values: Sequence[str], valid: Bools | None = None) -> pa.Array:
    """Make a column of strings; one that is not valid Unicode gets question marks where it is not."""
    joined = "".join(values)
    content = joined.encode("utf-8", "replace")
    if len(content) != len(joined):
        encoded = [value.encode("utf-8", "replace") for value in values]
        offsets = _offsets(np.fromiter(map(len, encoded), np.int64, len(values)))
    else:
        offsets = _offsets(np.fromiter(map(len, values), np.int64, len(values)))
    return pa.Array.from_buffers(
        pa.string(), len(values), [_bitmap(valid), pa.py_buffer(offsets), pa.py_buffer(content)]
    )


def repeat_string(value: str, count: int) -> pa.Array:
    """Return the same string ``count`` times."""
    content = value.encode("utf-8", "replace")
    offsets = np.arange(count + 1, dtype=np.int32) * np.int32(len(content))
    return pa.Array.from_buffers(
        pa.string(), count, [None, pa.py_buffer(offsets), pa.py_buffer(content * count)]
    )


def from_lists(lengths: npt.NDArray[np.int64], elements: pa.Array, valid: Bools | None = None) -> pa.Array:
    """Make a column of lists of ``lengths``, (n,), one behind the other in ``elements``."""
    return pa.Array.from_buffers(
        pa.list_(elements.type),
        len(lengths),
        [_bitmap(valid), pa.py_buffer(_offsets(lengths))],
        children=[elements],
    )


def from_fields(kind: pa.StructType, columns: Sequence[pa.Array]) -> pa.Array:
    """Make a column of structs of these columns."""
    return pa.Array.from_buffers(kind, len(columns[0]), [None], children=list(columns))


def _offsets(lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def _bitmap(valid: Bools | None) -> Any:
    return None if valid is None else pa.py_buffer(np.packbits(valid, bitorder="little"))


_DIGEST_BYTES = 16

# Values of one column, (n,), and which of them are there, into the column that is written.
Masker = Callable[[Array, Bools | None], pa.Array]


def read_hmac_key(path: Path | None, environ: Mapping[str, str]) -> bytes:
    """Return the key: the file's content without white space at its ends, else the environment's.

    Raises:
        CaptureSettingsError: there is none, or it is shorter than 16 bytes.
    """
    key = read_key("capture_hmac_key_file", path, HMAC_KEY_VARIABLE, environ)
    if key is None:
        raise CaptureSettingsError(
            f"--capture_mask: hmac needs a key: set --capture_hmac_key_file or ${HMAC_KEY_VARIABLE}"
        )
    return key


def make_masker(mask: Mask, key: bytes | None) -> Masker:
    """Return a function that applies ``mask``; dropped columns have none."""
    match mask:
        case Bucket():
            return lambda values, valid: bucket(values, valid, mask)
        case Hmac():
            assert key is not None
            return lambda values, valid: digest(values, valid, key)
        case Drop():
            raise ValueError("a dropped column is not written")


def bucket(values: Array, valid: Bools | None, mask: Bucket) -> pa.Array:
    """Return the interval of each number, (n,); NaN becomes null."""
    numbers = values.astype(np.float64)
    missing = np.isnan(numbers)
    places = np.searchsorted(np.asarray(mask.edges), numbers, side="right")
    present = ~missing if valid is None else valid & ~missing
    labels = mask.labels
    return from_strings([labels[place] for place in places.tolist()], present)


def digest(values: Array, valid: Bools | None, key: bytes) -> pa.Array:
    """Return a keyed digest of each value's text, (n,); NaN becomes null. Equal values are digested once."""
    items = values.tolist()
    present = np.ones(len(items), np.bool_) if valid is None else valid
    if values.dtype.kind == "f":
        present = present & ~np.isnan(values)
    digests = {item: _digest(item, key) for item in set(items)}
    return from_strings([digests[item] for item in items], present)


def _digest(value: object, key: bytes) -> str:
    text = value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")
    return hmac.digest(key, text, "sha256")[:_DIGEST_BYTES].hex()


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
        """Return whether each array has so many rows of the right width."""
        try:
            if list(map(len, arrays)) != rows:  # type: ignore[arg-type]
                return False
        except TypeError:  # None, and arrays of no dimension
            return False
        width = self._width
        return width is None or list(map(_SIZE, arrays)) == [count * width for count in rows]

    def fit(self, array: Array | None, rows: int) -> Array | None:
        """Return the array with so many rows, (rows, ...); None where it cannot have them.

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
        """Return what stands for rows that are null."""
        if self._width is None:
            return np.zeros((rows, 0), self._dtype)
        return np.full((rows, self._width), "" if self._is_text else 0, self._dtype)

    def columns(self, arrays: Sequence[Array], rows: Sequence[int], valid: Bools | None) -> list[pa.Array]:
        """Return one Arrow array for each of ``fields``.

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
        return from_lists(np.repeat(np.asarray(lengths, np.int64), rows), elements, valid)

    def _join(self, arrays: Sequence[Array]) -> Array:
        """Return all elements, one array behind the other."""
        if not self._is_text and set(map(_DTYPE, arrays)) == {self._dtype}:
            # A quarter of the cost of concatenating many small arrays.
            with contextlib.suppress(TypeError):  # one is not contiguous
                return np.frombuffer(b"".join(arrays), self._dtype)  # type: ignore[arg-type]
        return np.concatenate(arrays, axis=None)

    def _values(self, values: Array, valid: Bools | None) -> pa.Array:
        if self._is_text:
            return from_strings(
                [value if type(value) is str else text(value) for value in values.tolist()], valid
            )
        return from_numbers(values.astype(self._dtype, copy=False), valid)

    def _element_type(self) -> pa.DataType:
        if self._is_text:
            return pa.string()
        return pa.float32() if self._dtype == np.float16 else pa.from_numpy_dtype(self._dtype)
