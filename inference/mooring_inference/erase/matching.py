"""Which rows are a person's, by the ids of their requests or by a column. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mooring_inference.capture.columns import digest
from mooring_inference.capture.layout import REQUEST

Row = tuple[str, int]
"""The id of a request, and the number of a row in it."""


@dataclass(frozen=True)
class Sought:
    """Rows to find.

    Attributes:
        ids: of requests, all rows of which are meant.
        column: its name; empty for none.
        values: what it holds, as text.
        key: of the mask `hmac`, where the column may have it.
    """

    ids: Collection[str] = ()
    column: str = ""
    values: Collection[str] = ()
    key: bytes | None = field(default=None, repr=False)


def find_requests(table: pa.Table, sought: Sought) -> pa.ChunkedArray | pa.Array:
    """Say of each row of a file of requests, (n,), whether it is meant."""
    mask = pc.is_in(pc.struct_field(table[REQUEST], "id"), pa.array(list(sought.ids), pa.string()))
    if sought.column and sought.column in table.column_names:
        column = table[sought.column]
        mask = pc.or_(mask, pc.is_in(column, _values_of(sought, column.type)))
    return mask


def find_labels(table: pa.Table, ids: Collection[str], rows: Collection[Row]) -> pa.Array:
    """Say of each row of a file of labels, (n,), whether it is of one of these requests, or of one of these rows."""
    found = zip(table["id"].to_pylist(), table["row"].to_pylist(), strict=True)
    return pa.array([one[0] in ids or one in rows for one in found], pa.bool_())


def rows_of(table: pa.Table) -> list[Row]:
    """Name the rows of a file of requests."""
    request = table[REQUEST].combine_chunks()
    return list(
        zip(
            pc.struct_field(request, "id").to_pylist(),
            pc.struct_field(request, "row").to_pylist(),
            strict=True,
        )
    )


def _values_of(sought: Sought, kind: pa.DataType) -> pa.Array:
    """Give the values as the column has them; none of those that it cannot hold."""
    if pa.types.is_string(kind):
        texts = set(sought.values)
        if sought.key is not None:
            texts |= {text for value in sought.values for text in _digests(value, sought.key)}
        return pa.array(sorted(texts), kind)
    found = []
    for value in sought.values:
        try:
            found.append(pa.scalar(value).cast(kind).as_py())
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            continue
    return pa.array(found, kind)


def _digests(value: str, key: bytes) -> list[str]:
    """Give the digests of a value in every type that a model may have taken it in."""
    arrays = [np.array([value], object)]
    for kind in (np.int64, np.float32, np.float64):
        try:
            arrays.append(np.array([value]).astype(kind))
        except (ValueError, OverflowError):
            continue
    return [text for array in arrays for text in digest(array, None, key).to_pylist() if text is not None]
