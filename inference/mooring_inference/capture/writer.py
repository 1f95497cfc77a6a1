"""The thread that makes files of what was recorded."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue

import pyarrow as pa

from mooring_inference.capture.buffer import BYTES, ROWS, STREAM, TIME, CaptureBuffer, CaptureCounters, Entry
from mooring_inference.capture.files import OpenPart
from mooring_inference.capture.paths import folder_of_hour
from mooring_inference.capture.rows import Stream
from mooring_inference.capture.states import StateFiles
from mooring_inference.capture.target import Target

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.25
# Of requests that are made into columns at once: about a millisecond's work between two looks of other threads.
_CHUNK_ROWS = 2048
_SECONDS_OF_HOUR = 3600
_GROUP_ROWS = 1 << 16
_SHORTEST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
_COMPLAINT_SECONDS = 60.0


class CaptureWriter:
    """Takes entries from the buffer, groups them by stream and hour, and completes files in time."""

    def __init__(
        self,
        buffer: CaptureBuffer,
        target: Target,
        counters: CaptureCounters,
        *,
        flush_seconds: float,
        group_bytes: int,
        monotonic: Callable[[], float],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """A writer that is not started yet.

        Args:
            buffer: where entries come from.
            target: where files go.
            counters: what is counted.
            flush_seconds: how long a file stays open.
            group_bytes: of rows in memory, before some are written to their unfinished file.
            monotonic: seconds on a clock that nobody sets.
            clock: seconds since 1970.
        """
        self._buffer = buffer
        self._target = target
        self._counters = counters
        self._flush_seconds = flush_seconds
        self._group_bytes = group_bytes
        self._monotonic = monotonic
        self._open: dict[tuple[Stream, int], OpenPart] = {}
        self._states = StateFiles(target.root, target.take, clock)
        self._pause = 0.0
        self._paused_until = float("-inf")
        self._closing = threading.Event()
        self._flushes: SimpleQueue[threading.Event] = SimpleQueue()
        self._complained = float("-inf")
        self._thread = threading.Thread(target=self._run, name="capture-writer", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def flush(self, seconds: float) -> bool:
        """Complete the files of all that was recorded before; whether that was done within so many seconds."""
        done = threading.Event()
        self._flushes.put(done)
        self._buffer.wake()
        return done.wait(seconds)

    def close(self, seconds: float) -> bool:
        """Do the same, and end the thread."""
        self._closing.set()
        self._buffer.wake()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            self._buffer.wait(_POLL_SECONDS)
            is_last = self._closing.is_set()
            if is_last:
                self._paused_until = float("-inf")
            flushes = [self._flushes.get_nowait() for _ in range(self._flushes.qsize())]
            try:
                self._take()
                self._complete(all_of_them=is_last or bool(flushes))
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
            if not self._target.has_room():
                self._counters.drop("upload", sum(rows))
                return
            folder = folder_of_hour(stream.folder, hour)
            due = self._monotonic() + self._flush_seconds
            part = self._open[stream, hour] = OpenPart(stream, self._target.root, folder, due)
        try:
            batch = stream.columns(entries, rows)
        except Exception as error:
            self._counters.drop("error", sum(rows))
            self._complain("capture: rows cannot be written", error)
            return
        if batch is None:
            return
        part.add(batch)
        self._states.add(stream, batch)
        self._counters.pending_rows += batch.num_rows
        if part.waiting_rows >= _GROUP_ROWS:
            self._write(part, part.write_group)
        elif sum(open_part.waiting_bytes for open_part in self._open.values()) >= self._group_bytes:
            largest = max(self._open.values(), key=lambda open_part: open_part.waiting_bytes)
            self._write(largest, largest.write_group)

    def _complete(self, *, all_of_them: bool) -> None:
        now = self._monotonic()
        for key, part in list(self._open.items()):
            if all_of_them or now >= part.due:
                del self._open[key]
                self._write(part, partial(self._publish, part))
        try:
            self._states.complete(all_of_them=all_of_them)
        except OSError as error:
            self._complain("capture: counts cannot be written", error)

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
        self._target.take(path, size)

    def _write(self, part: OpenPart, write: Callable[[], None]) -> None:
        """Give up the file where that fails, and let the disk be for a while."""
        try:
            write()
        except Exception as error:
            is_disk = isinstance(error, OSError | pa.ArrowException)
            self._counters.pending_rows -= part.rows
            self._counters.drop("disk" if is_disk else "error", part.rows)
            part.discard()
            self._open = {key: other for key, other in self._open.items() if other is not part}
            self._pause = min(_LONGEST_PAUSE, max(_SHORTEST_PAUSE, 2 * self._pause))
            self._paused_until = self._monotonic() + self._pause
            self._complain("capture: a file cannot be written", error)

    def _complain(self, message: str, error: Exception) -> None:
        """Log it, but not for each of a thousand requests."""
        if self._monotonic() - self._complained >= _COMPLAINT_SECONDS:
            self._complained = self._monotonic()
            trace = None if isinstance(error, OSError) else error
            log.warning(
                message,
                exc_info=trace,
                extra={"fields": {"error": str(error), "dropped": dict(self._counters.dropped)}},
            )


def _group(entries: list[Entry]) -> dict[tuple[Stream, int], list[Entry]]:
    """Return entries by stream and hour."""
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
