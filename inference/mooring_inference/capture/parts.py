"""Parquet files that are there complete or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

# Below the folder that all files go to, so that files move out of it by renaming.
UNFINISHED = ".unfinished"


class Part:
    """One file: row groups go to an unfinished one, which is locked as long as this process lives."""

    def __init__(self, root: Path, folder: str, schema: pa.Schema, repetitive: Sequence[str]) -> None:
        """Raises OSError."""
        # Pids are the same in all pods of a deployment.
        name = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.getpid()}-{uuid.uuid4().hex}.parquet"
        self.path = root / folder / name
        self._unfinished = root / UNFINISHED / name
        self._unfinished.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._unfinished.open("xb")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._writer = pq.ParquetWriter(
                self._file, schema, compression="zstd", use_dictionary=list(repetitive)
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
    for path in (root / UNFINISHED).glob("*.parquet"):
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
