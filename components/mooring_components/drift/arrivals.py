"""Rows that came after their window was evaluated, and rows whose time is after they were stored.

A window is evaluated once. What is stored later is in none, and is counted here: the next evaluation looks through the
hours of the day before its window's end for files that were written since the last evaluation listed them. Times of
files are the store's, and compared with each other, so that no other clock matters for that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from mooring_artifacts.captured_files import was_rewritten
from mooring_artifacts.drift_question import LastLook, Rows
from mooring_artifacts.errors import InputError, StoreUnavailable, first_line
from mooring_artifacts.local_files import StoredFile
from mooring_artifacts.run_documents import ArrivalsFound
from mooring_artifacts.window_states.files import STATE_SUFFIX, minute_of
from mooring_artifacts.window_states.state import rows_of

from mooring_components.drift.captured import REQUEST, TIME, PartOfRows, find_hours
from mooring_components.drift.fetching import AT_ONCE, fetch_each
from mooring_components.parquet import FoundFiles, open_parquet

LOOK_BACK = timedelta(hours=24)
"""How late rows may be, to be counted; each hour is a folder that is listed."""
_FIELD = "spec.window"

CountRows = Callable[[StoredFile, bytearray, datetime], int]
"""Counts the rows, in the content of a file, whose time is before a moment."""


def look_for_late_rows(
    window: Rows, last: LastLook | None, memory: int, *, counted: bool = False
) -> ArrivalsFound | None:
    """Count the rows that have come since the last look, of windows that were evaluated by then.

    It comes before the window's own files are listed: of a file that is stored in between rows count as late at the
    next look, and none is lost.

    Args:
        window: of the requests that are evaluated now, with `since` and `until`.
        last: what was seen at the last evaluation; None at the first one, which only looks.
        memory: bytes that files may take; rows of one too large for that are not counted.
        counted: whether states are looked for, and not rows.

    Returns:
        What was found; None where the folders cannot be listed: then the next look counts these rows.
    """
    assert window.since is not None
    assert window.until is not None
    asked = window.model_copy(update={"since": min(window.since, window.until - LOOK_BACK)})
    newest: list[float] = []

    def came(files: list[StoredFile]) -> list[StoredFile]:
        newest.extend(file.modified for file in files)
        late = [file for file in files if last is not None and file.modified > last.newest]
        return [file for file in late if file.size <= memory // AT_ONCE]

    try:
        found = find_hours(asked, _FIELD, STATE_SUFFIX if counted else ".parquet", came)
        late = 0 if last is None else _count(found, last.until, _count_state if counted else _count_requests)
    except (InputError, StoreUnavailable) as error:
        print(f"nothing is known of rows that came late: {error}")
        return None
    return ArrivalsFound(newest=max(newest, default=0.0), late=late)


def seconds_ahead(part: PartOfRows, files: Sequence[StoredFile]) -> float:
    """By how much the latest of the requests in some files is after its file was written; 0 where none is.

    Rows cannot be stored before they are there: the clock of a server is ahead of the store's.
    """
    ahead = 0.0
    for opened, file in zip(part.rows.files, files, strict=True):
        moment = _latest(opened.plain.metadata)
        if moment is not None and file.modified:
            ahead = max(ahead, moment - file.modified)
    return ahead


def _count(found: FoundFiles, until: datetime, count: CountRows) -> int:
    late = 0
    for file, content in zip(found.files, fetch_each(found, found.files), strict=True):
        try:
            late += count(file, content, until)
        except (InputError, pa.ArrowException, KeyError, OSError) as error:
            # A damaged file hides its rows, and not those of the others.
            print(f"rows of {file.path!r} are not counted: {first_line(error)}")
    return late


def _count_requests(file: StoredFile, content: bytearray, until: datetime) -> int:
    """Count rows; a file that erasure has written anew holds rows that had been there."""
    opened = open_parquet(content, repr(file.path))
    if was_rewritten(opened.metadata.metadata):
        return 0
    end = pa.scalar(until, pa.timestamp("us", "UTC"))
    late = 0
    for batch in opened.iter_batches(columns=[f"{REQUEST}.{TIME}"], use_threads=False):
        times = batch.column(REQUEST).field(TIME).cast(end.type, safe=False)
        late += pc.sum(pc.less(times, end)).as_py() or 0
    return late


def _count_state(file: StoredFile, content: bytearray, until: datetime) -> int:
    """Count the rows of a minute; the sum of an hour holds those of minutes that are there."""
    minute = minute_of(file.path)
    return rows_of(content) if minute is not None and minute < until else 0


def _latest(metadata: pq.FileMetaData) -> float | None:
    """When the last request of a file was, in seconds since 1970, as far as its footer says."""
    named = {metadata.schema.column(place).path: place for place in range(metadata.num_columns)}
    place = named.get(f"{REQUEST}.{TIME}")
    if place is None:
        return None
    moments = []
    for group in range(metadata.num_row_groups):
        statistics = metadata.row_group(group).column(place).statistics
        try:
            moment = statistics.max if statistics is not None and statistics.has_min_max else None
        except (ValueError, OverflowError):  # beyond the years that Python knows
            continue
        if isinstance(moment, datetime):
            moments.append((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    return max(moments, default=None)
