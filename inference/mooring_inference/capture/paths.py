"""Where captured files are: the one module that writes their paths and reads them. Pure.

::

    deployment=D/revision=R/date=YYYY-MM-DD/hour=HH/TIME-PID-UUID.parquet     requests, by the hour of the answer
    labels/deployment=D/date=YYYY-MM-DD/hour=HH/TIME-PID-UUID.parquet         labels
    deployment=D/revision=R/.../MINUTE-ID.state                               counts: mooring_artifacts.window_states
    .unfinished/                                                              of living processes; no readers
    spool-UUID/                                                               files of one process on their way
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import NamedTuple

from mooring_artifacts.window_states.files import PROFILE_SUFFIX, STATE_SUFFIX

# Below the folder that all files go to, so that files move out of it by renaming.
UNFINISHED = ".unfinished"
SUFFIX = ".parquet"
SUFFIXES = frozenset({SUFFIX, STATE_SUFFIX, PROFILE_SUFFIX})
# Beside the requests, so that a window of requests holds no labels.
_LABELS = "labels"
_SPOOL = "spool-"
SPOOLS = f"{_SPOOL}*"


def archive_of_requests(deployment: str) -> str:
    """Return the folder of a deployment's requests, which retention looks through."""
    return _partition("deployment", deployment)


def archive_of_labels(deployment: str) -> str:
    """Return the same for its labels."""
    return f"{_LABELS}/{_partition('deployment', deployment)}"


def folder_of_revision(archive: str, revision: str) -> str:
    """Return the folder of a revision's requests."""
    return f"{archive}/{_partition('revision', revision)}"


def folder_of_hour(folder: str, hour: int) -> str:
    """Return the folder of an hour, counted since 1970 in UTC, in one of a revision or of labels."""
    return f"{folder}/{datetime.fromtimestamp(hour * 3600, UTC):date=%Y-%m-%d/hour=%H}"


def file_name(now: datetime, pid: int, unique: str) -> str:
    """Return the name of a file; ``unique`` tells pods apart, in which pids are the same."""
    return f"{now:%Y%m%dT%H%M%SZ}-{pid}-{unique}{SUFFIX}"


def spool_name(unique: str) -> str:
    """Return the folder in which the files of one process wait for the object store."""
    return f"{_SPOOL}{unique}"


class Span(NamedTuple):
    """The time that a folder is for.

    Attributes:
        start: in UTC.
        is_hour: whether it is an hour, whose folder holds files, and not a date, whose folder holds hours.
    """

    start: datetime
    is_hour: bool


def span_of(folder: str) -> Span | None:
    """Return the time that a folder is for; None for one that is neither of a date nor of an hour."""
    parent, _, name = folder.rstrip("/").rpartition("/")
    if not name.startswith("hour="):
        date = _date_of(name)
        return None if date is None else Span(date, is_hour=False)
    date, hour = _date_of(parent.rpartition("/")[2]), name.removeprefix("hour=")
    if date is None or re.fullmatch("[01]?[0-9]|2[0-3]", hour) is None:
        return None
    return Span(date.replace(hour=int(hour)), is_hour=True)


def is_complete(path: PurePath) -> bool:
    """Return whether a file of ours is for readers."""
    return path.suffix in SUFFIXES and path.parent.name != UNFINISHED


def find_ours(root: Path) -> Iterator[Path]:
    """Yield the files of ours in a folder and below it, complete and unfinished ones."""
    return (path for path in root.rglob("*") if path.suffix in SUFFIXES)


def _date_of(name: str) -> datetime | None:
    try:
        return datetime.strptime(name, "date=%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        return None


def _partition(key: str, value: str) -> str:
    """Return ``key=value``, with an underscore for what has a meaning in paths, URLs or names of partitions."""
    return f"{key}={re.sub(r'[^A-Za-z0-9._-]', '_', value)}"
