"""Elements of JSON into arrays, checked against a tensor's specification."""

from __future__ import annotations

import math
import struct
from itertools import chain
from math import prod

import numpy as np

from mooring_inference.errors import RequestError, bad_field
from mooring_inference.protocols.binary_tensors import shaped
from mooring_inference.tensors import Array, Datatype, TensorSpec

# How much of a wrong value goes into an error message, characters.
_SHOWN = 60


def json_type(value: object) -> str:
    """Return the JSON name of a value's type, for error messages."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def build_array(field: str, spec: TensorSpec, shape: list[int], data: list[object]) -> Array:
    """Return an array of ``shape`` from JSON elements, flat or nested in row-major order.

    Raises:
        RequestError: 400 where nesting, count or an element does not fit.
    """
    flat = flatten(field, shape, data)
    count = prod(shape)
    if len(flat) != count:
        raise bad_field(field, f"{count} elements for shape {shape}", f"{len(flat)} elements")
    return shaped(field, pack(field, spec.datatype, flat), shape)


def flatten(field: str, shape: list[int], data: list[object]) -> list[object]:
    """Return the row-major elements of ``data``, which is already flat or nested as ``shape`` says."""
    level = data
    for depth, size in enumerate(shape[1:], start=1):
        if not level or not isinstance(level[0], list):
            break
        if depth == 1 and len(level) != shape[0]:
            raise bad_field(field, f"{shape[0]} rows for shape {shape}", f"{len(level)} rows")
        rows: list[list[object]] = []
        for row in level:
            if not isinstance(row, list):
                raise bad_field(field, f"arrays of {size} at depth {depth}", json_type(row))
            if len(row) != size:
                raise bad_field(field, f"arrays of {size} at depth {depth}", f"an array of {len(row)}")
            rows.append(row)
        level = list(chain.from_iterable(rows))
    return level


def pack(field: str, datatype: Datatype, flat: list[object]) -> Array:
    """Return a one-dimensional array of JSON elements.

    Null is NaN where the datatype has that, and 1.0 is a whole number.

    ``struct`` is an order of magnitude faster here than ``np.array`` and refuses what does not fit.
    """
    if datatype.pack is None:
        wanted = bool if datatype.name == "BOOL" else str
        for index, value in enumerate(flat):
            if type(value) is not wanted:
                raise _bad_element(field, datatype, index, value)
        return np.array(flat, dtype=datatype.dtype)
    try:
        return np.frombuffer(struct.pack(f"={len(flat)}{datatype.pack}", *flat), dtype=datatype.dtype)
    except (struct.error, OverflowError):
        meant = [_meant(datatype, value) for value in flat]
        if all(one is other for one, other in zip(meant, flat, strict=True)):
            raise _first_bad_element(field, datatype, flat) from None
        return pack(field, datatype, meant)


def _meant(datatype: Datatype, value: object) -> object:
    """Return what an element stands for that ``struct`` does not take as it is."""
    if value is None and datatype.dtype.kind == "f":
        # JSON has no NaN: it comes and goes as null.
        return math.nan
    if isinstance(value, float) and datatype.dtype.kind in "iu" and value.is_integer():
        # Some writers know no other numbers.
        return int(value)
    return value


def _first_bad_element(field: str, datatype: Datatype, flat: list[object]) -> RequestError:
    for index, value in enumerate(flat):
        try:
            struct.pack(f"={datatype.pack}", value)
        except (struct.error, OverflowError):
            return _bad_element(field, datatype, index, value)
    return bad_field(field, f"{datatype.name} elements", "other elements")


def _bad_element(field: str, datatype: Datatype, index: int, value: object) -> RequestError:
    # What is nested may be so a thousand times, which repr() refuses.
    shown = "" if isinstance(value, list | dict) else f" {value!r}"
    if len(shown) > _SHOWN:
        shown = shown[:_SHOWN] + "..."
    wanted = {"BYTES": "string (BYTES)", "BOOL": "boolean (BOOL)"}.get(datatype.name, datatype.name)
    return bad_field(f"{field}[{index}]", wanted, f"{json_type(value)}{shown}")
