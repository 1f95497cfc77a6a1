"""A first schema for rows: what all of them have in common, for a person to go on from."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import polars as pl
from mooring_artifacts.data_schema import LONGEST_NAME, Column, DataSchema, Type
from mooring_artifacts.errors import InputError

from mooring_components.validation.fold import Plan
from mooring_components.validation.sources import Source, open_source

_TYPES: tuple[Type, ...] = get_args(Type)
# What text is taken for, in this order, where all values can be read as it.
_READ_AS: tuple[Type, ...] = ("integer", "number", "boolean", "timestamp")
_MOST_VALUES = 12
_LONGEST_VALUE = 60


@dataclass
class _Seen:
    """What the values of one column are, so far.

    failed: values that are none of a type, by type. low, high: by type. values: the different texts, None: too many.
    """

    rows: int = 0
    nulls: int = 0
    nans: int = 0
    failed: dict[Type, int] = field(default_factory=dict)
    low: dict[Type, float] = field(default_factory=dict)
    high: dict[Type, float] = field(default_factory=dict)
    values: set[str] | None = field(default_factory=set)
    files: int = 0


def infer_schema(paths: Sequence[Path]) -> DataSchema:
    """Give the schema that these files of rows have: types, ranges, shares of nulls, the values of short lists.

    Columns of lists and other types that no schema has are left out, and columns beyond the schema allowed.

    Raises:
        InputError: a file cannot be read, or there are no rows.
    """
    seen: dict[str, _Seen] = {}
    left_out = dict[str, None]()
    for source in [open_source(path) for path in paths]:
        if wrong := [name for name in source.names if not 0 < len(name) <= LONGEST_NAME]:
            raise InputError(
                f"{source.path.name}: the name of column {source.names.index(wrong[0]) + 1} has {len(wrong[0])} "
                f"characters; 1 to {LONGEST_NAME} are allowed"
            )
        candidates = {name: _candidates(source, name) for name in source.names}
        left_out.update(dict.fromkeys(name for name, types in candidates.items() if not types))
        _add(source, {name: types for name, types in candidates.items() if types}, seen)
        if source.broken.count:
            row, why = source.broken.examples[0]
            raise InputError(f"{source.path.name}: row {row} cannot be read: {why}")
    if seen and not any(found.rows for found in seen.values()):
        raise InputError("there are no rows to infer a schema from")
    columns = [_column(name, found, len(paths)) for name, found in seen.items() if name not in left_out]
    if not columns:
        raise InputError(f"no column has a type of a schema: {', '.join(_TYPES)}")
    return DataSchema(columns=columns, extra_columns="Allow" if left_out else "Refuse")


def _candidates(source: Source, name: str) -> tuple[Type, ...]:
    if source.text:
        return (*_READ_AS, "string")
    # A whole number is a number too: the first that fits says most.
    return tuple(kind for kind in _TYPES if Plan(Column(name=name, type=kind), source).fits)


def _add(source: Source, candidates: Mapping[str, tuple[Type, ...]], seen: dict[str, _Seen]) -> None:
    for name, types in candidates.items():
        found = seen.setdefault(name, _Seen())
        found.files += 1
        found.failed |= {kind: found.failed.get(kind, 0) + (kind not in types) for kind in _TYPES}
    plans = [
        Plan(Column(name=name, type=kind, nan=True), source)
        for name, types in candidates.items()
        for kind in types
    ]
    for batch in source.batches(list(candidates)):
        if not plans:
            continue
        counted = batch.select([expression for plan in plans for expression in _counts(plan)]).row(
            0, named=True
        )
        for name, types in candidates.items():
            found = seen[name]
            found.rows += batch.height
            found.nulls += counted[f"{name}\0{types[0]}\0nulls"]
            for kind in types:
                _take(found, kind, {key: counted.get(f"{name}\0{kind}\0{key}") for key in _KEYS})
            if found.values is not None and "string" in types:
                found.values |= set(batch[name].cast(pl.String).drop_nulls().unique().to_list())
                if len(found.values) > _MOST_VALUES or any(
                    len(each) > _LONGEST_VALUE for each in found.values
                ):
                    found.values = None


_KEYS = ("failed", "low", "high", "nans")


def _counts(plan: Plan) -> Iterator[pl.Expr]:
    name, kind, value = plan.column.name, plan.column.type, plan.value
    yield plan.missing.sum().alias(f"{name}\0{kind}\0nulls")
    yield (~plan.missing & value.is_null()).sum().alias(f"{name}\0{kind}\0failed")
    if kind in ("integer", "number"):
        finite = value if kind == "integer" else value.fill_nan(None)
        yield finite.min().alias(f"{name}\0{kind}\0low")
        yield finite.max().alias(f"{name}\0{kind}\0high")
    if kind == "number":
        yield value.is_nan().sum().alias(f"{name}\0{kind}\0nans")


def _take(found: _Seen, kind: Type, counted: Mapping[str, Any]) -> None:
    found.failed[kind] += counted["failed"]
    found.nans += counted["nans"] or 0
    if (low := counted["low"]) is not None:
        found.low[kind] = min(low, found.low.get(kind, low))
        found.high[kind] = max(counted["high"], found.high.get(kind, low))


def _column(name: str, found: _Seen, files: int) -> Column:
    empty = found.nulls == found.rows
    fitting = [kind for kind in (*_READ_AS, "string") if not found.failed[kind]]
    if not fitting:
        raise InputError(f"column {name!r:.200} has types in different files that no type has in common")
    kind = fitting[-1] if empty else fitting[0]
    low, high = found.low.get(kind), found.high.get(kind)
    return Column(
        name=name,
        type=kind,
        required=found.files == files,
        nulls=_share(found.nulls, found.rows),
        nan=kind == "number" and found.nans > 0,
        min=low if low is not None and math.isfinite(low) else None,
        max=high if high is not None and math.isfinite(high) else None,
        values=sorted(found.values) if kind == "string" and found.values and not empty else [],
    )


def _share(part: int, whole: int) -> float:
    """The share, rounded up: what was seen is allowed."""
    return math.ceil(part / whole * 1e4) / 1e4 if whole else 0.0
