"""Test data: Parquet, as columns of numbers or one column of fixed-size lists, and a label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from mooring_artifacts.errors import InputError, first_line

from mooring_components.memory import limited_memory, usable_memory
from mooring_components.parquet import TooLarge, exceeds, find_parquet, open_parquet


@dataclass(frozen=True)
class TestData:
    """Rows to test a model with.

    features: (rows, features), float64.
    labels: (rows,): float64 for regression, int64 or str objects for classification.
    """

    __test__ = False  # not a test case, whatever pytest makes of the name

    features: npt.NDArray[np.float64]
    labels: npt.NDArray[np.generic]

    @property
    def is_regression(self) -> bool:
        """Whether the label is a float."""
        return bool(np.issubdtype(self.labels.dtype, np.floating))


def load_test_data(uri: str, label_column: str, memory: int | None = None) -> TestData:
    """Read the Parquet file at `uri`, or every `.parquet` file of that folder.

    It may take `memory` bytes, by default what there is.

    Every column but the label is a feature, in the file's order; a column of fixed-size lists
    counts as many features as its lists hold.

    Raises:
        InputError: not Parquet, no rows, no such label, nulls, columns that are not numbers, more than fits.
    """
    memory = usable_memory() if memory is None else memory
    found = find_parquet(uri, "test_data_uri")
    if found.size > memory:
        raise exceeds(found.source, f"{found.size >> 20} MiB", memory)
    contents = {file.path: found.fetch(file) for file in found.files}
    try:
        with limited_memory(memory - found.size):
            return _columns(_read_table(contents, found.source), label_column, uri)
    except MemoryError as error:
        raise TooLarge(
            f"{found.source} takes more than {memory >> 20} MiB of memory once it is decoded"
        ) from error


def _columns(table: pa.Table, label_column: str, uri: str) -> TestData:
    if label_column not in table.column_names:
        raise InputError(
            f"label_column {label_column!r} is not in {uri!r}; its columns are {_some(table.column_names)}"
        )
    if table.num_rows == 0:
        raise InputError(f"test_data_uri {uri!r} holds no rows")
    names = [name for name in table.column_names if name != label_column]
    if not names:
        raise InputError(f"test_data_uri {uri!r} holds no column but the label {label_column!r}")
    for name in table.column_names:
        nulls = table[name].null_count
        if nulls:
            raise InputError(f"test_data_uri {uri!r}: column {name!r} holds {nulls} nulls; none are allowed")
    blocks = [_features(table[name].combine_chunks(), name, uri) for name in names]
    return TestData(np.concatenate(blocks, axis=1), _labels(table[label_column], label_column, uri))


def _read_table(contents: Mapping[str, bytearray], source: str) -> pa.Table:
    tables = []
    for path, content in contents.items():
        try:
            file = open_parquet(content, f"{source}: {path!r}")
            tables.append(file.read(use_threads=False).replace_schema_metadata(None))
        except MemoryError:
            raise
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{source}: {path!r} cannot be read: {first_line(error)}") from error
    try:
        return pa.concat_tables(tables)
    except pa.ArrowException as error:
        raise InputError(f"{source}: its files have different columns: {first_line(error)}") from error


def _features(column: pa.Array, name: str, uri: str) -> npt.NDArray[np.float64]:
    """(rows, 1) of a numeric column, (rows, list size) of a column of fixed-size lists."""
    width = 1
    kind = column.type
    if pa.types.is_fixed_size_list(kind):
        width = kind.list_size
        column = column.flatten()
        kind = kind.value_type
        if column.null_count:
            raise InputError(
                f"test_data_uri {uri!r}: the lists of column {name!r} hold nulls; none are allowed"
            )
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        raise InputError(
            f"test_data_uri {uri!r}: feature column {name!r} is of type {kind}; "
            "numbers, booleans and fixed-size lists of them are allowed"
        )
    return _to_numpy(column, pa.float64()).astype(np.float64).reshape(-1, width)


def _labels(column: pa.ChunkedArray, name: str, uri: str) -> npt.NDArray[np.generic]:
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    values = column.combine_chunks()
    if pa.types.is_floating(kind):
        floats = _to_numpy(values, pa.float64()).astype(np.float64)
        if not np.isfinite(floats).all():
            raise InputError(f"test_data_uri {uri!r}: label {name!r} holds values that are not finite")
        return floats
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return _to_numpy(values, pa.int64()).astype(np.int64)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return np.array(values.to_pylist(), dtype=object)
    raise InputError(
        f"test_data_uri {uri!r}: label {name!r} is of type {kind}; integers, booleans, strings and floats are allowed"
    )


def _to_numpy(column: pa.Array, kind: pa.DataType) -> npt.NDArray[np.generic]:
    # Arrow's own to_numpy imports pandas where that is installed, which takes a second.
    return np.from_dlpack(column.cast(kind, safe=False))


def _some(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:8])
    return shown if len(names) <= 8 else f"{shown} and {len(names) - 8} more"
