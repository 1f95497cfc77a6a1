"""Between the threads that answer requests and the thread that writes: bounded, never waits for room."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

from mooring_inference.capture.counters import CaptureCounters

# The stream that it belongs to, bytes, rows, time in seconds since 1970, and what the stream wants of it. One flat
# tuple: no other container costs as little to make.
Entry = tuple[Any, ...]
STREAM, BYTES, ROWS, TIME = range(4)


class CaptureBuffer:
    """Entries in the order of their arrival.

    Attributes:
        held_bytes, held_rows: of all entries that are not released yet: they hold memory until then.
    """

    def __init__(self, counters: CaptureCounters, *, max_bytes: int, max_rows: int) -> None:
        self.held_bytes = self.held_rows = 0
        self._counters = counters
        self._max_bytes = max_bytes
        self._max_rows = max_rows
        self._wake_bytes = max_bytes // 4
        self._entries: deque[Entry] = deque()
        self._append = self._entries.append
        self._lock = threading.Lock()
        self._wake = threading.Event()

    def offer(self, size: int, rows: int, entry: Entry) -> bool:
        """Add an entry of that size where there is room; else count it as dropped."""
        # Held for some additions; nobody waits for room while holding it.
        with self._lock:
            held = self.held_bytes + size
            held_rows = self.held_rows + rows
            if held <= self._max_bytes and held_rows <= self._max_rows:
                self.held_bytes = held
                self.held_rows = held_rows
                self._append(entry)
                if held <= self._wake_bytes:
                    return True
                self._wake.set()
                return True
        self._counters.drop(self._refusal(size), rows)
        return False

    def take(self, max_rows: int, max_bytes: int) -> list[Entry]:
        """The oldest entries, at least one if there is any; ``release`` must follow."""
        entries: list[Entry] = []
        rows = size = 0
        queue = self._entries
        while queue and rows < max_rows and size < max_bytes:
            entry = queue.popleft()
            size += entry[BYTES]
            rows += entry[ROWS]
            entries.append(entry)
        return entries

    def release(self, size: int, rows: int) -> None:
        """Entries that were taken hold no memory any more."""
        with self._lock:
            self.held_bytes -= size
            self.held_rows -= rows

    def wait(self, seconds: float) -> None:
        """Until a good part of the buffer is used, ``wake`` is called, or time has passed."""
        self._wake.wait(seconds)
        self._wake.clear()

    def wake(self) -> None:
        """End a ``wait``."""
        self._wake.set()

    def close(self) -> None:
        """Take nothing more."""
        with self._lock:
            self._max_bytes = -1

    def _refusal(self, size: int) -> str:
        if self._max_bytes < 0:
            return "closed"
        return "too_large" if size > self._max_bytes else "full"
