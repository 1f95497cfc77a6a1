"""The coarser of two types: the same values, stored in one and in the other, compare as the same.

A model's rows are doubles in training and single-precision floats on their way to the server. Rounding moves every
value a little, and where values repeat that alone looks like another distribution. So both sides are rounded to
what both types can hold before anything is compared:

- floats to the narrower float; integers and decimals to the float's precision where the other side has floats;
- decimals to the smaller scale, half away from zero as SQL does; floats, too, where the other side has decimals;
- times to the coarser unit. A time zone changes how an instant is written, not which one it is.

A float with a fraction is no integer that was stored in another way: integers are compared as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mooring_components.drift import columns

_NAMES = {"ns": "nanosecond", "us": "microsecond", "ms": "millisecond", "s": "second"}
_UNITS = tuple(_NAMES)
_DAY = 86_400
_MOST_DIGITS = 38
# Powers of ten up to here, and integers up to there, are exact as doubles.
_EXACT_POWER = 22
_EXACT_INTEGER = 2.0**53


@dataclass(frozen=True)
class Precision:
    """What both sides are rounded to: an Arrow type, and digits after the decimal point where one has decimals."""

    type: pa.DataType
    digits: int | None = None


def common_precision(first: pa.DataType, second: pa.DataType) -> Precision | None:
    """What columns of these two types are compared at; None: they cannot be compared."""
    coarse = coarser(first, second)
    if coarse is None:
        return None
    scales = [kind.scale for kind in map(columns.value_type, (first, second)) if pa.types.is_decimal(kind)]
    return Precision(coarse, min(scales, default=None))


def coarser(first: pa.DataType, second: pa.DataType) -> pa.DataType | None:
    """The type that holds what both types can hold; None: there is none."""
    first, second = columns.value_type(first), columns.value_type(second)
    if first == second or pa.types.is_null(second):
        return first
    kinds = {columns.kind(first), columns.kind(second)}
    if pa.types.is_null(first):
        return second
    if kinds == {columns.CATEGORY}:
        return columns.CATEGORIES.value_type
    if kinds == {columns.TIME}:
        return _coarser_time(first, second)
    if kinds == {columns.NUMBER}:
        return _coarser_number(first, second)
    return None


def unified(types: list[pa.DataType]) -> pa.DataType:
    """The type of a column that has these types in several files; a union of them where they have none in common."""
    found: pa.DataType | None = columns.value_type(types[0])
    for kind in types[1:]:
        found = None if found is None else coarser(found, kind)
    if found is not None:
        if columns.kind(found) == columns.CATEGORY:
            return columns.CATEGORIES
        return columns.declare(found) if any(map(columns.are_codes, types)) else found
    different = list(dict.fromkeys(columns.value_type(kind) for kind in types))
    return pa.dense_union([pa.field(str(place), kind) for place, kind in enumerate(different)])


def convert(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """Values of a file in the type that its column has in all files, which is as coarse as theirs or coarser."""
    own = columns.value_type(values.type)
    values = values.cast(own)
    if own == kind:
        return values
    if pa.types.is_decimal(own) and pa.types.is_floating(kind):
        return values.cast(pa.string()).cast(pa.float64()).cast(kind, safe=False)
    if pa.types.is_decimal(own) and pa.types.is_decimal(kind):
        values = pc.round(values, ndigits=kind.scale, round_mode="half_towards_infinity")
    elif pa.types.is_timestamp(own):
        # Instants, whatever the zone.
        values = values.cast(pa.int64()).cast(pa.timestamp(own.unit))
        unit = "day" if pa.types.is_date(kind) else _NAMES[kind.unit]
        values = pc.floor_temporal(values, unit=unit)
    return values.cast(kind, safe=False)


def numbers(column: pa.ChunkedArray, precision: Precision) -> npt.NDArray[np.floating[Any]]:
    """The (n,) values that are neither null nor NaN, rounded, in the order of the rows; times as counts of their unit.

    Single precision where that holds them all.
    """
    column = columns.decoded(column).drop_null()
    if pa.types.is_null(column.type):
        return np.zeros(0)
    if columns.kind(column.type) == columns.TIME:
        # Downwards, before 1970 too; Arrow's own cast rounds towards it.
        return (_integers(column) // (_ticks(column.type) // _ticks(precision.type))).astype(np.float64)
    values: npt.NDArray[Any]
    if pa.types.is_decimal(column.type):
        values = _from_decimals(column, precision.digits)
    elif pa.types.is_floating(column.type):
        values = column.to_numpy()
        values = values[~np.isnan(values)]
        if precision.digits is not None:
            values = _round(values.astype(np.float64), precision.digits)
    else:
        values = _integers(column)
    if pa.types.is_floating(precision.type):
        with np.errstate(over="ignore"):
            values = values.astype(precision.type.to_pandas_dtype())
    single = values.dtype in (np.float16, np.float32)
    return values.astype(np.float32 if single else np.float64, copy=False)


def _ticks(kind: pa.DataType) -> int:
    """How often a type counts in a day."""
    if pa.types.is_date32(kind):
        return 1
    unit = "ms" if pa.types.is_date64(kind) else kind.unit
    return _DAY * int(1000 ** (len(_UNITS) - 1 - _UNITS.index(unit)))


def _coarser_time(first: pa.DataType, second: pa.DataType) -> pa.DataType:
    if not (pa.types.is_timestamp(first) and pa.types.is_timestamp(second)):
        return pa.date32()
    zone = first.tz if first.tz == second.tz else "UTC"
    return pa.timestamp(max(first.unit, second.unit, key=_UNITS.index), zone)


def _coarser_number(first: pa.DataType, second: pa.DataType) -> pa.DataType:
    floats = [kind for kind in (first, second) if pa.types.is_floating(kind)]
    if floats:
        return min(floats, key=lambda kind: int(kind.bit_width))
    decimals = [kind for kind in (first, second) if pa.types.is_decimal(kind)]
    if len(decimals) == 2:
        narrow = max(kind.precision for kind in decimals) <= _MOST_DIGITS
        make = pa.decimal128 if narrow else pa.decimal256
        return make(_MOST_DIGITS if narrow else 2 * _MOST_DIGITS, min(kind.scale for kind in decimals))
    if decimals or pa.types.is_uint64(first) or pa.types.is_uint64(second):
        return pa.float64()
    return pa.int64()


def _integers(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    kind = column.type
    if pa.types.is_date32(kind):
        column = column.cast(pa.int32())
    elif pa.types.is_boolean(kind):
        column = column.cast(pa.int8())
    elif pa.types.is_timestamp(kind) or pa.types.is_date64(kind):
        column = column.cast(pa.int64())
    values: npt.NDArray[np.int64] = column.to_numpy()
    return values


def _from_decimals(column: pa.ChunkedArray, digits: int | None) -> npt.NDArray[np.float64]:
    if digits is not None and digits < column.type.scale:
        column = pc.round(column, ndigits=digits, round_mode="half_towards_infinity")
    # By way of text, which is read as the nearest double; Arrow's own cast is off by a bit here and there.
    values: npt.NDArray[np.float64] = column.cast(pa.string()).cast(pa.float64()).to_numpy()
    return values


def _round(values: npt.NDArray[np.float64], digits: int) -> npt.NDArray[np.float64]:
    if abs(digits) > _EXACT_POWER:
        return values
    power = 10.0 ** abs(digits)
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = np.rint(values * power if digits >= 0 else values / power)
        rounded = scaled / power if digits >= 0 else scaled * power
    # Beyond, the double itself is the coarser.
    return np.where(np.abs(scaled) < _EXACT_INTEGER, rounded, values)
