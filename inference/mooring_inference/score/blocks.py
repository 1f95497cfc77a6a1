"""Rows of a file in input order, in pieces that fit in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Column = Any
"""A ``pyarrow.Array``, or a list of JSON values: something with a length that slices."""

Rows = npt.NDArray[np.int64]


class Missing:
    """Stands where a JSON row lacks a column."""

    def __repr__(self) -> str:
        return "missing"


MISSING = Missing()


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that gets no output.

    Attributes:
        row: its number in the source file, from 0.
        reason: why.
        data: the row, ready for JSON; text where it could not be parsed.
    """

    row: int
    reason: str
    data: object


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive rows of one file.

    Attributes:
        rows: numbers of the rows that could be read, ascending, from 0 in each file.
        columns: their values by column name; every column is as long as ``rows``.
        unreadable: rows between them that could not be read.
        texts: the rows as they stood in the file, where the format has that.
    """

    rows: Rows
    columns: Mapping[str, Column]
    unreadable: list[BadRow] = field(default_factory=list)
    texts: list[bytes] | None = None

    def __len__(self) -> int:
        return len(self.rows) + len(self.unreadable)

    def between(self, first: int, stop: int) -> Block:
        """Return the rows from number ``first`` to before number ``stop``."""
        low, high = (int(edge) for edge in np.searchsorted(self.rows, (first, stop)))
        return Block(
            self.rows[low:high],
            {name: column[low:high] for name, column in self.columns.items()},
            [bad for bad in self.unreadable if first <= bad.row < stop],
            None if self.texts is None else self.texts[low:high],
        )

    def describe(self, index: int) -> object:
        """Return the row at a place in ``rows``, ready for JSON."""
        if self.texts is not None:
            return self.texts[index].decode("utf-8", "replace")
        return {name: _plain(column[index].as_py()) for name, column in self.columns.items()}

    def last_row(self) -> int:
        """Return the highest row number, readable or not; -1 where there is none."""
        last = int(self.rows[-1]) if len(self.rows) else -1
        return max(last, self.unreadable[-1].row) if self.unreadable else last


class Reader(Protocol):
    """One open file.

    Attributes:
        total: how many rows there are, where the format says so.
        kinds: what is known of each column before rows are read: ``number``, ``text``, ``list``, ``boolean``,
            ``cell`` (text that may be any of them), ``null`` (no value at all) or ``other``.
        typed: whether a column has one type in all rows, and one that ``kinds`` lacks is in no row; else
            ``kinds`` is what the first rows show.
    """

    total: int | None
    kinds: Mapping[str, str]
    typed: bool

    def read(self, first: int, columns: list[str]) -> Iterator[Block]:
        """Return blocks in order; the first one holds row ``first`` or, where formats cannot seek, row 0."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


class Cursor:
    """Takes ranges of rows, in ascending order, from a reader."""

    def __init__(self, reader: Reader, columns: list[str]) -> None:
        self._reader = reader
        self._columns = columns
        self._blocks: Iterator[Block] | None = None
        self._rest: Block | None = None
        self._next = 0

    def take(self, first: int, stop: int) -> Iterator[Block]:
        """Yield blocks with the rows from ``first`` to before ``stop``, or to the end of the file."""
        if self._blocks is None or (self._reader.total is not None and first != self._next):
            self._blocks, self._rest = self._reader.read(first, self._columns), None
        self._next = stop
        while (block := self._rest or next(self._blocks, None)) is not None:
            last = block.last_row()
            self._rest = block.between(stop, last + 1) if last >= stop else None
            wanted = block.between(first, stop)
            if len(wanted):
                yield wanted
            if self._rest is not None:
                return


def _plain(value: object) -> object:
    """Return a value that JSON has."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, list):
        return [_plain(element) for element in value]
    if isinstance(value, dict):
        return {str(key): _plain(element) for key, element in value.items()}
    return value
