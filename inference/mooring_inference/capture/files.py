"""Parquet files that are not complete yet, and become so in one step."""

from __future__ import annotations

import contextlib
import fcntl
import os
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mooring_inference.capture.paths import UNFINISHED, file_name, find_ours
from mooring_inference.capture.rows import Stream


class Part:
    """One file: row groups go to an unfinished one, which is locked as long as this process lives."""

    def __init__(self, root: Path, folder: str, schema: pa.Schema, repetitive: Sequence[str]) -> None:
        """Raises OSError."""
        name = file_name(datetime.now(UTC), os.getpid(), uuid.uuid4().hex)
        self.path = root / folder / name
        self._unfinished = root / UNFINISHED / name
        self._unfinished.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._unfinished.open("xb")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._writer = pq.ParquetWriter(
                self._file,
                schema,
                compression="zstd",
                use_dictionary=list(repetitive),
                write_page_checksum=True,
            )
        except BaseException:
            self._remove()
            raise

    def write_group(self, batches: Sequence[pa.RecordBatch]) -> None:
        """Write rows as one row group; raises OSError."""
        table = pa.Table.from_batches(batches)
        self._writer.write_table(table, row_group_size=table.num_rows)

    def publish(self) -> int:
        """Make the file visible once all of it is on the disk; its bytes. Raises OSError."""
        self._writer.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        size = self._file.tell()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._unfinished.rename(self.path)
        self._file.close()
        _sync_folder(self.path.parent)
        return size

    def discard(self) -> None:
        """Remove what there is of it, after an error."""
        with contextlib.suppress(OSError, pa.ArrowException):
            self._writer.close()
        self._remove()

    def _remove(self) -> None:
        with contextlib.suppress(OSError):  # bytes that were still in its buffer have no room either
            self._file.close()
        with contextlib.suppress(OSError):
            self._unfinished.unlink(missing_ok=True)


def remove_unfinished(root: Path) -> None:
    """Remove what processes have left that are no more."""
    for path in find_ours(root / UNFINISHED):
        with contextlib.suppress(OSError), path.open("rb") as file:  # complete by now, locked, or not ours
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()


def _sync_folder(folder: Path) -> None:
    # Without it the new name may be lost with the power.
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
