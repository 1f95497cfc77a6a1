"""Rows in files of a laptop: Parquet, CSV, Arrow, JSON lines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq
from mooring_artifacts.errors import first_line

from mooring_components.drift import columns
from mooring_components.drift.errors import EvaluationError
from mooring_components.drift.rows import declared_schema


def _arrow(path: Path) -> pa.Table:
    with pa.OSFile(str(path)) as file:
        try:
            return pa.ipc.open_file(file).read_all()
        except pa.ArrowInvalid:
            file.seek(0)
            return pa.ipc.open_stream(file).read_all()


def _parquet(path: Path) -> pa.Table:
    file = pq.ParquetFile(path, page_checksum_verification=True)
    table = file.read()
    for place, field in enumerate(declared_schema(table.schema, file.metadata.metadata or {})):
        column = table.column(place)
        if columns.are_codes(field.type) and not columns.are_codes(column.type):
            table = table.set_column(place, field.name, column.dictionary_encode())
    return table


READERS: dict[str, Callable[[Path], pa.Table]] = {
    ".parquet": _parquet,
    ".csv": pyarrow.csv.read_csv,
    ".arrow": _arrow,
    ".feather": _arrow,
    ".ipc": _arrow,
    ".jsonl": pyarrow.json.read_json,
    ".ndjson": pyarrow.json.read_json,
}
"""What reads a file, by the end of its name."""


def read_file(path: Path, option: str) -> pa.Table:
    """The rows of a file; `option` is what messages call it.

    Raises:
        EvaluationError: BaselineUnreadable or WindowUnreadable.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise _refuse(option, path, f"its name ends with none of {', '.join(READERS)}")
    try:
        table = reader(path)
    except FileNotFoundError as error:
        raise _refuse(option, path, "there is no such file") from error
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _refuse(option, path, f"it cannot be read: {first_line(error)}") from error
    names = [str(name) for name in table.schema.names]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise _refuse(option, path, f"it has column {twice!r} twice")
    return table


def _refuse(option: str, path: Path, why: str) -> EvaluationError:
    reason = "BaselineUnreadable" if "baseline" in option else "WindowUnreadable"
    return EvaluationError(reason, f"{option} {str(path)!r}: {why}")
