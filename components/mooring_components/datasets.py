"""Test data: rows with a label column and columns that feed a model."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from mooring_artifacts.digests import ManifestEntry, check_digest, manifest_digest
from mooring_artifacts.errors import InputError

from mooring_components.formats import SUFFIXES
from mooring_components.memory import limited_memory, usable_memory
from mooring_components.parquet import TooLarge, exceeds, find_files
from mooring_components.tables import read_table


@dataclass(frozen=True)
class TestData:
    """Rows to test a model with.

    columns: all but the label, by name, in the file's order; each is as long as `labels`.
    labels: (rows,): float64, int64 or str objects.
    source: what messages call the data.
    digest: of the files that were read.
    """

    __test__ = False  # not a test case, whatever pytest makes of the name

    columns: Mapping[str, pa.Array]
    labels: npt.NDArray[np.generic]
    source: str
    digest: str = ""

    def __len__(self) -> int:
        return len(self.labels)


def load_test_data(
    uri: str, label_column: str, memory: int | None = None, *, expected_digest: str = ""
) -> TestData:
    """Read the file of rows at `uri`, or all of that folder or version: Parquet, Arrow, CSV and JSON lines.

    It may take `memory` bytes, by default what there is.

    Raises:
        InputError: no file of rows, no rows, no such label, labels that are null or nothing to compare, another
            digest, more than fits.
    """
    memory = usable_memory() if memory is None else memory
    found = find_files(uri, "test_data_uri", set(SUFFIXES.values()))
    if found.size > memory:
        raise exceeds(found.source, f"{found.size >> 20} MiB", memory)
    contents = {file.path: found.fetch(file) for file in found.files}
    digest = manifest_digest(
        ManifestEntry(path, len(content), hashlib.sha256(content).hexdigest())
        for path, content in contents.items()
    )
    if expected_digest:
        check_digest(digest, expected_digest, uri, "test_data_digest")
    try:
        with limited_memory(memory - found.size):
            return _columns(read_table(contents, found.source), label_column, found.source, digest)
    except MemoryError as error:
        raise TooLarge(
            f"{found.source} takes more than {memory >> 20} MiB of memory once it is decoded"
        ) from error


def _columns(table: pa.Table, label_column: str, source: str, digest: str) -> TestData:
    if label_column not in table.column_names:
        raise InputError(
            f"label_column {label_column!r} is not in {source}; its columns are {name_some(table.column_names)}"
        )
    if table.num_rows == 0:
        raise InputError(f"{source} holds no rows")
    if table.num_columns == 1:
        raise InputError(f"{source} holds no column but the label {label_column!r}")
    if nulls := table[label_column].null_count:
        raise InputError(f"{source}: label {label_column!r} holds {nulls} nulls; none are allowed")
    columns = {name: table[name].combine_chunks() for name in table.column_names if name != label_column}
    return TestData(columns, labels_of(table[label_column], label_column, source), source, digest)


def labels_of(column: pa.ChunkedArray, name: str, source: str) -> npt.NDArray[np.generic]:
    """The values of a label column without nulls: float64, int64 or str objects.

    Raises:
        InputError: they are of another type, or not finite.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    values = column.combine_chunks()
    if pa.types.is_floating(kind):
        floats = _to_numpy(values, pa.float64()).astype(np.float64)
        if not np.isfinite(floats).all():
            raise InputError(f"{source}: label {name!r} holds values that are not finite")
        return floats
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return _to_numpy(values, pa.int64()).astype(np.int64)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return np.array(values.to_pylist(), dtype=object)
    raise InputError(
        f"{source}: label {name!r} is of type {kind}; integers, booleans, strings and floats are allowed"
    )


def _to_numpy(column: pa.Array, kind: pa.DataType) -> npt.NDArray[np.generic]:
    # Arrow's own to_numpy imports pandas where that is installed, which takes a second.
    return np.from_dlpack(column.cast(kind, safe=False))


def name_some(names: Sequence[str]) -> str:
    """The first of some names, quoted, and how many more there are."""
    shown = ", ".join(repr(name) for name in names[:8])
    return shown if len(names) <= 8 else f"{shown} and {len(names) - 8} more"
