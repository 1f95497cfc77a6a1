"""Counts what is kept into the slots of the model's profile, minute by minute, and makes files of the counts.

They say what drift is measured by, in kilobytes a minute whatever the traffic; the sum of an hour is a file too, so
that a window of hours is read from few. All of it is done by the thread that writes Parquet, of the same rows.
"""

from __future__ import annotations

import fcntl
import logging
import os
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from mooring_artifacts.errors import InputError
from mooring_artifacts.window_states import Numbers, Profile, WindowState, count, merge
from mooring_artifacts.window_states.files import hour_name, minute_name, profile_name

from mooring_inference.capture.layout import REQUEST, Layout
from mooring_inference.capture.paths import UNFINISHED, folder_of_hour

log = logging.getLogger(__name__)

_MINUTE = 60
_HOUR = 60
_MICROSECONDS = 60_000_000
# Rows that wait to be counted together: what a call costs is then little beside what rows cost.
_MOST_WAITING = 1 << 14


class HourSums:
    """Adds the minutes of hours up, numbers their files, and says which sums are to be written."""

    def __init__(self) -> None:
        self.number = 0
        self._sums: dict[int, tuple[WindowState, int]] = {}
        self._ended = 0

    def add(self, minute: int, state: WindowState) -> None:
        """Take a minute that was written; one that comes after its hour was given away stays by itself."""
        self.number += 1
        hour = minute // _HOUR
        if hour < self._ended:
            return
        known = self._sums.get(hour)
        self._sums[hour] = (state, 1) if known is None else (merge(known[0], state), known[1] + 1)

    def take(self, before: int | None) -> Iterator[tuple[int, WindowState]]:
        """Yield hours since 1970 that ended a minute before the minute `before`, or all, and forget them."""
        ended = None if before is None else (before - 1) // _HOUR
        for hour in sorted(self._sums):
            if ended is not None and hour >= ended:
                return
            state, minutes = self._sums.pop(hour)
            self._ended = hour + 1
            if minutes > 1:
                yield hour, state


