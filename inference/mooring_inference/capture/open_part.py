"""A file that takes rows: those of the next row group in memory, the others on the disk."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from mooring_inference.capture.parts import Part
from mooring_inference.capture.streams import Stream


class OpenPart:
    """The rows of one stream and one hour since the last file.

    Attributes:
        stream: what they belong to.
        due: when the file shall be complete, on the writer's clock.
        rows: how many there are.
        waiting_rows, waiting_bytes: those of the next row group.
    """

    def __init__(self, stream: Stream, root: Path, folder: str, due: float) -> None:
        self.stream = stream
        self.due = due
        self.rows = 0
        self._root = root
        self._folder = folder
        self._part: Part | None = None
        self._waiting: list[pa.RecordBatch] = []
        self.waiting_rows = self.waiting_bytes = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Add rows to the next row group."""
        if batch.num_rows:
            self._waiting.append(batch)
            self.waiting_rows += batch.num_rows
            self.waiting_bytes += batch.nbytes
            self.rows += batch.num_rows

    def write_group(self) -> None:
        """Write the row group; raises OSError."""
        if self._part is None:
            self._part = Part(self._root, self._folder, self.stream.schema, self.stream.repetitive)
        self._part.write_group(self._waiting)
        self._waiting.clear()
        self.waiting_rows = self.waiting_bytes = 0

    def publish(self) -> tuple[Path, int]:
        """Complete the file, of one row at least; its path and size. Raises OSError."""
        if self._waiting:
            self.write_group()
        assert self._part is not None
        return self._part.path, self._part.publish()

    def discard(self) -> None:
        """Give up the rows and the file."""
        self._waiting.clear()
        if self._part is not None:
            self._part.discard()
