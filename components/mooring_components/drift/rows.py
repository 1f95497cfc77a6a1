"""Rows in Parquet files, read column by column: a table of many columns need not fit into memory."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq
from mooring_artifacts.errors import InputError, first_line
from mooring_artifacts.storage import Location, StoredFile, list_files, locate, stream

from mooring_components.drift.evaluation import EvaluationError

LARGEST_BYTES = 4 << 30
# A column of numbers, sorted, concatenated with the other side's and searched in it.
_BYTES_PER_ROW = 80


@dataclass(frozen=True)
class ParquetRows:
    """The rows of some files; a column that a file lacks is missing there.

    `source` is what messages call the rows, `reason` what makes a failure to read them, `memory` the bytes that
    they and one column of them take.
    """

    source: str
    reason: str
    files: tuple[pq.ParquetFile, ...]
    schema: pa.Schema
    num_rows: int
    digest: str
    memory: int

    def column(self, name: str) -> pa.ChunkedArray:
        """The values of one column, in the order of the files.

        Raises:
            EvaluationError: the file is damaged.
        """
        kind = self.schema.field(name).type
        try:
            chunks = [chunk for file in self.files for chunk in _column(file, name, kind)]
        except MemoryError:
            raise
        except (pa.ArrowException, OSError) as error:
            raise EvaluationError(
                self.reason, f"{self.source}: {name!r} cannot be read: {first_line(error)}"
            ) from error
        return pa.chunked_array(chunks, type=kind)


def open_rows(uri: str, reason: str, field: str, memory: int = LARGEST_BYTES) -> ParquetRows:
    """Open a Parquet file, or every .parquet file of a folder; `field` is what messages call `uri`.

    The compressed files are held in memory, the columns are not. The digest is of the content.

    Raises:
        EvaluationError: `reason`, where that cannot be read; TooLarge, where it takes more than `memory` bytes.
    """
    try:
        location = locate(uri, field)
        stored = list_files(location, field)
        if len(stored) > 1 or stored[0].path != location.address.name:
            stored = [file for file in stored if file.path.endswith(".parquet")]
        if not stored:
            raise EvaluationError(reason, f"{field} {uri!r} holds no .parquet file")
        source = f"{field} {uri!r}"
        size = sum(file.size for file in stored)
        _ensure_fits(size, memory, source)
        rows = _open(location, stored, reason, source)
    except InputError as error:
        raise EvaluationError(reason, str(error)) from error
    _ensure_fits(rows.memory, memory, source)
    return rows


def _ensure_fits(needed: int, memory: int, source: str) -> None:
    if needed > memory:
        raise EvaluationError(
            "TooLarge",
            f"{source} takes {needed >> 20} MiB of memory and the operator has {memory >> 20} MiB left: give it fewer "
            "rows or columns, or the operator a higher memory limit",
        )


def _open(location: Location, stored: list[StoredFile], reason: str, source: str) -> ParquetRows:
    identity, files = hashlib.sha256(), []
    for file in stored:
        content = bytearray()  # grows in place, where joined chunks would be there twice
        for chunk in stream(location, file):
            content += chunk
        identity.update(hashlib.sha256(content).digest())
        files.append(_parquet(content, f"{source}: {file.path!r}", reason))
    try:
        schema = pa.unify_schemas([file.schema_arrow for file in files], promote_options="permissive")
    except pa.ArrowException as error:
        raise EvaluationError(reason, f"{source}: the files differ: {first_line(error)}") from error
    rows = sum(file.metadata.num_rows for file in files)
    memory = sum(file.size for file in stored) + rows * _BYTES_PER_ROW
    return ParquetRows(source, reason, tuple(files), schema, rows, f"sha256:{identity.hexdigest()}", memory)


def _parquet(content: bytearray, source: str, reason: str) -> pq.ParquetFile:
    try:
        file = pq.ParquetFile(pa.BufferReader(pa.py_buffer(content)))
        names = file.schema_arrow.names
    except MemoryError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise EvaluationError(reason, f"{source} is no Parquet: {first_line(error)}") from error
    if len(set(names)) < len(names):
        raise EvaluationError(reason, f"{source} has two columns of one name")
    return file


def _column(file: pq.ParquetFile, name: str, kind: pa.DataType) -> list[pa.Array]:
    if name not in file.schema_arrow.names:
        return [pa.nulls(file.metadata.num_rows, kind)]
    read = file.read(columns=[name], use_threads=False).column(name)
    # Where one file counts in integers and another in floats, both count in floats.
    chunks: list[pa.Array] = read.cast(kind, safe=False).chunks
    return chunks