class StateCounter:
    """Counts the rows of one revision.

    Attributes:
        profile: the slots: of features that are kept as they came.
        name: what tells it from all others, of other processes too.
        hours: the sums of hours.
    """

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.name = f"{os.getpid()}-{uuid.uuid4().hex}"
        self.hours = HourSums()
        self._names = [feature.name for feature in profile.features]
        self._waiting: dict[int, list[pa.RecordBatch]] = {}
        self._states: dict[int, WindowState] = {}
        self._rows = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Take rows, of any minutes.

        Raises:
            InputError: they do not fit the profile.
        """
        times = batch.column(batch.schema.get_field_index(REQUEST)).field("time").cast(pa.int64())
        minutes = np.asarray(times) // _MICROSECONDS
        rows = batch.select(self._names)
        for minute in np.unique(minutes).tolist():
            within = minutes == minute
            part = rows if within.all() else rows.filter(pa.array(within))
            self._waiting.setdefault(minute, []).append(part)
        self._rows += batch.num_rows
        if self._rows >= _MOST_WAITING:
            self._count()

    def take(self, before: int | None) -> Iterator[tuple[int, WindowState]]:
        """Yield the states of minutes since 1970 that are earlier than `before`, or of all, and forget them.

        Raises:
            InputError: rows do not fit the profile.
        """
        self._count()
        for minute in sorted(self._states):
            if before is None or minute < before:
                yield minute, self._states.pop(minute)

    def _count(self) -> None:
        waiting, self._waiting, self._rows = self._waiting, {}, 0
        for minute, batches in waiting.items():
            table = pa.Table.from_batches(batches)
            counted = count(self.profile, {name: _values(table.column(name)) for name in self._names})
            known = self._states.get(minute)
            self._states[minute] = counted if known is None else merge(known, counted)


def counter_of(profile: Profile | None, layout: Layout, schema: pa.Schema) -> StateCounter | None:
    """Return what counts the features that a profile and the kept rows share; None where there is none.

    Masked columns are left out: what is written of them is not what the profile has.
    """
    if profile is None:
        return None
    plain = {c.name for t in layout.inputs if t.width is not None for c in t.columns if c.mask is None}
    features = tuple(f for f in profile.features if f.name in plain and _fits(f, schema.field(f.name).type))
    return StateCounter(Profile(profile.rows, features)) if features else None


def _fits(feature: object, kind: pa.DataType) -> bool:
    if isinstance(feature, Numbers):
        return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind))
    return bool(pa.types.is_string(kind) or pa.types.is_integer(kind))


def _values(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    if pa.types.is_string(column.type):
        return np.array([*column.to_pylist(), None], object)[:-1]
    values: npt.NDArray[Any] = column.to_numpy()
    return values


class CountedStream(Protocol):
    """Rows that may be counted.

    Attributes:
        folder: such as ``deployment=iris/revision=v2``.
        counter: what counts them; None where nothing does.
    """

    folder: str
    counter: StateCounter | None


class StateFiles:
    """The files of what is counted; not for several threads."""

    def __init__(self, root: Path, take: Callable[[Path, int], None], clock: Callable[[], float]) -> None:
        """``take`` is given each complete file below ``root``, and its size."""
        self._root = root
        self._take = take
        self._clock = clock
        self._streams: dict[int, CountedStream] = {}
        self._told: set[str] = set()

    def add(self, stream: CountedStream, batch: pa.RecordBatch) -> None:
        """Count rows; a stream whose rows do not fit its profile is not counted any more."""
        if stream.counter is None:
            return
        self._streams[id(stream)] = stream
        try:
            stream.counter.add(batch)
        except (InputError, pa.ArrowException) as error:
            self._give_up(stream, error)

    def complete(self, *, all_of_them: bool) -> None:
        """Write the minutes that are over, or all of them. Raises OSError; what was not written is lost."""
        before = None if all_of_them else int(self._clock() // _MINUTE)
        for stream in list(self._streams.values()):
            if stream.counter is None:
                continue
            try:
                for minute, state in stream.counter.take(before):
                    self._write_minute(stream.folder, stream.counter, minute, state)
                for hour, state in stream.counter.hours.take(before):
                    self._write_hour(stream.folder, stream.counter, hour, state)
            except InputError as error:
                self._give_up(stream, error)

    def _write_minute(self, folder: str, counter: StateCounter, minute: int, state: WindowState) -> None:
        named = f"{folder}/{profile_name(counter.profile.digest)}"
        if named not in self._told:
            self._publish(self._root / named, counter.profile.content)
            self._told.add(named)
        moment = datetime.fromtimestamp(minute * _MINUTE, UTC)
        name = minute_name(moment, counter.name, counter.hours.number)
        self._publish(self._root / folder_of_hour(folder, minute // _HOUR) / name, state.to_bytes())
        counter.hours.add(minute, state)

    def _write_hour(self, folder: str, counter: StateCounter, hour: int, state: WindowState) -> None:
        moment = datetime.fromtimestamp(hour * _HOUR * _MINUTE, UTC)
        name = hour_name(moment, counter.name, counter.hours.number)
        self._publish(self._root / folder_of_hour(folder, hour) / name, state.to_bytes())

    def _publish(self, path: Path, content: bytes) -> None:
        unfinished = self._root / UNFINISHED / f"{uuid.uuid4().hex}{path.suffix}"
        unfinished.parent.mkdir(parents=True, exist_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        with unfinished.open("xb") as file:
            # Others that begin here remove what nobody holds.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.write(content)
            file.flush()
            unfinished.rename(path)
        self._take(path, len(content))

    def _give_up(self, stream: CountedStream, error: Exception) -> None:
        stream.counter = None
        log.warning(
            "capture: rows do not fit the model's profile and are not counted",
            extra={"fields": {"folder": stream.folder, "error": str(error)[:500]}},
        )
