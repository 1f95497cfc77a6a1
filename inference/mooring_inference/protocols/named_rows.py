"""Rows that come by name: of inputs, or of what an input's rows hold, such as features."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter

import numpy as np

from mooring_inference.errors import RequestError, bad_field
from mooring_inference.protocols.elements import build_array, json_type, pack
from mooring_inference.tensors import Array, Signature, TensorSpec


def split_row(field: str, signature: Signature, row: Mapping[str, object]) -> dict[str, object]:
    """Return the JSON row of each input, by its name.

    Args:
        field: what error messages call ``row``.
        signature: of the model.
        row: values by names of inputs or of columns, in any order.

    Raises:
        RequestError: 400, a name is missing, or is none of the model's.
    """
    rows: dict[str, object] = {}
    used: set[str] = set()
    for spec in signature.inputs:
        names = _names_in(spec, row)
        for name in names:
            if name not in row:
                raise RequestError(f"{field}.{name}: missing", field=f"{field}.{name}", expected=list(names))
        used.update(names)
        if names is not spec.columns:
            rows[spec.name] = row[spec.name]
        else:
            values = [row[name] for name in names]
            rows[spec.name] = values if len(spec.shape) > 1 else values[0]
    if extra := row.keys() - used:
        name = min(extra)
        raise bad_field(f"{field}.{name}", f"a name out of {sorted(used)}", "an unknown name")
    return rows


def split_rows(field: str, signature: Signature, rows: Sequence[object]) -> dict[str, list[object]]:
    """Return the JSON rows of each input, by its name, from at least one object as ``split_row`` takes them.

    Rows mostly have the same names: those that have the names of the first one need no look at each.
    """
    first = _need_row(f"{field}[0]", signature, rows[0])
    split_row(f"{field}[0]", signature, first)
    getters = [(spec.name, _getter(spec, _names_in(spec, first))) for spec in signature.inputs]
    columns: dict[str, list[object]] = {name: [] for name, _ in getters}
    for index, row in enumerate(rows):
        if isinstance(row, dict) and row.keys() == first.keys():
            for name, get in getters:
                columns[name].append(get(row))
            continue
        where = f"{field}[{index}]"
        for name, value in split_row(where, signature, _need_row(where, signature, row)).items():
            columns[name].append(value)
    return columns


def build_rows(field: str, spec: TensorSpec, shape: list[int], rows: list[object]) -> Array:
    """Return the array of rows that ``split_row`` made; an error names the row and the column."""
    try:
        return build_array(field, spec, shape, rows, name="" if spec.columns else spec.name)
    except RequestError:
        for index, row in enumerate(rows):
            if isinstance(row, list) and len(row) == len(spec.columns):
                check_row(f"{field}[{index}]", spec, row)
        raise


def check_row(field: str, spec: TensorSpec, row: list[object]) -> None:
    """Raise RequestError, 400, for the first value of a row that does not fit its column, by its name."""
    try:
        pack(field, spec.datatype, row)
        return
    except RequestError:
        for name, value in zip(spec.columns, row, strict=True):
            _check_element(f"{field}.{name}", spec, value)


def join_columns(signature: Signature, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Return one array for each input from arrays of inputs, or of their columns with one value a row.

    Raises:
        RequestError: 400, a column is missing, there beside its input, or of another length than its neighbours.
    """
    inputs: dict[str, Array] = {}
    used: set[str] = set()
    for spec in signature.inputs:
        names = _names_in(spec, arrays)
        if missing := [name for name in names if name not in arrays]:
            raise bad_field("inputs", sorted(names), f"no {missing[0]}")
        used.update(names)
        inputs[spec.name] = arrays[spec.name] if names is not spec.columns else _join(spec, arrays)
    if extra := arrays.keys() - used:
        raise bad_field("inputs", sorted(used), f"{min(extra)} besides")
    return inputs


def column_spec(spec: TensorSpec, name: str, dimensions: int) -> TensorSpec:
    """Return what a tensor of one column must be: of shape [n], or [n, 1] where it has two dimensions."""
    return TensorSpec(name, spec.datatype, (None, 1) if dimensions == 2 else (None,))


def _need_row(field: str, signature: Signature, row: object) -> dict[str, object]:
    if not isinstance(row, dict):
        raise bad_field(field, f"object with {[spec.name for spec in signature.inputs]}", json_type(row))
    return row


def _getter(spec: TensorSpec, names: tuple[str, ...]) -> Callable[[Mapping[str, object]], object]:
    """Return what takes the row of an input out of an object of all."""
    get = itemgetter(*names)
    if names is not spec.columns or len(spec.shape) < 2:
        return get
    return (lambda row: list(get(row))) if len(names) > 1 else (lambda row: [get(row)])


def _names_in(spec: TensorSpec, given: Mapping[str, object]) -> tuple[str, ...]:
    """Return the names that an input is to be taken from: its own, or those of its columns."""
    if spec.columns in ((), (spec.name,)):
        return (spec.name,)
    is_whole = spec.name in given and any(name not in given for name in spec.columns)
    return (spec.name,) if is_whole else spec.columns


def _join(spec: TensorSpec, arrays: Mapping[str, Array]) -> Array:
    rows = {name: len(arrays[name]) for name in spec.columns}
    if len(set(rows.values())) > 1:
        raise bad_field("inputs", "as many rows in each input", rows)
    columns = [arrays[name].reshape(-1) for name in spec.columns]
    return np.stack(columns, axis=1) if len(spec.shape) > 1 else columns[0]


def _check_element(field: str, spec: TensorSpec, value: object) -> None:
    try:
        pack(field, spec.datatype, [value])
    except RequestError as error:
        raise bad_field(field, error.expected, error.got) from None
