"""Answers in the files of a revision's capture, for one output of its model.

A file is fetched, read and let go before the next one. Source of the layout: `mooring_inference.capture`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from mooring_artifacts.drift_question import Rows
from mooring_artifacts.errors import InputError, first_line

from mooring_components.agreement.joining import Kept, Value
from mooring_components.drift.captured import find_hours
from mooring_components.memory import limited_memory, usable_memory
from mooring_components.parquet import TooLarge, open_parquet

_PREDICTION = "prediction."
_LONGEST_FILE = timedelta(minutes=15)
"""A file that was begun so long before a time has no request of it."""
_LARGEST_FILE = 256 << 20
_MOST_ROWS = 1 << 31
_STAMP = re.compile(r"(\d{8}T\d{6}Z)-[^/]*$")
_MICROSECONDS = pa.timestamp("us", "UTC")


@dataclass(frozen=True)
class Wanted:
    """Which answers: of requests answered from `since` to before `until`, and up to `around` before and after that.

    output: of the model; empty: its first one.
    has_tolerance: whether numbers are compared, and not which class has the largest score.
    """

    since: datetime
    until: datetime
    output: str = ""
    has_tolerance: bool = False
    around: timedelta = timedelta()


def read_answers(uri: str, wanted: Wanted, field: str) -> Iterator[list[Kept]]:
    """Yield the rows of one file after the other in the folder of a revision; `field` is what messages call it.

    Raises:
        InputError: they cannot be read, or cannot be compared so.
    """
    since = wanted.since - wanted.around
    found = find_hours(Rows(uri=uri, since=since, until=wanted.until + wanted.around), field, ".parquet")
    for file in found.files:
        begun = _begun(file.path)
        if begun is not None and begun < since - _LONGEST_FILE:
            continue
        if file.size > _LARGEST_FILE:
            raise TooLarge(f"{found.source}: {file.path} is larger than {_LARGEST_FILE >> 20} MiB")
        yield _read(found.fetch(file), wanted, f"{found.source}: {file.path}")


def _read(content: bytearray, wanted: Wanted, source: str) -> list[Kept]:
    try:
        with limited_memory(usable_memory()):
            return _rows(open_parquet(content, source), wanted, source)
    except MemoryError as error:
        raise TooLarge(f"{source} takes more memory, decoded, than there is") from error


def _begun(path: str) -> datetime | None:
    stamp = _STAMP.search(path)
    if stamp is None:
        return None
    try:
        return datetime.strptime(stamp[1], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def _rows(file: pq.ParquetFile, wanted: Wanted, source: str) -> list[Kept]:
    names = _columns(file.schema_arrow.names, wanted.output, source)
    try:
        told = ["request.id", "request.row", "request.time"]
        table = file.read(columns=[*told, *names], use_threads=False).combine_chunks()
        request = table.column("request").combine_chunks()
        times = request.field("time").cast(_MICROSECONDS, safe=False)
        ids, numbers = request.field("id").cast(pa.string()), request.field("row").cast(pa.int64())
    except (pa.ArrowException, KeyError, OSError, ValueError) as error:
        raise InputError(f"{source} cannot be read: {first_line(error)}") from error
    there = pc.and_(pc.is_valid(ids), pc.is_valid(numbers))
    read = pc.and_(there, _between(times, wanted.since - wanted.around, wanted.until + wanted.around))
    within = _between(times, wanted.since, wanted.until).filter(read).to_pylist()
    ids, numbers = ids.filter(read), numbers.filter(read)
    values = _values([table.column(name).filter(read) for name in names], names, wanted.has_tolerance, source)
    rows = zip(ids.to_pylist(), _counts(ids, numbers), numbers.to_pylist(), values, within, strict=True)
    return [Kept(*row) for row in rows]


def _between(times: pa.Array, since: datetime, until: datetime) -> pa.Array:
    first, end = (pa.scalar(moment, _MICROSECONDS) for moment in (since, until))
    return pc.fill_null(pc.and_(pc.greater_equal(times, first), pc.less(times, end)), fill_value=False)


def _counts(ids: pa.Array, numbers: pa.Array) -> list[int]:
    """Give for each row how many rows its request has: those of one request are in one file."""
    encoded = ids.dictionary_encode()
    codes = encoded.indices.to_numpy()
    most = np.zeros(len(encoded.dictionary), np.int64)
    np.maximum.at(most, codes, np.clip(numbers.to_numpy(), 0, _MOST_ROWS))
    counts: list[int] = (most[codes] + 1).tolist()
    return counts


def _columns(names: Sequence[str], output: str, source: str) -> list[str]:
    """Give the columns of an output: one, or one for each element of its rows."""
    all_of_them = [name.removeprefix(_PREDICTION) for name in names if name.startswith(_PREDICTION)]
    wanted = output or (all_of_them[0].partition("[")[0] if all_of_them else "")
    found = [name for name in all_of_them if name == wanted or name.startswith(f"{wanted}[")]
    if not found:
        known = ", ".join(dict.fromkeys(name.partition("[")[0] for name in all_of_them))
        raise InputError(
            f"{source} has no output {output!r:.80}; it has {known[:200] or 'none: are they masked?'}"
        )
    return [_PREDICTION + name for name in found]


def _values(
    columns: Sequence[pa.ChunkedArray], names: Sequence[str], has_tolerance: bool, source: str
) -> list[Value]:
    kinds = [column.type for column in columns]
    if any(pa.types.is_list(kind) for kind in kinds):
        return _lists(columns[0], names[0], has_tolerance, source)
    floats = all(pa.types.is_floating(kind) for kind in kinds)
    numbers = all(pa.types.is_floating(kind) or pa.types.is_integer(kind) for kind in kinds)
    if has_tolerance and not numbers:
        raise InputError(f"{source}: {names[0]} is no number: leave tolerance out")
    if not has_tolerance and floats and len(columns) == 1:
        raise InputError(
            f"{source}: {names[0]} is a number: say what tolerance two answers may differ by, 0 for none"
        )
    missing = np.logical_or.reduce([column.is_null().to_numpy() for column in columns])
    if has_tolerance:
        table = np.column_stack([_numbers(column) for column in columns])
        return [None if gone else row.tobytes() for row, gone in zip(table, missing, strict=True)]
    if floats:
        # A revision may have more classes than the other: it is their names that are compared.
        largest = np.argmax(np.column_stack([_numbers(column) for column in columns]), axis=1)
        return [None if gone else names[at] for at, gone in zip(largest, missing, strict=True)]
    texts = zip(*(column.to_pylist() for column in columns), strict=True)
    return [
        None if gone else row[0] if len(row) == 1 else repr(row)
        for row, gone in zip(texts, missing, strict=True)
    ]


def _lists(column: pa.ChunkedArray, name: str, has_tolerance: bool, source: str) -> list[Value]:
    element = column.type.value_type
    numbers = pa.types.is_floating(element) or pa.types.is_integer(element)
    if has_tolerance != numbers:
        why = "leave tolerance out" if has_tolerance else "say what tolerance two answers may differ by"
        raise InputError(f"{source}: {name} has lists of {element}: {why}")
    rows = column.to_pylist()
    if not numbers:
        return [None if row is None else repr(row) for row in rows]
    return [
        None if row is None else np.asarray([np.nan if x is None else x for x in row], np.float64).tobytes()
        for row in rows
    ]


def _numbers(column: pa.ChunkedArray) -> Any:
    """Give the values as 64-bit floats, (n,)."""
    return pc.fill_null(column.cast(pa.float64(), safe=False), 0.0).to_numpy()
