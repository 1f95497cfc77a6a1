"""The adaptive batcher of one model.

There is no timer: where the model is idle a call runs at the end of the event loop's tick, together with all that
came in that tick; where it is busy calls accumulate, and the next batch takes what has come meanwhile. The load
itself so sets the size of batches.

Who runs a batch, one at a time:
- the event loop itself, while the model is fast (a thread's switch would cost more than the run);
- a thread of the model's own, where it is slow, so that probes and other requests are answered meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Callable, Sequence
from math import prod
from time import perf_counter

from mooring_inference.backends.base import Backend
from mooring_inference.errors import RequestError
from mooring_inference.models.batching.batch import run_batch
from mooring_inference.models.batching.call import Call
from mooring_inference.models.batching.queue import BatchLimits, CallQueue, Key

log = logging.getLogger(__name__)

# A model that takes longer, in seconds and on average, has a thread of its own.
INLINE_SECONDS = 0.0005
# A call of more runs than this is for the thread, however short one run is.
_MOST_INLINE_RUNS = 16
# Weight of the newest batch in the average.
_NEWEST = 0.2


class Batcher:
    """Runs the calls of one model; to be used from the event loop's thread."""

    def __init__(
        self,
        backend: Backend,
        *,
        limits: BatchLimits,
        batchable: bool = True,
        one_row: bool = False,
        expected_seconds: float = 0.0,
        on_batch: Callable[[Sequence[int]], None] | None = None,
    ) -> None:
        """To be made on the event loop's thread.

        Args:
            backend: runs one batch at a time.
            limits: sizes.
            batchable: whether rows of several calls may run together.
            one_row: whether the model takes one row at a time, so that calls of more run row by row.
            expected_seconds: how long a run takes, as far as that is known; measured from then on.
            on_batch: told the rows of each run of the model, after every batch, from the thread that ran it.
        """
        self.backend = backend
        self._limits = limits
        self._is_batchable = batchable and not one_row and limits.max_batch_rows > 1
        # Calls that run by themselves run as they came, except where the model cannot.
        self._max_rows = 1 if one_row else limits.max_batch_rows if self._is_batchable else sys.maxsize
        self._long_rows = _MOST_INLINE_RUNS * self._max_rows
        self._average_seconds = self._last_seconds = expected_seconds
        self._on_batch = on_batch
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._queue = CallQueue(limits)
        self._running: list[Call] = []
        # Held by whoever runs batches: from when there is a call until there is none any more.
        self._is_busy = False
        self._is_closing = False
        self._closed = self._loop.create_future()
        self._thread: threading.Thread | None = None
        self._work = threading.Semaphore(0)
        self._signature = backend.signature
        self._input_names = tuple(spec.name for spec in backend.signature.inputs)
        self._has_rows = all(spec.shape and spec.shape[0] is None for spec in backend.signature.inputs)
        self._has_fixed_shape = all(None not in spec.shape[1:] for spec in backend.signature.inputs)

    @property
    def queued_rows(self) -> int:
        """Rows that wait."""
        return self._queue.rows

    def submit(self, call: Call) -> None:
        """Put a call in the queue; it is settled on the event loop.

        Raises:
            RequestError: 429, the queue is full; 503, the model is being unloaded.
        """
        if self._put(call):
            self._loop.call_soon(self._tick)

    def expire(self, now: float) -> None:
        """Notify callers whose deadline has passed; to be called periodically."""
        with self._lock:
            waiting = [*self._queue, *self._running]
        late = [call for call in waiting if call.expire(now)]
        for call in late:
            call.settle()
        self._drop_inputs(late)

    def abandon(self, call: Call) -> None:
        """Note that the caller has gone: it is not told, and what has not begun is not run and holds no memory."""
        call.abandon()
        self._drop_inputs((call,))

    async def close(self) -> None:
        """Take no more calls, finish those that were taken, and close the backend."""
        with self._lock:
            self._is_closing = True
            if not self._is_busy and not self._closed.done():
                self._closed.set_result(None)
        await self._closed
        if self._thread is not None:
            self._work.release()
            await asyncio.to_thread(self._thread.join)
        self.backend.close()

    def _put(self, call: Call) -> bool:
        """Return whether the caller now has to see to it that batches run."""
        call.rows = self._rows(call)
        if call.rows > self._limits.max_queue_rows or not self._is_batchable:
            self._require_elements(call)
        key = self._key(call)
        call.submitted = perf_counter()
        with self._lock:
            if self._is_closing:
                raise RequestError("the model is being unloaded", status=503)
            self._queue.put(key, call)
            was_busy, self._is_busy = self._is_busy, True
        return not was_busy

    def _rows(self, call: Call) -> int:
        if not self._has_rows:
            self._signature.check_rows(call.inputs)
            return 1
        sizes = {len(array) for array in call.inputs.values()}
        if len(sizes) == 1:
            return sizes.pop()
        self._signature.check_rows(call.inputs)
        # Where the model says that its inputs may differ, they run by themselves.
        return 0

    def _require_elements(self, call: Call) -> None:
        """Refuse more rows of nothing than may wait: a few bytes can ask for billions of them."""
        for array in call.inputs.values():
            if array.size:
                return
        most = self._limits.max_queue_rows
        rows = max((prod(size for size in array.shape if size) for array in call.inputs.values()), default=0)
        if rows > most:
            raise RequestError(
                f"inputs: expected at most {most} rows without elements, got {rows}",
                status=413,
                field="inputs",
            )

    def _drop_inputs(self, calls: Sequence[Call]) -> None:
        """Drop the arrays of calls that nobody waits for, except where they are being run."""
        with self._lock:
            for call in calls:
                if call not in self._running:
                    call.inputs = {}

    def _key(self, call: Call) -> Key:
        if not self._is_batchable or call.rows == 0:
            return call
        if self._has_fixed_shape:
            return call.outputs
        return call.outputs, tuple(call.inputs[name].shape[1:] for name in self._input_names)

    def _tick(self) -> None:
        """Run a batch here, on the loop, or let the thread do it."""
        if self._average_seconds > INLINE_SECONDS or self._queue.longest > self._long_rows:
            self._wake_thread()
        elif self._run_one_batch() and not self._end_if_idle():
            # One batch a tick: probes, and the other models, have their turn in between.
            self._loop.call_soon(self._tick)

    def _run_one_batch(self) -> bool:
        """Run a batch on the loop; return whether there was one."""
        batch = self._take()
        if batch:
            self._run(batch)
            self._settle(batch)
        return bool(batch)

    def _take(self) -> list[Call]:
        """Return the calls to run; none where none are left, or where it is worth waiting for more of them."""
        with self._lock:
            self._running, wait = self._queue.take(perf_counter())
            batch = self._running
            if not batch and not wait:
                self._become_idle()
        if wait:
            self._loop.call_soon_threadsafe(self._loop.call_later, wait, self._tick)
        return batch

    def _end_if_idle(self) -> bool:
        """Let go of the right to run batches where no call waits; whether that is so."""
        with self._lock:
            if self._queue:
                return False
            self._become_idle()
            return True

    def _become_idle(self) -> None:
        """Let go of the right to run batches; the lock is held."""
        self._is_busy = False
        self._running = []
        if self._is_closing:
            self._loop.call_soon_threadsafe(self._finish_closing)

    def _run(self, batch: list[Call]) -> None:
        calls = [call for call in batch if call.error is None]
        if not calls:
            return
        started = perf_counter()
        runs = run_batch(self.backend, calls, self._max_rows)
        finished = perf_counter()
        for call in calls:
            call.started, call.finished, call.batch_rows = started, finished, runs[0]
        # A single run that takes long says of the machine that it had something else to do, and not of the model.
        seconds, self._last_seconds = min(finished - started, self._last_seconds), finished - started
        self._average_seconds += (seconds - self._average_seconds) * _NEWEST
        if self._on_batch is not None:
            self._on_batch(runs)

    def _settle(self, batch: Sequence[Call]) -> None:
        """Notify callers, on the loop."""
        for call in batch:
            try:
                call.settle()
            except Exception:
                # One caller's failure must not cost the others their answers.
                log.exception("a caller could not take its answer")

    def _wake_thread(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run_in_thread, name="model", daemon=True)
            self._thread.start()
        self._work.release()

    def _run_in_thread(self) -> None:
        while True:
            self._work.acquire()
            while batch := self._take():
                self._run(batch)
                # The next batch need not wait for the loop to write the answers of this one.
                self._loop.call_soon_threadsafe(self._settle, batch)
            if self._is_closing and not self._is_busy:
                return

    def _finish_closing(self) -> None:
        if not self._closed.done():
            self._closed.set_result(None)
