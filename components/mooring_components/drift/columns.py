"""Columns as the statistics want them: numbers without NaN, or rows per category."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

NUMBER, CATEGORY, MISSING = "number", "category", "missing"


def kind(of: Any) -> str | None:
    """What a column of this Arrow type is compared as; None: not at all. A column of nulls is `missing`."""
    if pa.types.is_dictionary(of):
        return kind(of.value_type)
    if pa.types.is_null(of):
        return MISSING
    if (
        pa.types.is_integer(of)
        or pa.types.is_floating(of)
        or pa.types.is_boolean(of)
        or pa.types.is_decimal(of)
    ):
        return NUMBER
    if pa.types.is_string(of) or pa.types.is_large_string(of) or pa.types.is_string_view(of):
        return CATEGORY
    return None


def numbers(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """The (n,) values that are neither null nor NaN; integers beyond 2**53 are rounded."""
    values = _decoded(column).drop_null().cast(pa.float64(), safe=False).to_numpy()
    return np.asarray(values[~np.isnan(values)], dtype=np.float64)


def category_counts(
    before: pa.ChunkedArray, now: pa.ChunkedArray
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Rows per category, (k,) of each column in the same order of categories; nulls are left out."""
    both = pa.chunked_array(
        [chunk for column in (before, now) for chunk in _decoded(column).cast(pa.large_string()).chunks],
        type=pa.large_string(),
    )
    encoded = both.dictionary_encode().combine_chunks()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    first, second = codes[: len(before)], codes[len(before) :]
    count = len(encoded.dictionary)
    return _counts(first, count), _counts(second, count)


def _counts(codes: npt.NDArray[np.int32], count: int) -> npt.NDArray[np.float64]:
    return np.bincount(codes[codes >= 0], minlength=count).astype(np.float64)


def _decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
