"""What columns of an Arrow type are compared as, and columns of categories as rows per category."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

NUMBER, CATEGORY, TIME, MISSING = "number", "category", "time", "missing"
CATEGORIES = pa.dictionary(pa.int32(), pa.large_string())
"""The type of a column of categories."""
_EXACT = 2.0**53


class Table(Protocol):
    """Rows whose columns are read one by one; `pyarrow.Table` is one."""

    @property
    def num_rows(self) -> int:
        """Number of rows."""
        ...

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns; no name twice."""
        ...

    def column(self, name: str) -> pa.ChunkedArray:
        """The values of one column."""
        ...


def kind(of: Any) -> str | None:
    """What a column of this Arrow type is compared as; None: not at all. A column of nulls is `missing`."""
    of = value_type(of)
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
    if pa.types.is_timestamp(of) or pa.types.is_date(of):
        return TIME
    return None


def value_type(of: pa.DataType) -> pa.DataType:
    """The type of a dictionary's values; any other type as it is."""
    return of.value_type if pa.types.is_dictionary(of) else of


def declare(of: pa.DataType) -> pa.DataType:
    """The type of the same values as codes of categories; text is that already, and times are none."""
    return pa.dictionary(CATEGORIES.index_type, of) if kind(of) == NUMBER else of


def are_codes(of: pa.DataType) -> bool:
    """Whether a column of this type holds numbers that stand for categories, because somebody said so."""
    return pa.types.is_dictionary(of) and kind(of) == NUMBER


def decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A dictionary's values in their rows; any other column as it is."""
    return column.cast(value_type(column.type))


def encode(column: pa.Array) -> pa.DictionaryArray:
    """Text or numbers, or a dictionary of them, as a dictionary of text of one type."""
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    return pa.DictionaryArray.from_arrays(
        column.indices.cast(CATEGORIES.index_type), as_text(column.dictionary)
    )


def as_text(values: pa.Array) -> pa.Array:
    """Values as categories are called: 35 of whatever type is `35`, and NaN is missing."""
    if pa.types.is_floating(values.type):
        values = pc.if_else(pc.is_nan(values), None, values)
        whole = pc.equal(values, pc.round(values))
        if (
            pc.all(whole).as_py() is not False
            and pc.all(pc.less(pc.abs(values), _EXACT)).as_py() is not False
        ):
            values = values.cast(pa.int64())
    return values.cast(CATEGORIES.value_type)


def category_codes(
    before: pa.ChunkedArray, now: pa.ChunkedArray
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The number of each row's category, (n,) and (m,), the same on both sides; -1 where a value is missing."""
    sides = [[encode(chunk) for chunk in column.chunks] for column in (before, now)]
    # A dictionary may hold a value twice, or null; between chunks they differ.
    values = pa.chunked_array([chunk.dictionary for side in sides for chunk in side], CATEGORIES.value_type)
    known = values.combine_chunks().dictionary_encode()
    categories = known.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    found: tuple[list[npt.NDArray[np.int64]], ...] = ([], [])
    start = 0
    for codes, side in zip(found, sides, strict=True):
        for chunk in side:
            own = categories[start : start + len(chunk.dictionary)]
            start += len(own)
            places = chunk.indices.fill_null(len(own)).to_numpy(zero_copy_only=False)
            codes.append(np.append(own, -1)[places])
    first, second = (np.concatenate(codes) if codes else np.zeros(0, np.int64) for codes in found)
    return first, second
