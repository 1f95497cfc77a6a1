"""The thread that makes files of what was recorded."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pyarrow as pa

from mooring_inference.capture.buffer import BYTES, ROWS, STREAM, TIME, CaptureBuffer, Entry
from mooring_inference.capture.counters import CaptureCounters
from mooring_inference.capture.open_part import OpenPart
from mooring_inference.capture.streams import Stream, folder_of_hour

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.25
# Of requests that are made into columns at once: about a millisecond's work between two looks of other threads.
_CHUNK_ROWS = 2048
_SECONDS_OF_HOUR = 3600
_SHORTEST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0


class CaptureWriter:
    """Takes entries from the buffer, groups them by stream and hour, and completes files in time."""

    def __init__(
        self,
        buffer: CaptureBuffer,
        root: Path,
        counters: CaptureCounters,
        *,
        flush_seconds: float,
        group_bytes: int,
        monotonic: Callable[[], float],
        has_room: Callable[[], bool],
        on_complete: Callable[[Path, int, int], None],
        every_round: Callable[[], None],
    ) -> None:
        """A writer that is not started yet.

        Args:
            buffer: where entries come from.
            root: folders of streams are made in it.
            counters: what is counted.
            flush_seconds: how long a file stays open.
            group_bytes: rows of so many bytes are written to their file, complete or not.
            monotonic: seconds on a clock that nobody sets.
            has_room: whether another file may be begun; where not, rows count as dropped by ``upload``.
            on_complete: is told of each file, its size and its rows.
            every_round: is called several times a second.
        """
        self._buffer = buffer
        self._root = root
        self._counters = counters
        self._flush_seconds = flush_seconds
        self._group_bytes = group_bytes
        self._monotonic = monotonic
        self._has_room = has_room
        self._on_complete = on_complete
        self._every_round = every_round
        self._open: dict[tuple[Stream, int], OpenPart] = {}
        self._pause = 0.0
        self._paused_until = 0.0
        self._closing = threading.Event()
        self._flushes: list[threading.Event] = []
        self._thread = threading.Thread(target=self._run, name="capture-writer", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def flush(self, seconds: float) -> bool:
        """Complete the files of all that was recorded before; whether that was done within so many seconds."""
        done = threading.Event()
        self._flushes.append(done)
        self._buffer.wake()
        return done.wait(seconds)

    def close(self, seconds: float) -> bool:
        """The same, and end the thread."""
        self._closing.set()
        self._buffer.wake()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            self._buffer.wait(_POLL_SECONDS)
            is_last = self._closing.is_set()
            flushes, self._flushes = self._flushes, []
            try:
                self._take()
                self._complete(all_of_them=is_last or bool(flushes))
                self._every_round()
            except Exception:
                # Without the thread nothing would ever be written again.
                log.exception("capture failed")
            self._counters.writer_cpu_seconds = time.thread_time()
            for done in flushes:
                done.set()
            if is_last:
                return

    def _take(self) -> None:
        while entries := self._buffer.take(_CHUNK_ROWS, self._group_bytes):
            size = sum(entry[BYTES] for entry in entries)
            rows = sum(entry[ROWS] for entry in entries)
            try:
                for (stream, hour), group in _group(entries).items():
                    self._add(stream, hour, group)
            finally:
                entries.clear()
                self._buffer.release(size, rows)
            # Lets the threads that answer requests run before the next chunk.
            time.sleep(0)

    def _add(self, stream: Stream, hour: int, entries: list[Entry]) -> None:
        rows = [entry[ROWS] for entry in entries]
        if self._monotonic() < self._paused_until:
            self._counters.drop("disk", sum(rows))
            return
        part = self._open.get((stream, hour))
        if part is None:
            if not self._has_room():
                self._counters.drop("upload", sum(rows))
                return
            folder = self._root / stream.folder / folder_of_hour(hour)
            part = self._open[stream, hour] = OpenPart(
                stream, folder, self._monotonic() + self._flush_seconds
            )
        try:
            batch = stream.columns(entries, rows)
        except Exception:
            log.exception("capture: rows cannot be written", extra={"fields": {"folder": stream.folder}})
            self._counters.drop("error", sum(rows))
            return
        if batch is None:
            return
        part.add(batch)
        self._counters.pending_rows += batch.num_rows
        if part.is_group_full(self._group_bytes):
            self._write(part, part.write_group)

    def _complete(self, *, all_of_them: bool) -> None:
        now = self._monotonic()
        for key, part in list(self._open.items()):
            if all_of_them or now >= part.due:
                del self._open[key]
                self._write(part, partial(self._publish, part))

    def _publish(self, part: OpenPart) -> None:
        rows = part.rows
        if not rows:
            return
        path, size = part.publish()
        self._pause = 0.0
        self._counters.pending_rows -= rows
        self._counters.files_total += 1
        self._counters.bytes_total += size
        part.stream.count(rows)
        self._on_complete(path, size, rows)

    def _write(self, part: OpenPart, write: Callable[[], None]) -> None:
        """Give up the file where that fails, and let the disk be for a while."""
        try:
            write()
        except (OSError, pa.ArrowException) as error:
            self._counters.pending_rows -= part.rows
            self._counters.drop("disk", part.rows)
            part.discard()
            self._open = {key: other for key, other in self._open.items() if other is not part}
            self._pause = min(_LONGEST_PAUSE, max(_SHORTEST_PAUSE, 2 * self._pause))
            self._paused_until = self._monotonic() + self._pause
            log.warning(
                "capture: a file cannot be written",
                extra={"fields": {"error": str(error), "next_try_seconds": self._pause}},
            )


def _group(entries: list[Entry]) -> dict[tuple[Stream, int], list[Entry]]:
    """Entries by stream and hour."""
    times = [entry[TIME] for entry in entries]
    streams = {entry[STREAM] for entry in entries}
    first, last = _hour(min(times)), _hour(max(times))
    if len(streams) == 1 and first == last:  # almost always
        return {(streams.pop(), first): entries}
    groups: dict[tuple[Stream, int], list[Entry]] = {}
    for entry in entries:
        groups.setdefault((entry[STREAM], _hour(entry[TIME])), []).append(entry)
    return groups


def _hour(seconds: float) -> int:
    return int(seconds // _SECONDS_OF_HOUR)
