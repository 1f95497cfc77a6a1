"""Rows in Parquet files, read column by column: a table of many columns need not fit into memory."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq
from mooring_artifacts.errors import InputError, StoreUnavailable, first_line

from mooring_components.drift import columns
from mooring_components.drift.errors import EvaluationError
from mooring_components.drift.fetching import fetch_each
from mooring_components.drift.precision import convert, unified
from mooring_components.memory import MOST_BYTES
from mooring_components.parquet import FoundFiles, TooLarge, exceeds, find_files, open_parquet

# A column of numbers, sorted, concatenated with the other side's and searched in it.
_BYTES_PER_ROW = 80
_BATCH_ROWS = 1 << 20
_STREAMED_ROWS, _STREAMED_BYTES = 1 << 16, 1 << 24


@dataclass(frozen=True)
class _File:
    """A file, twice: as it is, and with the categories as its pages have them, each value once."""

    plain: pq.ParquetFile
    encoded: pq.ParquetFile
    schema: pa.Schema
    names: frozenset[str]


@dataclass(frozen=True)
class ParquetRows:
    """The rows of some files; a column that a file lacks is missing there.

    `source` is what messages call the rows, `reason` what makes a failure to read them, `size` the bytes of the
    files, which are held in memory.
    """

    source: str
    reason: str
    files: tuple[_File, ...]
    schema: pa.Schema
    num_rows: int
    digest: str
    size: int

    def column(self, name: str) -> pa.ChunkedArray:
        """The values of one column, in the order of the files; categories as dictionaries.

        Raises:
            EvaluationError: the file is damaged, or TooLarge where it grows beyond the memory that there is.
        """
        read: Callable[[_File, str, pa.DataType], Iterator[pa.Array]]
        kind = columns.value_type(self.schema.field(name).type)
        if columns.kind(kind) == columns.CATEGORY:
            read, kind = _encoded, columns.CATEGORIES
        else:
            read = _plain
        with self._telling(name):
            chunks = [chunk for file in self.files for chunk in read(file, name, kind)]
        return pa.chunked_array(chunks, type=kind)

    def stream(self, name: str) -> Iterator[pa.Array]:
        """The values of one column of text, as `column` gives them, some rows at a time.

        Raises:
            EvaluationError: as those of `column`.
        """
        for file in self.files:
            parts = _encoded(file, name, columns.CATEGORIES, _streamed_rows(file.plain.metadata, name))
            while True:
                with self._telling(name):  # of reading alone, and not of what is done with it
                    part = next(parts, None)
                if part is None:
                    break
                yield part

    @contextmanager
    def _telling(self, name: str) -> Iterator[None]:
        try:
            yield
        except MemoryError as error:
            raise EvaluationError(
                "TooLarge", f"{self.source}: {name!r} takes more memory, decoded, than there is"
            ) from error
        except (pa.ArrowException, OSError) as error:
            raise EvaluationError(
                self.reason, f"{self.source}: {name!r} cannot be read: {first_line(error)}"
            ) from error


@dataclass(frozen=True)
class FetchedRows:
    """The files of some rows, as they are stored."""

    found: FoundFiles
    reason: str
    contents: tuple[bytearray, ...]

    def open(self, memory: int = MOST_BYTES) -> ParquetRows:
        """Read what the files say of themselves. The digest is of their content.

        Raises:
            EvaluationError: they cannot be read, or TooLarge where a column would take more than `memory` bytes.
        """
        source = self.found.source
        try:
            files = [
                self._open(content, f"{source}: {file.path!r}")
                for file, content in zip(self.found.files, self.contents, strict=True)
            ]
            schema = _unify([file.schema for file in files])
            rows = sum(file.plain.metadata.num_rows for file in files)
            if rows * _BYTES_PER_ROW > memory:
                raise exceeds(source, f"{rows * _BYTES_PER_ROW >> 20} MiB", memory)
        except MemoryError as error:
            raise EvaluationError(
                "TooLarge", f"{source}: its footers take more memory than there is"
            ) from error
        except TooLarge as error:
            raise EvaluationError("TooLarge", str(error)) from error
        except InputError as error:
            raise EvaluationError(self.reason, str(error)) from error
        identity = hashlib.sha256()
        for content in self.contents:
            identity.update(hashlib.sha256(content).digest())
        digest = f"sha256:{identity.hexdigest()}"
        return ParquetRows(source, self.reason, tuple(files), schema, rows, digest, self.found.size)

    @staticmethod
    def _open(content: bytearray, source: str) -> _File:
        plain = open_parquet(content, source)
        schema = declared_schema(plain.schema_arrow, plain.metadata.metadata or {})
        named = [field.name for field in schema if columns.kind(field.type) == columns.CATEGORY]
        encoded = open_parquet(content, source, named) if named else plain
        return _File(plain, encoded, schema, frozenset(schema.names))


def fetch_rows(uri: str, reason: str, field: str, memory: int = MOST_BYTES) -> FetchedRows:
    """Fetch a Parquet file, or every .parquet file of a folder; `field` is what messages call `uri`.

    Raises:
        EvaluationError: `reason`, where that cannot be read; TooLarge, where it has more than `memory` bytes.
    """
    try:
        found = find_files(uri, field)
    except (InputError, StoreUnavailable) as error:
        raise EvaluationError(reason, str(error)) from error
    return fetch(found, reason, memory)


def fetch(found: FoundFiles, reason: str, memory: int = MOST_BYTES) -> FetchedRows:
    """Fetch files that were found.

    Raises:
        EvaluationError: `reason`, where one cannot be read; TooLarge, where they have more than `memory` bytes.
    """
    try:
        if found.size > memory:
            raise exceeds(found.source, f"{found.size >> 20} MiB", memory)
        return FetchedRows(found, reason, tuple(fetch_each(found, found.files)))
    except TooLarge as error:
        raise EvaluationError("TooLarge", str(error)) from error
    except (InputError, StoreUnavailable) as error:
        raise EvaluationError(reason, str(error)) from error


def open_rows(uri: str, reason: str, field: str, memory: int = MOST_BYTES) -> ParquetRows:
    """Fetch and open.

    Raises:
        EvaluationError: `reason`, where that cannot be read; TooLarge, where it takes more than `memory` bytes.
    """
    return fetch_rows(uri, reason, field, memory).open(memory)


def _unify(schemas: list[pa.Schema]) -> pa.Schema:
    """All columns of some files, each at the coarsest of its types."""
    types: dict[str, list[pa.DataType]] = {}
    for schema in schemas:
        for field in schema:
            types.setdefault(field.name, []).append(field.type)
    return pa.schema([(name, unified(found)) for name, found in types.items()])


def declared_schema(schema: pa.Schema, metadata: dict[bytes, bytes]) -> pa.Schema:
    """The schema in which dictionaries of numbers, which Parquet itself knows none of, are dictionaries again."""
    try:
        written = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(metadata[b"ARROW:schema"])))
    except (KeyError, binascii.Error, pa.ArrowException, OSError):
        return schema
    codes = {field.name for field in written if pa.types.is_dictionary(field.type)}
    declare = columns.declare
    return pa.schema([(f.name, declare(f.type) if f.name in codes else f.type) for f in schema])


def _plain(file: _File, name: str, kind: pa.DataType) -> Iterator[pa.Array]:
    if name not in file.names:
        yield pa.nulls(file.plain.metadata.num_rows, kind)
        return
    for chunk in _read(file.plain, name):
        yield convert(chunk, kind)


def _encoded(
    file: _File, name: str, kind: pa.DataType, at_once: int = _BATCH_ROWS
) -> Iterator[pa.DictionaryArray]:
    if name not in file.names:
        yield pa.nulls(file.plain.metadata.num_rows, kind)
        return
    given = 0
    try:
        for chunk in _read(file.encoded, name, at_once):
            yield columns.encode(chunk)
            given += len(chunk)
    except MemoryError:
        raise
    except (pa.ArrowException, OSError):
        # Pages in an encoding without dictionaries. A damaged file fails here again.
        for chunk in _read(file.plain, name, at_once):
            known = min(given, len(chunk))
            given -= known
            yield columns.encode(chunk.slice(known))


def _streamed_rows(file: pq.FileMetaData, name: str) -> int:
    """How many rows of a column make the bytes that are read at once."""
    groups = [file.row_group(number) for number in range(file.num_row_groups)]
    parts = [group.column(place) for group in groups for place in range(group.num_columns)]
    size: int = sum(part.total_uncompressed_size for part in parts if part.path_in_schema == name)
    rows: int = _STREAMED_BYTES * file.num_rows // max(size, 1)
    return max(1, min(_STREAMED_ROWS, rows))


def _read(file: pq.ParquetFile, name: str, at_once: int = _BATCH_ROWS) -> Iterator[pa.Array]:
    # Not file.read(): it decodes lists that lie beside the column, too (pyarrow 25).
    for batch in file.iter_batches(at_once, columns=[name], use_threads=False):
        yield batch.column(name)
