"""Rows of requests that were kept as they came, cut out by time.

Their files lie in folders of an hour, `date=YYYY-MM-DD/hour=HH`; each row has the time of its answer in
`request.time`. Only the hours that a time touches are listed. Source: `mooring_inference.capture.paths`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from mooring_artifacts.drift_question import Rows
from mooring_artifacts.errors import InputError, StoreUnavailable, first_line
from mooring_artifacts.local_files import MOST_FILES, StoredFile
from mooring_artifacts.storage import list_files, locate
from mooring_artifacts.uris import below

from mooring_components.drift.duplicates import mark_repeated
from mooring_components.drift.errors import EvaluationError, UnreadableWindow
from mooring_components.drift.fetching import ask_at_once, is_local
from mooring_components.drift.rows import FetchedRows, ParquetRows, fetch, fetch_rows
from mooring_components.memory import MOST_BYTES
from mooring_components.parquet import FoundFiles

REQUEST, TIME = "request", "time"
_ID, _ROW = "id", "row"
_HOUR = timedelta(hours=1)
# Rows and counts of a thousand replicas that write both every minute lie in one folder.
_MOST_OF_AN_HOUR = 120_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECONDS = pa.timestamp("us", "UTC")


@dataclass(frozen=True)
class PartOfRows:
    """The rows of some files of which `kept` says that they belong here, without the columns of `without`.

    repeated: how many others of this time are left out, for they are here already.
    """

    rows: ParquetRows
    kept: pa.ChunkedArray | None
    without: Collection[str]
    digest: str
    repeated: int = 0

    @property
    def num_rows(self) -> int:
        """How many belong here."""
        return self.rows.num_rows if self.kept is None else pc.sum(self.kept).as_py() or 0

    @property
    def schema(self) -> pa.Schema:
        """Of the columns that are looked at."""
        return pa.schema([field for field in self.rows.schema if field.name not in self.without])

    def column(self, name: str) -> pa.ChunkedArray:
        """The values of one column.

        Raises:
            EvaluationError: as those of all rows.
        """
        values = self.rows.column(name)
        return values if self.kept is None else values.filter(self.kept)

    def stream(self, name: str) -> Iterator[pa.Array]:
        """The values of one column of text, some rows at a time.

        Raises:
            EvaluationError: as those of all rows.
        """
        start = 0
        for part in self.rows.stream(name):
            if self.kept is None:
                yield part
            else:
                yield part.filter(self.kept.slice(start, len(part)).combine_chunks())
            start += len(part)

    def request(self, name: str) -> pa.ChunkedArray:
        """What is known of the request of each row, such as its `id`.

        Raises:
            EvaluationError: the files say nothing of it.
        """
        values = _request_field(self.rows, name)
        return values if self.kept is None else values.filter(self.kept)


@dataclass(frozen=True)
class FetchedPart:
    """The files that hold some rows, as they are stored; `fetched` is None where there is no file."""

    asked: Rows
    fetched: FetchedRows | None
    field: str

    @property
    def size(self) -> int:
        """Bytes of the files, which are held in memory."""
        return self.fetched.found.size if self.fetched is not None else 0

    def open(self, memory: int = MOST_BYTES) -> PartOfRows:
        """Read what the files say of themselves, and which of their rows belong here.

        Raises:
            EvaluationError: they cannot be read; InsufficientData, where there is no file; TooLarge.
        """
        if self.fetched is None:
            raise EvaluationError(
                "InsufficientData",
                f"{self.field} {self.asked.uri!r}: no request was kept {when(self.asked)}",
            )
        rows = self.fetched.open(memory)
        without = frozenset(self.asked.without or ())
        if self.asked.since is None and self.asked.until is None:
            return PartOfRows(rows, None, without, rows.digest)
        # The files of two windows may be the same.
        told = f"{rows.digest} {when(self.asked)}"
        digest = f"sha256:{hashlib.sha256(told.encode()).hexdigest()}"
        kept, repeated = _belonging(rows, self.asked)
        return PartOfRows(rows, kept, without, digest, repeated)


def fetch_part(asked: Rows, reason: str, field: str, memory: int = MOST_BYTES) -> FetchedPart:
    """Fetch the files at an address, or of the hours that a time touches; `field` is what messages call them.

    Raises:
        EvaluationError: `reason`, where they cannot be read; TooLarge.
    """
    if asked.since is None or asked.until is None:
        return FetchedPart(asked, fetch_rows(asked.uri, reason, field, memory), field)
    try:
        found = find_hours(asked, field, ".parquet")
    except (InputError, StoreUnavailable) as error:
        raise EvaluationError(reason, str(error)) from error
    return FetchedPart(asked, fetch(found, reason, memory) if found.files else None, field)


@dataclass(frozen=True)
class KeptWindow:
    """A stretch of time of which requests were kept; `name` is what a person calls it."""

    name: str
    table: PartOfRows

    @property
    def rows(self) -> int:
        """How many requests' rows there are."""
        return self.table.num_rows

    @property
    def digest(self) -> str:
        """What its rows are, by the content of their files."""
        return self.table.digest


