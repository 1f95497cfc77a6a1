"""Columns into the arrays that a model takes.

A batch converts if and only if each of its rows does, so the rows that do not fit are found by halving.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mooring_inference.errors import RequestError
from mooring_inference.protocols.elements import build_array, pack
from mooring_inference.score.blocks import MISSING, Column
from mooring_inference.score.mapping import Feed
from mooring_inference.tensors import Array, Datatype, TensorSpec


class Nulls(Enum):
    """What becomes of values that are not there.

    ``reject``: their rows are bad. ``nan``: null, and an empty cell of CSV, is NaN to inputs of floating point.
    ``missing``: so is what a line of JSON has no key for.
    """

    REJECT = "reject"
    NAN = "nan"
    MISSING = "missing"


# Up to here every integer is a float64.
_EXACT = 2**53


class Misfit(Exception):
    """Some value does not fit its input; the message says which column and why."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows that converted together, or one row that did not.

    Attributes:
        start, stop: places in the block.
        arrays: one for each feed, or why there are none.
    """

    start: int
    stop: int
    arrays: list[Array] | str


def convert_rows(count: int, attempt: Callable[[int, int], list[Array]]) -> Iterator[Piece]:
    """Convert ``count`` rows, in as few pieces as misfits and differing shapes allow.

    Args:
        count: how many rows there are.
        attempt: converts the rows from a place to before another one; raises Misfit.
    """
    waiting = [(0, count)] if count else []
    while waiting:
        start, stop = waiting.pop()
        try:
            yield Piece(start, stop, attempt(start, stop))
        except Misfit as exc:
            if stop - start == 1:
                yield Piece(start, stop, str(exc))
                continue
            middle = (start + stop) // 2
            waiting += [(middle, stop), (start, middle)]


def convert_feed(feed: Feed, columns: Sequence[Column], *, nulls: Nulls) -> Array:
    """Return the array of an input for some rows, at least one.

    Args:
        feed: the input and the names of its columns.
        columns: their values.
        nulls: what becomes of values that are not there.

    Raises:
        Misfit: a value does not fit, or rows differ in their open dimension.
    """
    spec = feed.spec
    fill = nulls is not Nulls.REJECT and spec.datatype.dtype.kind == "f"
    if nulls is Nulls.MISSING:
        columns = [_missing_as_null(column) for column in columns]
    if not feed.side_by_side:
        return _one_column(feed.columns[0], spec, columns[0], fill=fill)
    array = np.empty((len(columns[0]), len(columns)), spec.datatype.dtype)
    for index, (name, column) in enumerate(zip(feed.columns, columns, strict=True)):
        array[:, index] = _scalars(name, spec.datatype, column, fill=fill)
    return array.reshape(len(array)) if len(spec.shape) == 1 else array


def _one_column(name: str, spec: TensorSpec, column: Column, *, fill: bool) -> Array:
    if isinstance(column, list):
        if any(isinstance(value, list) for value in column):
            return _json_lists(name, spec, column, fill=fill)
    elif _is_list(column.type):
        return _arrow_lists(name, spec, column, fill=fill)
    if any(size not in (1, None) for size in spec.shape[1:]):
        raise _no_list(name, column[0] if isinstance(column, list) else column[0].as_py())
    if None in spec.shape[1:] and isinstance(column, list) and None in column:
        # How many numbers there are not nobody knows.
        raise Misfit(f"column {name}: null")
    return _scalars(name, spec.datatype, column, fill=fill).reshape(-1, *(1 for _ in spec.shape[1:]))


def _scalars(name: str, datatype: Datatype, column: Column, *, fill: bool) -> Array:
    if isinstance(column, list):
        return _json_scalars(name, datatype, column, fill=fill)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        return _cells(name, datatype, column, fill=fill)
    if column.null_count and not fill:
        raise Misfit(f"column {name}: null")
    if datatype.name == "BYTES":
        return np.array(column.to_pylist(), dtype=object)
    if pa.types.is_decimal(column.type) or (column.null_count and not pa.types.is_floating(column.type)):
        column = column.cast(pa.float64(), safe=False)
    return _narrow(name, column.to_numpy(zero_copy_only=False), datatype)


def _narrow(name: str, values: npt.NDArray[Any], datatype: Datatype) -> Array:
    """Return values in the input's dtype; whole numbers stay exact, floats may lose digits but not become infinite."""
    dtype = datatype.dtype
    if values.dtype == dtype:
        return values
    if dtype.kind == "b":
        raise Misfit(f"column {name}: expected {datatype.name}, got a number")
    if dtype.kind in "iu":
        limits = np.iinfo(dtype.name)
        fits = (values >= limits.min) & (values <= limits.max)
        if values.dtype.kind == "f":
            # The largest integer may have no float of its own; its neighbour above must not pass.
            fits = (
                (values >= float(limits.min))
                & (values < float(limits.max) + 1)
                & (values == np.floor(values))
            )
        if not fits.all():
            raise Misfit(f"column {name}: {_show(values[~fits][0])} does not fit {datatype.name}")
        return values.astype(dtype)
    with np.errstate(over="ignore"):
        narrowed = values.astype(dtype)
    lost = np.isinf(narrowed) & np.isfinite(values)
    if lost.any():
        raise Misfit(f"column {name}: {_show(values[lost][0])} does not fit {datatype.name}")
    return narrowed


