"""Arrow arrays over numpy's memory and from strings.

Not ``pyarrow.array``: it imports pandas where that is installed, which takes a second and 40 MB, and looks at
each element.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mooring_inference.tensors import Array

Bools = npt.NDArray[np.bool_]


def from_numbers(values: Array, valid: Bools | None = None) -> pa.Array:
    """Numbers or booleans, (n,); half precision becomes single, which more readers of Parquet know.

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
    """Times in UTC from seconds since 1970, (n,), to the microsecond."""
    micros = np.rint(seconds * 1e6).astype(np.int64)
    return pa.Array.from_buffers(TIME, len(micros), [None, pa.py_buffer(micros)])


def from_strings(values: Sequence[str], valid: Bools | None = None) -> pa.Array:
    """Strings; one that is not valid Unicode gets question marks where it is not."""
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
    """The same string ``count`` times."""
    content = value.encode("utf-8", "replace")
    offsets = np.arange(count + 1, dtype=np.int32) * np.int32(len(content))
    return pa.Array.from_buffers(
        pa.string(), count, [None, pa.py_buffer(offsets), pa.py_buffer(content * count)]
    )


def from_lists(lengths: npt.NDArray[np.int64], elements: pa.Array, valid: Bools | None = None) -> pa.Array:
    """Lists of ``lengths``, (n,), one behind the other in ``elements``."""
    return pa.Array.from_buffers(
        pa.list_(elements.type),
        len(lengths),
        [_bitmap(valid), pa.py_buffer(_offsets(lengths))],
        children=[elements],
    )


def from_fields(kind: pa.StructType, columns: Sequence[pa.Array]) -> pa.Array:
    """Structs of these columns."""
    return pa.Array.from_buffers(kind, len(columns[0]), [None], children=list(columns))


def _offsets(lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def _bitmap(valid: Bools | None) -> Any:
    return None if valid is None else pa.py_buffer(np.packbits(valid, bitorder="little"))


TIME = pa.timestamp("us", tz="UTC")