def past_windows(
    uri: str, since: datetime, until: datetime, every: timedelta, field: str
) -> Iterator[KeptWindow | UnreadableWindow]:
    """Cut what was kept into windows of a length of time, which begin at whole multiples of it since 1970.

    Args:
        uri: the folder of a revision, which holds folders of dates.
        since: in the first window; with a zone.
        until: the end of the last window is not after it.
        every: the length; more than zero.
        field: what messages call the address.

    Yields:
        Windows that hold rows, and those whose files are damaged, the oldest first; one is fetched when it is asked
        for.

    Raises:
        EvaluationError: WindowUnreadable, where files cannot be had or no row at all was kept; TooLarge.
    """
    try:
        locate(uri, field)
    except InputError as error:
        raise EvaluationError("WindowUnreadable", str(error)) from error
    begin = since - (since - _EPOCH) % every
    found = False
    while begin + every <= until:
        asked = Rows(uri=uri, since=begin, until=begin + every)
        part = fetch_part(asked, "WindowUnreadable", field)
        window = _opened(part, begin.strftime("%Y-%m-%d %H:%M:%S")) if part.fetched is not None else None
        if window is not None:
            found = True
            yield window
        begin += every
    if not found:
        raise EvaluationError(
            "WindowUnreadable",
            f"{field} {uri!r}: no request was kept {_span(since, until)}; "
            "the address is of a folder that holds folders like date=2026-10-01",
        )


def _opened(part: FetchedPart, name: str) -> KeptWindow | UnreadableWindow | None:
    """Give a window with its rows, or why they cannot be read; None where there are none."""
    try:
        window = KeptWindow(name, part.open())
        return window if window.rows else None
    except EvaluationError as error:
        return UnreadableWindow(name, error)


def find_hours(
    asked: Rows,
    field: str,
    suffix: str,
    choose: Callable[[list[StoredFile]], list[StoredFile]] = lambda files: files,
) -> FoundFiles:
    """The files, of names with this end, of the hours from `since` to `until`; hours without any are left out.

    `choose` says which of an hour's are wanted.

    Raises:
        InputError: they cannot be listed, or are too many.
        StoreUnavailable: the store does not answer.
    """
    assert asked.since is not None
    assert asked.until is not None
    place = locate(asked.uri, field)

    def of_hour(hour: datetime) -> list[StoredFile]:
        folder = locate(below(asked.uri, f"{hour:date=%Y-%m-%d}", f"{hour:hour=%H}"), field)
        return list_files(folder, field, _MOST_OF_AN_HOUR, may_be_none=True)

    files: list[StoredFile] = []
    local = is_local(place.address.scheme)
    for there in ask_at_once(_hours(asked.since, asked.until), of_hour, local=local):
        files += choose([file for file in there if file.path.endswith(suffix)])
        if len(files) > MOST_FILES:
            raise InputError(f"{field} {asked.uri!r} holds more than {MOST_FILES} files {when(asked)}")
    return FoundFiles(f"{field} {asked.uri!r}", place, files)


def _hours(since: datetime, until: datetime) -> Iterator[datetime]:
    hour = since.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    while hour < until:
        yield hour
        hour += _HOUR


def _belonging(rows: ParquetRows, asked: Rows) -> tuple[pa.ChunkedArray, int]:
    """Say of each row whether its time is within, and how many of these are left out for they are there twice.

    One without a time is not within.
    """
    told = _request_field(rows, TIME).cast(_MICROSECONDS, safe=False)
    since, until = (pa.scalar(moment, _MICROSECONDS) for moment in (asked.since, asked.until))
    within = pc.fill_null(pc.and_(pc.greater_equal(told, since), pc.less(told, until)), fill_value=False)
    if not {_ID, _ROW} <= _known_of_requests(rows):
        return within, 0
    times = told.filter(within).cast(pa.int64()).to_numpy()
    numbers = _request_field(rows, _ROW).filter(within).fill_null(0).to_numpy()
    again = mark_repeated(times, numbers, lambda: _request_field(rows, _ID).filter(within))
    if again is None:
        return within, 0
    kept = np.array(within.to_numpy())
    kept[np.flatnonzero(kept)[again]] = False
    return pa.chunked_array([pa.array(kept)]), int(again.sum())


def _known_of_requests(rows: ParquetRows) -> set[str]:
    """What all files say of their requests."""
    kinds = [file.plain.schema_arrow.field(REQUEST).type for file in rows.files]
    return set.intersection(*({field.name for field in kind} for kind in kinds)) if kinds else set()


def _request_field(rows: ParquetRows, name: str) -> pa.ChunkedArray:
    """Give a field of column `request` in all rows."""
    found: list[pa.Array] = []
    try:
        for file in rows.files:
            for batch in file.plain.iter_batches(columns=[f"{REQUEST}.{name}"], use_threads=False):
                found.append(batch.column(batch.schema.get_field_index(REQUEST)).field(name))
        return pa.chunked_array(found, None if found else pa.null())
    except (pa.ArrowException, KeyError, OSError, IndexError) as error:
        raise EvaluationError(
            rows.reason, f"{rows.source}: there is no {REQUEST}.{name}: {first_line(error)}"
        ) from error


def check_enough(asked: Rows, rows: int) -> None:
    """Refuse a window that has too few of its `asked.rows` yet.

    Raises:
        EvaluationError: WindowEmpty, where it has none; GatheringWindow.
    """
    if asked.rows is None or rows >= asked.rows:
        return
    reason, has = ("GatheringWindow", f"{rows} of") if rows else ("WindowEmpty", "none of")
    raise EvaluationError(
        reason,
        f"the window has {has} the {asked.rows} rows that spec.window.capture.rows wants, {when(asked)}: it goes on",
    )


def when(asked: Rows) -> str:
    """Say from when to when, in words that follow a noun."""
    return _span(asked.since, asked.until)


def _span(since: datetime | None, until: datetime | None) -> str:
    return f"from {since:%Y-%m-%dT%H:%M:%SZ} to {until:%Y-%m-%dT%H:%M:%SZ}"
