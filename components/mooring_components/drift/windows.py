"""Cuts files of past traffic into windows: each file one, or all their rows by number or by time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mooring_components.drift import columns
from mooring_components.drift.errors import EvaluationError, UnreadableWindow
from mooring_components.drift.files import READERS, read_file

OPTION = "--window"
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Window:
    """Rows that are judged together; `name` is what a person calls them."""

    name: str
    table: pa.Table

    @property
    def rows(self) -> int:
        """How many there are."""
        return int(self.table.num_rows)

    @property
    def digest(self) -> str:
        """What the rows are, by their content."""
        # Copied: what a part of a larger table looks like in memory depends on where it begins.
        rows = self.table.take(pa.array(np.arange(self.table.num_rows))).combine_chunks()
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, rows.schema) as writer:
            writer.write_table(rows)
        return f"sha256:{hashlib.sha256(sink.getvalue()).hexdigest()}"


def find_files(paths: Sequence[Path]) -> list[Path]:
    """The files named, and those of rows in the folders named, by name.

    Raises:
        EvaluationError: WindowUnreadable, where one does not exist or a folder holds none.
    """
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise _refuse(f"{OPTION} {str(path)!r}: there is no such file")
        inside = [path]
        if path.is_dir():
            inside = sorted(child for child in path.iterdir() if child.suffix.lower() in READERS)
            if not inside:
                raise _refuse(
                    f"{OPTION} {str(path)!r}: no file in this folder ends with {', '.join(READERS)}"
                )
        found += inside
    return found


def one_each(files: Sequence[Path]) -> Iterator[Window | UnreadableWindow]:
    """Take each file for a window."""
    for file in files:
        try:
            yield Window(file.name, read_file(file, OPTION))
        except EvaluationError as error:
            yield UnreadableWindow(file.name, error)


def cut_by_rows(files: Sequence[Path], rows: int) -> Iterator[Window]:
    """Cut the rows of all files, one after the other, into windows of so many; a rest at the end is one, too.

    Raises:
        EvaluationError: WindowUnreadable.
    """
    table = _joined(files)
    for first in range(0, table.num_rows, rows):
        part = table.slice(first, rows)
        yield Window(f"rows {first + 1} to {first + part.num_rows}", part)


def cut_by_time(files: Sequence[Path], column: str, every: timedelta) -> Iterator[Window]:
    """Cut the rows of all files into windows of a length of time, which begin at whole multiples of it since 1970.

    Args:
        files: in any order.
        column: when each row came: timestamps, dates, or text in ISO 8601; UTC where they name no zone. It tells
            times and is compared with nothing.
        every: the length; more than zero.

    Raises:
        EvaluationError: WindowUnreadable, where a row has no time.
    """
    table = _joined(files)
    if column not in table.schema.names:
        raise _refuse(
            f"--by {column!r}: {OPTION} has no such column, but {', '.join(table.schema.names[:20])}"
        )
    times = _microseconds(table.column(column), column)
    table = table.drop_columns([column])
    number = pc.floor(pc.divide(pc.cast(times, pa.float64(), safe=False), every / _MICROSECOND))
    order = pc.array_sort_indices(times)
    table, number = table.take(order), number.take(order)
    runs = pc.run_end_encode(number)
    first = 0
    for value, end in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
        try:
            begins = datetime.fromtimestamp(0, UTC) + value * every
        except OverflowError as error:
            raise _refuse(f"--by {column!r}: a row has a time outside of the years 1 to 9999") from error
        yield Window(begins.strftime("%Y-%m-%d %H:%M:%S"), table.slice(first, end - first))
        first = end


def _joined(files: Sequence[Path]) -> pa.Table:
    tables = [read_file(file, OPTION) for file in files]
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException as error:
        raise _refuse(f"{OPTION}: the files' columns do not fit together: {error}") from error


def _microseconds(values: pa.ChunkedArray, column: str) -> pa.Array:
    if values.null_count:
        raise _refuse(f"--by {column!r}: {values.null_count} of {len(values)} rows have no time")
    kind = values.type
    if columns.kind(kind) == columns.NUMBER:
        # Nothing says what they count, and since when.
        raise _refuse(f"--by {column!r}: {kind} tells no time: use timestamps, dates, or ISO 8601")
    try:
        found = _timestamps(columns.decoded(values))
        found = found.cast(pa.timestamp("us", found.type.tz), safe=False).cast(pa.int64())
    except pa.ArrowException as error:
        raise _refuse(f"--by {column!r}: {kind} tells no time: use timestamps, dates, or ISO 8601") from error
    return found.combine_chunks()


def _timestamps(values: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_timestamp(values.type):
        return values
    try:
        return values.cast(pa.timestamp("us"))
    except pa.ArrowInvalid:  # text that names a zone
        return values.cast(pa.timestamp("us", "UTC"))


def _refuse(message: str) -> EvaluationError:
    return EvaluationError("WindowUnreadable", message)
