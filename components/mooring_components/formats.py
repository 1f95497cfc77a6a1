"""Which format a file of rows has, by its name."""

from pathlib import PurePath

from mooring_artifacts.errors import InputError

SUFFIXES = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
}


def not_in_utf_8(place: str, error: UnicodeDecodeError) -> InputError:
    """Say that the name of a column is no text."""
    return InputError(f"{place} is not in UTF-8: byte {error.object[error.start]:#04x} in a column's name")


def kind_of_file(path: str) -> str | None:
    """The format that a file's name tells; None where it tells none."""
    return SUFFIXES.get(PurePath(path).suffix.lower())
