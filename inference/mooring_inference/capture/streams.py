"""What the writer knows of the things that it writes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol

import pyarrow as pa

from mooring_inference.capture.buffer import Entry


class Stream(Protocol):
    """Rows of one schema that go into one folder.

    Attributes:
        archive: such as ``deployment=iris``; what retention looks through.
        folder: such as ``deployment=iris/revision=v2``; hours are folders below it.
        schema: of its files.
        repetitive: paths of columns that hold few different values.
    """

    archive: str
    folder: str
    schema: pa.Schema
    repetitive: list[str]

    def columns(self, entries: Sequence[Entry], rows: Sequence[int]) -> pa.RecordBatch | None:
        """The rows of what was recorded, None for none; what does not fit the schema is left out, and counted."""
        ...

    def count(self, rows: int) -> None:
        """So many rows are in a complete file."""
        ...


def partition(key: str, value: str) -> str:
    """``key=value``, with an underscore for what has a meaning in paths, URLs or names of partitions."""
    return f"{key}={re.sub(r'[^A-Za-z0-9._-]', '_', value)}"


def folder_of_hour(hour: int) -> str:
    """``date=2026-11-24/hour=13`` of hours since 1970, in UTC."""
    return datetime.fromtimestamp(hour * 3600, UTC).strftime("date=%Y-%m-%d/hour=%H")
