"""Between the threads that answer requests and the thread that writes: bounded, counted, never waits for room."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mooring_inference.tensors import Array, TensorSpec

# Why rows were not kept:
#   full: the buffer had no room; too_large: one request alone takes more than a fair share of it
#   disk: the local file could not be written; upload: the object store was away and the spool is full
#   shape: inputs whose rows do not match; closed: after or during the close; error: a fault of capture itself
REASONS = ("full", "too_large", "disk", "upload", "shape", "closed", "error")


class CaptureCounters:
    """Counts since the start.

    Attributes:
        rows_total: rows of requests in files that are complete.
        labels_total: the same of labels.
        dropped: rows (requests' and labels') that were not kept, by reason.
        sampled_out_total: requests and labels that the sample leaves out.
        without_predictions_total: rows kept without outputs that do not match the request's rows.
        files_total, bytes_total: complete files, and their size.
        uploads_total, upload_errors_total: files that reached the object store, and attempts that failed.
        deleted_total: files deleted because of their age.
        pending_rows: taken by the writer and not yet in a complete file.
        spooled_files, spooled_bytes: complete and not yet in the object store.
        writer_cpu_seconds: CPU time of the thread that writes.
    """

    def __init__(self) -> None:
        self.rows_total = 0
        self.labels_total = 0
        self.dropped = dict.fromkeys(REASONS, 0)
        self.sampled_out_total = 0
        self.without_predictions_total = 0
        self.files_total = 0
        self.bytes_total = 0
        self.uploads_total = 0
        self.upload_errors_total = 0
        self.deleted_total = 0
        self.pending_rows = 0
        self.spooled_files = 0
        self.spooled_bytes = 0
        self.writer_cpu_seconds = 0.0
        self._lock = threading.Lock()

    def drop(self, reason: str, rows: int) -> None:
        """Count rows that are not kept."""
        with self._lock:
            self.dropped[reason] += rows

    def state(self) -> dict[str, float]:
        """Return the counts by name, as ``observability.capture_metrics`` shows them."""
        state = {name: value for name, value in vars(self).items() if isinstance(value, int | float)}
        return state | {f"dropped:{reason}": rows for reason, rows in tuple(self.dropped.items())}

    @property
    def dropped_total(self) -> int:
        """All rows that were not kept."""
        return sum(self.dropped.values())


Outputs = Sequence[tuple[TensorSpec, Array]] | None

# Of the objects that hold a request together; generous.
ENTRY_BYTES = 1024
# From here on a request is looked at more closely.
LARGE = 1 << 16
_STRING_BYTES = 56


def measure(inputs: Mapping[str, Array], outputs: Outputs) -> tuple[int, int]:
    """Return the bytes that the arrays keep alive, and rows of the first input; 1 where that has no dimension."""
    size = ENTRY_BYTES + sum(held(array) for array in inputs.values())
    size += sum(held(array) for _, array in outputs or ())
    first = next(iter(inputs.values()))
    return size, len(first) if first.ndim else 1


def compact(inputs: Mapping[str, Array], outputs: Outputs) -> tuple[Mapping[str, Array], Outputs, int]:
    """Return the same arrays, except that those are copied which keep much more memory alive than they need.

    One row of a large batch would keep the whole batch; and the batch would count once for each of its rows.
    """
    inputs = {name: _own(array) for name, array in inputs.items()}
    if outputs is not None:
        outputs = [(spec, _own(array)) for spec, array in outputs]
    return inputs, outputs, measure(inputs, outputs)[0]


def held(array: Array) -> int:
    """Return the bytes that an array keeps alive, with its strings."""
    owner = array.base
    if isinstance(owner, np.ndarray | memoryview):
        size = owner.nbytes
    else:
        # Its own memory, bytes of a request, or a capsule of the runtime's, which does not tell.
        size = len(owner) if isinstance(owner, bytes) else array.nbytes
    if array.dtype.kind == "O":
        size += sum(_STRING_BYTES + len(value) for value in array.ravel().tolist())
    return size


def _own(array: Array) -> Array:
    base = array.base
    if isinstance(base, np.ndarray) and base.nbytes > 4 * array.nbytes:
        return array.copy()
    return array


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
        """Return the oldest entries, at least one if there is any; ``release`` must follow."""
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
        """Free the memory of entries that were taken."""
        with self._lock:
            self.held_bytes -= size
            self.held_rows -= rows

    def wait(self, seconds: float) -> None:
        """Wait until a good part of the buffer is used, ``wake`` is called, or time has passed."""
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
