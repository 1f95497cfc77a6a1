"""CSV files as blocks of rows, every cell as the text that it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow_csv

from mooring_inference.score.blocks import BadRow, Block
from mooring_inference.score.errors import ScoreError

# Also the longest row that can be read.
_BLOCK_BYTES = 4 << 20

# The header is row 1 to Arrow.
_FIRST_ROW = 2


class CsvReader:
    """Reads from the start; rows with too few or too many cells are unreadable, the others go on.

    Rows are counted without blank lines. The first line names the columns.
    """

    typed = True
    total: int | None = None

    def __init__(self, open_again: Callable[[], pa.NativeFile], batch_size: int) -> None:
        self._open_again = open_again
        self._batch_size = batch_size
        self._stream: Any = None
        names = self._open({}, None, lambda _: "skip").schema.names
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ScoreError(f"the header names column {twice!r} twice")
        self.kinds: Mapping[str, str] = dict.fromkeys(names, "cell")

    def read(self, first: int, columns: list[str]) -> Iterator[Block]:
        """Yield blocks from row 0: a CSV file has no index to seek by."""
        waiting: list[BadRow] = []

        def note(row: Any) -> str:
            reason = f"{row.actual_columns} cells, expected {row.expected_columns}"
            waiting.append(BadRow(row.number - _FIRST_ROW, reason, row.text))
            return "skip"

        stream = self._open(dict.fromkeys(self.kinds, pa.binary()), list(self.kinds), note)
        row = 0
        for batch in stream:
            for start in range(0, batch.num_rows, self._batch_size):
                piece = batch.slice(start, self._batch_size)
                rows, unreadable = _number_rows(row, piece.num_rows, waiting)
                row = int(rows[-1]) + 1
                del waiting[: len(unreadable)]
                yield Block(rows, {name: piece.column(name) for name in self.kinds}, unreadable)
        if waiting:
            yield Block(
                np.empty(0, np.int64), {name: pa.array([], pa.binary()) for name in self.kinds}, waiting
            )

    def close(self) -> None:
        """Close the file."""
        if self._stream is not None:
            self._stream.close()

    def _open(self, types: Mapping[str, pa.DataType], columns: list[str] | None, note: Any) -> Any:
        self.close()
        self._stream = arrow_csv.open_csv(
            self._open_again(),
            # Without threads Arrow knows the numbers of the rows that it cannot read.
            read_options=arrow_csv.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES),
            parse_options=arrow_csv.ParseOptions(newlines_in_values=True, invalid_row_handler=note),
            convert_options=arrow_csv.ConvertOptions(column_types=types, include_columns=columns),
        )
        return self._stream


def _number_rows(row: int, count: int, waiting: list[BadRow]) -> tuple[np.ndarray[Any, Any], list[BadRow]]:
    """Return numbers for ``count`` readable rows from ``row`` on, which the unreadable ones between them lack."""
    unreadable: list[BadRow] = []
    stop = row + count
    for bad in waiting:
        if bad.row >= stop:
            break
        unreadable.append(bad)
        stop += 1
    numbers = np.arange(row, stop, dtype=np.int64)
    return np.setdiff1d(numbers, [bad.row for bad in unreadable], assume_unique=True), unreadable
