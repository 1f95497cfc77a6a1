"""Parquet files as blocks of rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import accumulate

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mooring_inference.score.blocks import Block

_STREAM_BYTES = 1 << 20
# Decoding has costs for each block and column: fewer, larger blocks take half of the time for wide rows.
_BLOCK_BYTES = 8 << 20
_MOST_BATCHES = 16
_WIDTHS = {"INT32": 4, "FLOAT": 4, "INT64": 8, "DOUBLE": 8, "INT96": 12}


class ParquetReader:
    """Reads row group by row group, and of each only the columns that are needed."""

    typed = True

    def __init__(self, source: pa.NativeFile, batch_size: int, *, seekable_cheaply: bool) -> None:
        # A local row group is streamed; a remote one is fetched in a few large reads.
        options = {"buffer_size": _STREAM_BYTES} if seekable_cheaply else {}
        self._file = pq.ParquetFile(source, pre_buffer=not seekable_cheaply, **options)
        self._batch_size = batch_size
        groups = range(self._file.metadata.num_row_groups)
        sizes = [self._file.metadata.row_group(group).num_rows for group in groups]
        self._starts = [0, *accumulate(sizes)]
        self.total: int | None = self._starts[-1]
        self.kinds: Mapping[str, str] = {field.name: kind_of(field.type) for field in self._file.schema_arrow}

    def read(self, first: int, columns: list[str]) -> Iterator[Block]:
        """Yield blocks from the row group that holds row ``first``."""
        for group, (start, stop) in enumerate(zip(self._starts, self._starts[1:], strict=False)):
            if stop <= first:
                continue
            row, size = start, self._block_rows(group, columns)
            for batch in self._file.iter_batches(size, row_groups=[group], columns=columns):
                rows = np.arange(row, row + batch.num_rows, dtype=np.int64)
                row += batch.num_rows
                yield Block(rows, {name: batch.column(name) for name in columns})

    def _block_rows(self, group: int, columns: list[str]) -> int:
        """Return the rows of a block: whole batches, of some megabytes together where that takes several."""
        found = self._file.metadata.row_group(group)
        wanted = set(columns)
        chunks = (found.column(index) for index in range(found.num_columns))
        size = sum(
            _decoded_bytes(chunk)
            for chunk in chunks
            if chunk.path_in_schema.partition(".")[0] in wanted or chunk.path_in_schema in wanted
        )
        rows: int = found.num_rows
        batches = _BLOCK_BYTES * rows // max(1, size * self._batch_size)
        return self._batch_size * max(1, min(batches, _MOST_BATCHES))

    def close(self) -> None:
        """Close the file."""
        self._file.close(force=True)


def _decoded_bytes(chunk: pq.ColumnChunkMetaData) -> int:
    """Return the bytes of a column's values in memory; a dictionary in the file says little of them."""
    stored: int = chunk.total_uncompressed_size
    return max(stored, _WIDTHS.get(chunk.physical_type, 1) * int(chunk.num_values))


def kind_of(arrow: pa.DataType) -> str:
    """Return what a column of this type can feed, as ``Reader.kinds`` has it."""
    types = pa.types
    if types.is_null(arrow):
        return "null"
    if types.is_dictionary(arrow):
        return kind_of(arrow.value_type)
    if types.is_boolean(arrow):
        return "boolean"
    if types.is_integer(arrow) or types.is_floating(arrow) or types.is_decimal(arrow):
        return "number"
    # Some writers have no other type for text.
    texts = (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary)
    if any(is_text(arrow) for is_text in texts):
        return "text"
    if types.is_list(arrow) or types.is_large_list(arrow) or types.is_fixed_size_list(arrow):
        return "list"
    return "other"
