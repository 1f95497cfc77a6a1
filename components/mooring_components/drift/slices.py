"""Cuts baseline and window into slices, each of which is compared by itself.

A slice is a table that is read column by column, as the whole is. Of a column that was just read its rows are taken,
and no file is read again for it; texts, which are read a part at a time, are read once for each slice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Generic, Protocol, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
from mooring_artifacts.drift_slices import DriftSlice
from mooring_artifacts.feature_settings import FeatureSettings

from mooring_components.drift import columns
from mooring_components.drift.errors import EvaluationError
from mooring_components.drift.prepared import PreparedBaseline
from mooring_components.drift.schema import listed, written
from mooring_components.drift.texts import Described, Streamed

Compared = TypeVar("Compared", Described, PreparedBaseline)

Number = bool | int | float | Decimal

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_MOST_DIGITS = 400
"""More than any number of a column has before or after its point."""
_TRUTHS = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True)
class Side(Generic[Compared]):
    """A side of a comparison: all of its rows, and those of each slice; text says why there are none.

    names: of its columns, as they are before texts are described.
    """

    whole: Compared
    slices: tuple[Compared | str, ...]
    names: tuple[str, ...]


@dataclass(frozen=True)
class SliceTables:
    """A slice, its rows in baseline and window, and these; without them `problem` is why they are not compared."""

    asked: DriftSlice
    rows: tuple[int, int]
    tables: tuple[columns.Table | PreparedBaseline, columns.Table] | None
    problem: str = ""


def cut(
    table: columns.Table,
    slices: Sequence[DriftSlice],
    settings: FeatureSettings,
    baseline: Side[Described] | None = None,
) -> Side[Described]:
    """Describe and cut a baseline, or a window by what its `baseline` has.

    Raises:
        EvaluationError: TypeUnsupported, where the baseline's column has no such values; those of `Described`.
    """
    if slices:
        table = _RecentParts(table) if isinstance(table, Streamed) else _Recent(table)
    whole = Described(table, settings, baseline.whole if baseline else None)
    befores = baseline.slices if baseline else (None,) * len(slices)
    parts: list[Described | str] = []
    for place, (asked, before) in enumerate(zip(slices, befores, strict=True)):
        taken = _take(table, asked, f"spec.slices[{place}]", is_window=baseline is not None)
        described = before if isinstance(before, Described) else None
        parts.append(taken if isinstance(taken, str) else Described(taken, settings, described))
    return Side(whole, tuple(parts), tuple(table.schema.names))


def _take(table: columns.Table, asked: DriftSlice, field: str, *, is_window: bool) -> columns.Table | str:
    """Take the rows of a slice, or say why there are none."""
    side = "window" if is_window else "baseline"
    if asked.column not in table.schema.names:
        return f"the {side} has no column {asked.column!r}"
    try:
        mask = _mask(table, asked, field, side)
    except EvaluationError as error:
        if is_window and error.reason == "TypeUnsupported":
            return error.message  # the schema has changed, and the spec is as good as before
        raise
    return _TakenParts(table, mask) if isinstance(table, Streamed) else _Taken(table, mask)


def prepare(baseline: Side[Described]) -> Side[PreparedBaseline]:
    """Prepare a baseline that many windows are compared with, and each slice of it."""
    parts = (part if isinstance(part, str) else PreparedBaseline(part) for part in baseline.slices)
    return Side(PreparedBaseline(baseline.whole), tuple(parts), baseline.names)


def pair(
    slices: Sequence[DriftSlice], baseline: Side[Compared], window: Side[Described], min_rows: int
) -> list[SliceTables]:
    """Pair the slices of both sides, and say of which nothing is compared, and why.

    Raises:
        EvaluationError: FeatureMissing, where no side has the column of a slice; TypeUnsupported, where a slice is
            every row of both.
    """
    found = []
    sides = zip(slices, baseline.slices, window.slices, strict=True)
    for place, (asked, before, now) in enumerate(sides):
        field = f"spec.slices[{place}]"
        if asked.column not in {*baseline.names, *window.names}:
            raise EvaluationError(
                "FeatureMissing",
                f"{field}.column: {asked.column!r} is no column of the baseline; it has {listed(baseline.names)}",
            )
        tables = _pair(asked, before, now, min_rows)
        if tables.rows == (baseline.whole.num_rows, window.whole.num_rows):
            raise EvaluationError(
                "TypeUnsupported",
                f"{field}: {asked.name!r} is every row of the baseline and of the window, which are compared anyway: "
                "leave it out, or name fewer values",
            )
        found.append(tables)
    return found


def by_name(
    whole: tuple[columns.Table, columns.Table], slices: Sequence[SliceTables]
) -> dict[str, tuple[columns.Table, columns.Table]]:
    """Both sides of each slice that is compared, by its name, and of all rows by none."""
    return {"": whole, **{one.asked.name: one.tables for one in slices if one.tables is not None}}


def _pair(asked: DriftSlice, before: Compared | str, now: Described | str, min_rows: int) -> SliceTables:
    rows = _rows(before), _rows(now)
    if isinstance(before, str) or isinstance(now, str):
        return SliceTables(asked, rows, None, before if isinstance(before, str) else str(now))
    for name, found in zip(("baseline", "window"), rows, strict=True):
        if found < max(min_rows, 1):
            problem = f"the {name} has {found} rows of it; spec.minRows wants {min_rows}"
            return SliceTables(asked, rows, None, problem)
    return SliceTables(asked, rows, (before, now))


def _rows(side: Compared | str) -> int:
    return 0 if isinstance(side, str) else side.num_rows


class _Recent:
    """A table that keeps the column that was read last, for the slices that are asked for it next."""

    def __init__(self, table: columns.Table) -> None:
        self._table = table
        self._last: dict[str, pa.ChunkedArray] = {}
        self.num_rows, self.schema = table.num_rows, table.schema

    def column(self, name: str) -> pa.ChunkedArray:
        """The values of one column."""
        if name not in self._last:
            self._last.clear()  # its memory is needed
            self._last[name] = self._table.column(name)
        return self._last[name]


class _RecentParts(_Recent):
    """The same of a table that gives columns a part at a time."""

    _table: _Parts

    def stream(self, name: str) -> Iterator[pa.Array]:
        """The values of one column of text, some rows at a time."""
        return self._table.stream(name)


class _Taken:
    """The rows of a table that a mask holds."""

    def __init__(self, table: columns.Table, mask: pa.ChunkedArray) -> None:
        self._table, self._mask = table, mask
        self.num_rows: int = pc.sum(mask).as_py() or 0
        self.schema = table.schema

    def column(self, name: str) -> pa.ChunkedArray:
        """Their values in one column."""
        return self._table.column(name).filter(self._mask)


class _TakenParts(_Taken):
    """The same of a table that gives columns a part at a time."""

    _table: _Parts

    def stream(self, name: str) -> Iterator[pa.Array]:
        """Their values in one column of text, some rows at a time."""
        start = 0
        for part in self._table.stream(name):
            yield part.filter(self._mask.slice(start, len(part)).combine_chunks())
            start += len(part)


class _Parts(columns.Table, Streamed, Protocol):
    """A table that gives columns a part at a time, too."""


def _mask(table: columns.Table, asked: DriftSlice, field: str, side: str) -> pa.ChunkedArray:
    """Say of each row whether it is of a slice.

    Raises:
        EvaluationError: TypeUnsupported, where no such column has one of its values.
    """
    of = table.schema.field(asked.column).type
    kind = columns.kind(of)
    if kind == columns.MISSING:
        return pa.chunked_array([pa.repeat(pa.scalar(False), table.num_rows)])
    if kind == columns.CATEGORY:
        return _of_texts(table.column(asked.column), asked.values)
    if kind != columns.NUMBER:
        raise EvaluationError(
            "TypeUnsupported",
            f"{field}.column: {asked.column!r} is {written(of)} in the {side}; rows are cut by numbers, booleans and "
            "text",
        )
    wanted = []
    for place, value in enumerate(asked.values):
        number = _parse(value, columns.value_type(of))
        if number is None:
            raise EvaluationError(
                "TypeUnsupported",
                f"{field}.values[{place}]: {value!r} is not allowed: {asked.column!r} is {written(of)} in the {side}",
            )
        wanted.append(number)
    return _of_numbers(columns.decoded(table.column(asked.column)), wanted)


def _of_texts(column: pa.ChunkedArray, values: Sequence[str]) -> pa.ChunkedArray:
    wanted = pa.array(values, columns.CATEGORIES.value_type)
    found = []
    for chunk in map(columns.encode, column.chunks):
        known = pc.is_in(chunk.dictionary, value_set=wanted)
        found.append(pc.fill_null(known.take(chunk.indices), False))
    return pa.chunked_array(found, pa.bool_())


def _of_numbers(column: pa.ChunkedArray, values: Sequence[Number]) -> pa.ChunkedArray:
    if pa.types.is_float16(column.type):
        column = column.cast(pa.float32())
    found = pa.chunked_array([pa.repeat(pa.scalar(False), len(column))])
    for value in values:
        try:
            same = pc.equal(column, pa.scalar(value, column.type))
        except (pa.ArrowInvalid, OverflowError):
            continue  # beyond what the type holds, so that no row has it
        found = pc.or_(found, pc.fill_null(same, False))
    return found


def _parse(text: str, of: pa.DataType) -> Number | None:
    """The number that a value stands for in a column of this type; None: it cannot be one."""
    if pa.types.is_boolean(of):
        return _TRUTHS.get(text.lower())
    if _NUMBER.fullmatch(text) is None:
        return None
    value = Decimal(text)
    if abs(value.adjusted()) > _MOST_DIGITS:
        return None
    if pa.types.is_integer(of):
        return int(value) if value == value.to_integral_value() else None
    return value if pa.types.is_decimal(of) else float(value)
