"""Labels that came later, read file by file: of a data set that grows only what belongs to the window is held."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from mooring_artifacts.drift_question import Labels
from mooring_artifacts.errors import InputError, first_line

from mooring_components.datasets import name_some
from mooring_components.drift import columns
from mooring_components.drift.captured import find_hours
from mooring_components.formats import SUFFIXES, kind_of_file
from mooring_components.parquet import FoundFiles, exceeds, find_files, open_parquet
from mooring_components.tables import read_table, typed_by_values

FIELD = "spec.performance.labels.uri"

Places = npt.NDArray[np.int64]

_KEPT = ("id", "text", "row")
_TIME = "time"
_BATCH_ROWS = 1 << 18


@dataclass(frozen=True)
class FoundLabels:
    """Labels of requests.

    places: (n,), which request each is of, in the order in which they were read.
    values: (n,), of one type.
    unknown: labels of other requests.
    empty: those without an id or a value.
    """

    places: Places
    values: pa.ChunkedArray
    unknown: int = 0
    empty: int = 0


def key_of(ids: pa.ChunkedArray, rows: pa.ChunkedArray | None) -> pa.ChunkedArray:
    """Name rows of requests by their id and number, (n,); without numbers each is the first of its request."""
    text = ids.cast(pa.string())
    if rows is None:
        return pc.binary_join_element_wise(text, "0", "/")
    return pc.binary_join_element_wise(text, rows.cast(pa.string()), "/")


def read_labels(asked: Labels, requests: pa.Array, memory: int) -> FoundLabels:
    """Read the labels of these requests.

    Args:
        asked: where labels are.
        requests: (n,), their names by `key_of`, each once.
        memory: bytes that one file may have.

    Raises:
        InputError: a file cannot be read, or lacks a column.
        TooLarge: a file has more bytes than that.
    """
    found = _find(asked)
    places, values, unknown, empty = [], [], 0, 0
    for keys, labels in _tables(found, asked, memory):
        known = pc.and_(pc.is_valid(keys), pc.is_valid(labels))
        empty += len(keys) - (pc.sum(known).as_py() or 0)
        keys, labels = keys.filter(known), labels.filter(known)
        at = pc.index_in(keys, value_set=requests)
        there = pc.is_valid(at)
        unknown += at.null_count
        places.append(np.asarray(at.filter(there).combine_chunks().cast(pa.int64())))
        values.append(labels.filter(there))
    joined = np.concatenate(places) if places else np.zeros(0, np.int64)
    return FoundLabels(joined, _one_type(values, is_text=asked.kept is not None), unknown, empty)


def _find(asked: Labels) -> FoundFiles:
    if asked.kept is not None:
        return find_hours(asked.kept, FIELD, ".parquet")
    return find_files(asked.uri, FIELD, set(SUFFIXES.values()))


def _tables(
    found: FoundFiles, asked: Labels, memory: int
) -> Iterator[tuple[pa.ChunkedArray, pa.ChunkedArray]]:
    """Yield names of requests and labels of them, a piece of a file at a time."""
    kept = asked.kept is not None
    id_name, label_name, row_name = _KEPT if kept else (asked.id_column, asked.label_column, asked.row_column)
    wanted = list(dict.fromkeys([id_name, label_name, *([row_name] if row_name else [])]))
    wanted += [_TIME] if kept else []
    for file in found.files:
        if file.size > memory:
            raise exceeds(found.source, f"{file.size >> 20} MiB", memory)
        place = f"{found.source}: {file.path!r}"
        for piece in _pieces(found.fetch(file), file.path, place, wanted):
            table = piece.filter(_within(piece[_TIME], asked)) if kept else piece
            ids = columns.decoded(table[id_name])
            if not (pa.types.is_integer(ids.type) or pa.types.is_string(ids.type) or _is_long(ids.type)):
                raise InputError(
                    f"{place}: column {id_name!r} is of type {ids.type}; ids are strings or integers"
                )
            rows = table[row_name] if row_name else None
            if rows is not None and not pa.types.is_integer(rows.type):
                raise InputError(f"{place}: column {row_name!r} is of type {rows.type}; rows are integers")
            yield key_of(ids, rows), columns.decoded(table[label_name])


def _within(times: pa.ChunkedArray, asked: Labels) -> pa.ChunkedArray:
    since, until = (pa.scalar(moment, times.type) for moment in (asked.since, asked.until))
    return pc.and_(pc.greater_equal(times, since), pc.less(times, until))


def _is_long(kind: pa.DataType) -> bool:
    return bool(pa.types.is_large_string(kind) or pa.types.is_null(kind))


def _pieces(content: bytearray, path: str, place: str, wanted: list[str]) -> Iterator[pa.Table]:
    """Read the columns that are wanted: Parquet by batches, of other formats the file."""
    if kind_of_file(path) not in (None, "parquet"):
        table = read_table({path: content}, place)
        _check_columns(table.column_names, place, wanted)
        yield table.select(wanted)
        return
    file = open_parquet(content, place)
    _check_columns(file.schema_arrow.names, place, wanted)
    try:
        for batch in file.iter_batches(_BATCH_ROWS, columns=wanted, use_threads=False):
            yield pa.table(batch).select(wanted)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{place} cannot be read: {first_line(error)}") from error


def _check_columns(names: list[str], place: str, wanted: list[str]) -> None:
    if missing := [name for name in wanted if name not in names]:
        raise InputError(f"{place} has no column {missing[0]!r}; its columns are {name_some(names)}")


def _one_type(pieces: list[pa.ChunkedArray], *, is_text: bool) -> pa.ChunkedArray:
    """Put labels of several files together: numbers where all are, else text."""
    pieces = [piece for piece in pieces if len(piece)]
    if not pieces:
        return pa.chunked_array([], pa.string())
    kinds = {piece.type for piece in pieces}
    if len(kinds) > 1:
        numbers = all(
            pa.types.is_integer(k) or pa.types.is_floating(k) or pa.types.is_boolean(k) for k in kinds
        )
        wide = any(pa.types.is_floating(kind) for kind in kinds)
        kind = (pa.float64() if wide else pa.int64()) if numbers else pa.string()
        pieces = [piece.cast(kind) for piece in pieces]
    joined = pa.chunked_array([chunk for piece in pieces for chunk in piece.chunks], pieces[0].type)
    # What a runtime was sent is kept as it was written.
    return typed_by_values(joined) if is_text else joined
