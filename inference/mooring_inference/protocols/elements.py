"""Elements of JSON into arrays, checked against a tensor's specification."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
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


def build_array(
    field: str, spec: TensorSpec, shape: list[int], data: list[object], *, name: str = ""
) -> Array:
    """Return an array of ``shape`` from JSON elements, flat or nested in row-major order.

    Args:
        field: what error messages call ``data``.
        spec, shape: what the array must be.
        data: the elements.
        name: of this value in each row, for error messages, where rows are objects.

    Raises:
        RequestError: 400 where nesting, count or an element does not fit.
    """
    flat = flatten(field, shape, data, name)
    count = prod(shape)
    if len(flat) != count:
        raise bad_field(field, f"{count} elements for shape {shape}", f"{len(flat)} elements")
    nesting = shape if data and isinstance(data[0], list) else ()
    return shaped(field, pack(field, spec.datatype, flat, nesting, name), shape)


def flatten(field: str, shape: list[int], data: list[object], name: str = "") -> list[object]:
    """Return the row-major elements of ``data``, which is already flat or nested as ``shape`` says."""
    level = data
    for depth, size in enumerate(shape[1:], start=1):
        if not level or not isinstance(level[0], list):
            break
        if depth == 1 and len(level) != shape[0]:
            raise bad_field(field, f"{shape[0]} rows for shape {shape}", f"{len(level)} rows")
        rows: list[list[object]] = []
        for row in level:
            if not isinstance(row, list) or len(row) != size:
                got = f"an array of {len(row)}" if isinstance(row, list) else json_type(row)
                where = _place(field, len(rows), shape[:depth], name)
                raise bad_field(where, f"an array of {size}", got)
            rows.append(row)
        level = list(chain.from_iterable(rows))
    return level


def pack(
    field: str, datatype: Datatype, flat: list[object], nesting: Sequence[int] = (), name: str = ""
) -> Array:
    """Return a one-dimensional array of JSON elements.

    Null is NaN where the datatype has that, and 1.0 is a whole number.

    ``struct`` is an order of magnitude faster here than ``np.array`` and refuses what does not fit. An error names the
    element's place in ``field``: by sizes of ``nesting``, where it was nested, and by ``name``, as in ``build_array``.
    """
    if datatype.pack is None:
        wanted = bool if datatype.name == "BOOL" else str
        for index, value in enumerate(flat):
            if type(value) is not wanted:
                raise _bad_element(_place(field, index, nesting, name), datatype, value)
        return np.array(flat, dtype=datatype.dtype)
    try:
        return np.frombuffer(struct.pack(f"={len(flat)}{datatype.pack}", *flat), dtype=datatype.dtype)
    except (struct.error, OverflowError):
        meant = [_meant(datatype, value) for value in flat]
        if all(one is other for one, other in zip(meant, flat, strict=True)):
            index = _first_bad_element(datatype, flat)
            raise _bad_element(_place(field, index, nesting, name), datatype, flat[index]) from None
        return pack(field, datatype, meant, nesting, name)


def _meant(datatype: Datatype, value: object) -> object:
    """Return what an element stands for that ``struct`` does not take as it is."""
    if value is None and datatype.dtype.kind == "f":
        # JSON has no NaN: it comes and goes as null.
        return math.nan
    if isinstance(value, float) and datatype.dtype.kind in "iu" and value.is_integer():
        # Some writers know no other numbers.
        return int(value)
    return value


def _first_bad_element(datatype: Datatype, flat: list[object]) -> int:
    for index, value in enumerate(flat):
        try:
            struct.pack(f"={datatype.pack}", value)
        except (struct.error, OverflowError):
            return index
    raise AssertionError("struct refuses all of them and each of none")


def _place(field: str, index: int, sizes: Sequence[int], name: str) -> str:
    """Return what an element is called: ``instances[1][2]``, ``instances[1].age``."""
    first, *others = np.unravel_index(index, sizes) if sizes else (index,)
    inner = "".join(f"[{other}]" for other in others)
    return f"{field}[{first}]{f'.{name}' if name else ''}{inner}"


def _bad_element(field: str, datatype: Datatype, value: object) -> RequestError:
    # What is nested may be so a thousand times, which repr() refuses.
    shown = "" if isinstance(value, list | dict) else f" {value!r}"
    if len(shown) > _SHOWN:
        shown = shown[:_SHOWN] + "..."
    wanted = {"BYTES": "string (BYTES)", "BOOL": "boolean (BOOL)"}.get(datatype.name, datatype.name)
    return bad_field(field, wanted, f"{json_type(value)}{shown}")
