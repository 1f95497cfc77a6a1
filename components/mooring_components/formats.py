"""Which format a file of rows has, by its name."""

from pathlib import PurePath

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


def kind_of_file(path: str) -> str | None:
    """The format that a file's name tells; None where it tells none."""
    return SUFFIXES.get(PurePath(path).suffix.lower())
