"""Opens Parquet, CSV and JSON lines as blocks of rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePosixPath

import pyarrow as pa
from mooring_artifacts.errors import first_line

from mooring_inference.score.blocks import Reader
from mooring_inference.score.errors import ScoreError
from mooring_inference.score.folders import Folder
from mooring_inference.score.read_csv import CsvReader
from mooring_inference.score.read_jsonl import JsonLinesReader
from mooring_inference.score.read_parquet import ParquetReader

FORMATS = ("parquet", "csv", "jsonl")
_BY_SUFFIX = {".parquet": "parquet", ".pq": "parquet", ".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_COMPRESSED = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2"}


def format_of(path: str) -> str | None:
    """Return the format that a file's name tells; None where it tells none."""
    name = PurePosixPath(path)
    if name.suffix in _COMPRESSED and _BY_SUFFIX.get(PurePosixPath(name.stem).suffix) != "parquet":
        name = PurePosixPath(name.stem)
    return _BY_SUFFIX.get(name.suffix.lower())


def is_hidden(path: str) -> bool:
    """Return whether some part of a path begins as things that are not data do, as in Hive and Spark."""
    return any(part.startswith(("_", ".")) for part in PurePosixPath(path).parts)


def open_reader(folder: Folder, path: str, kind: str, batch_size: int) -> Reader:
    """Open one file.

    Args:
        folder: where it is.
        path: its path there.
        kind: one of ``FORMATS``.
        batch_size: most rows of a block.

    Raises:
        ScoreError: it cannot be read as that.
    """

    def open_again() -> pa.NativeFile:
        codec = _COMPRESSED.get(PurePosixPath(path).suffix) if kind != "parquet" else None
        raw = folder.open(path)
        return pa.CompressedInputStream(raw, codec) if codec else raw

    opened: dict[str, Callable[[], Reader]] = {
        "parquet": lambda: ParquetReader(open_again(), batch_size, seekable_cheaply=folder.local is not None),
        "csv": lambda: CsvReader(open_again, batch_size),
        "jsonl": lambda: JsonLinesReader(open_again, batch_size),
    }
    try:
        return opened[kind]()
    except (pa.ArrowException, OSError, UnicodeDecodeError) as exc:
        raise ScoreError(f"{path} cannot be read as {kind}: {first_line(exc)}") from None