def _cells(name: str, datatype: Datatype, column: pa.Array, *, fill: bool) -> Array:
    """Return the values of cells of text."""
    try:
        text = column.cast(pa.string())
    except pa.ArrowInvalid:
        raise Misfit(f"column {name}: not UTF-8") from None
    if datatype.name == "BYTES":
        return np.array(text.to_pylist(), dtype=object)
    text = pc.utf8_trim_whitespace(text)
    empty = pc.equal(text, "")
    if pc.any(empty).as_py():
        if not fill:
            raise Misfit(f"column {name}: missing")
        text = pc.if_else(empty, "nan", text)
    for target in _readings(datatype):
        try:
            values = text.cast(target).to_numpy(zero_copy_only=False)
        except pa.ArrowInvalid:
            continue
        if pa.types.is_floating(target) and datatype.dtype.kind in "iu" and (np.abs(values) >= _EXACT).any():
            break  # some digit may be lost; alone, a whole number is read as one
        if pa.types.is_floating(target) and np.isinf(values).any():
            _refuse_overflow(name, datatype, text, values)
        return _narrow(name, values, datatype)
    raise Misfit(f"column {name}: expected {datatype.name}, got {_show(text[0].as_py())}")


def _refuse_overflow(name: str, datatype: Datatype, text: pa.Array, values: npt.NDArray[Any]) -> None:
    """Refuse digits that are read as infinity: it is not what was written."""
    for place in np.flatnonzero(np.isinf(values)):
        cell = text[int(place)].as_py()
        if any(map(str.isdigit, cell)):
            raise Misfit(f"column {name}: {_show(cell)} does not fit {datatype.name}")


def _readings(datatype: Datatype) -> list[pa.DataType]:
    """Return the ways in which text may be read, in order."""
    kind = datatype.dtype.kind
    if kind == "b":
        return [pa.bool_()]
    whole = {"i": [pa.int64()], "u": [pa.uint64()]}.get(kind, [])
    return [*whole, pa.float64()]


def _arrow_lists(name: str, spec: TensorSpec, column: pa.Array, *, fill: bool) -> Array:
    """Return lists, nested as the shape says, or flat in row-major order where the shape is known."""
    wanted: list[int | None] = list(spec.shape[1:])
    if len(wanted) > 1 and not _is_list(column.type.value_type):
        wanted = [prod(size for size in wanted if size is not None)] if None not in wanted else wanted
    sizes: list[int] = []
    level = column
    for want in wanted:
        if not _is_list(level.type):
            raise Misfit(f"column {name}: lists are nested {len(sizes)} deep, expected {len(wanted)}")
        if level.null_count:
            raise Misfit(f"column {name}: null")
        lengths = pc.min_max(pc.list_value_length(level))
        low, high = lengths["min"].as_py() or 0, lengths["max"].as_py() or 0
        if low != high or want not in (None, low):
            raise Misfit(f"column {name}: a list of {low if low != want else high}, expected {_size(want)}")
        sizes.append(low)
        level = level.flatten()
    if _is_list(level.type):
        raise Misfit(f"column {name}: lists are nested deeper than {len(wanted)}")
    values = _scalars(name, spec.datatype, level, fill=fill)
    return values.reshape(len(column), *(sizes if len(wanted) == len(spec.shape) - 1 else spec.shape[1:]))


def _json_scalars(name: str, datatype: Datatype, values: list[Any], *, fill: bool) -> Array:
    if MISSING in values:
        raise Misfit(f"column {name}: missing")
    if not fill and None in values:
        raise Misfit(f"column {name}: null")
    try:
        return pack(name, datatype, values)
    except RequestError as exc:
        raise Misfit(f"column {name}: expected {exc.expected}, got {exc.got}") from None


def _missing_as_null(column: Column) -> Column:
    if not isinstance(column, list):
        return column
    return [None if value is MISSING else value for value in column]


def _json_lists(name: str, spec: TensorSpec, values: list[Any], *, fill: bool) -> Array:
    for value in values:
        if not isinstance(value, list):
            raise _no_list(name, value)
    sizes: list[int] = []
    level: Any = values[0]
    for want in spec.shape[1:]:
        found = len(level) if isinstance(level, list) else 0
        sizes.append(found if want is None else want)
        level = level[0] if isinstance(level, list) and level else None
    lengths = {len(value) for value in values}
    if len(lengths) > 1:
        raise Misfit(f"column {name}: lists of {min(lengths)} and {max(lengths)}")
    try:
        array = build_array(name, spec, [len(values), *sizes], values)
    except RequestError as exc:
        raise Misfit(f"column {name}: expected {exc.expected}, got {exc.got}") from None
    # JSON itself has no NaN.
    if not fill and array.dtype.kind == "f" and np.isnan(array).any():
        raise Misfit(f"column {name}: null")
    return array


def _no_list(name: str, value: object) -> Misfit:
    got = "null" if value is None else str(value) if value is MISSING else "one value"
    return Misfit(f"column {name}: expected a list, got {got}")


def _is_list(arrow: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_list(arrow) or types.is_large_list(arrow) or types.is_fixed_size_list(arrow))


def _size(want: int | None) -> str:
    return "the same in all rows" if want is None else str(want)


def _show(value: object) -> str:
    shown = str(value)
    return shown if len(shown) <= 60 else shown[:60] + "..."
