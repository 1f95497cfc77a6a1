"""The messages of calls: read when they are wanted, by so many calls at a time, and counted for as long as they last.

grpc would read a call's message before anybody has looked at its key, on a thread that waits for as long as the caller
takes. So every method takes a stream here, of which one message is read; callers see no difference.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Protocol

import grpc

from mooring_inference.access.memory_budget import MemoryBudget
from mooring_inference.errors import RequestError
from mooring_inference.grpc_front.direct_calls import DirectCall
from mooring_inference.grpc_front.renewal import Renewal
from mooring_inference.observability.metrics import GONE
from mooring_inference.running_clock import RunningClock

# What grpc and this server keep of a call beside its messages, bytes.
_CALL_BYTES = 32 << 10
# A message is there once as it came and once as it is read.
_COPIES = 2
# For a message to come, and where others wait meanwhile; what is a few bytes comes with the call or not at all.
_SECONDS, _SECONDS_IF_CROWDED = 10.0, 1.0
_SMALL_SECONDS, _SMALL_SECONDS_IF_CROWDED = 2.0, 0.25
# What counts between two sweeps at most.
_SWEEP_SECONDS = 0.5


class _Call(Protocol):
    def add_callback(self, callback: Callable[[], None], /) -> bool: ...


class CallRoom:
    """What one call holds of the budget until it has ended, answer and all."""

    # Held for an addition; one for all calls, as a lock of its own would cost each more than that.
    _lock = threading.Lock()

    def __init__(self, budget: MemoryBudget, context: _Call) -> None:
        self._budget = budget
        self._size = 0
        self._has_ended = False
        if not context.add_callback(self._end):
            self._has_ended = True

    def hold(self, size: int) -> None:
        """Count ``size`` more bytes; raises RequestError where there is no room, or the call has ended."""
        if not self._budget.take(size):
            raise self._budget.refusal(size)
        with self._lock:
            if not self._has_ended:
                self._size += size
                return
        self._budget.release(size)
        raise RequestError("the caller has gone", status=GONE)

    def _end(self) -> None:
        with self._lock:
            self._has_ended = True
            size, self._size = self._size, 0
        self._budget.release(size)


class DirectReceiver:
    """Has the messages of direct calls read; all but ``sweep`` happens on the thread that asks the core."""

    def __init__(
        self,
        budget: MemoryBudget,
        max_message_bytes: int,
        renewal: Renewal,
        *,
        ready: Callable[[DirectCall, bytes, CallRoom], None],
        refuse: Callable[[DirectCall, RequestError], None],
        is_crowded: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        """Make one.

        Args:
            budget, max_message_bytes, renewal, clock: as for ``Receiver``.
            ready: called with each call, its message and its room.
            refuse: ends a call that has no message, or no room for it.
            is_crowded: whether there are so many calls that those without a message should make room.
        """
        self._budget = budget
        self._renewal = renewal
        self._places = _places(budget, max_message_bytes)
        self._waiting: deque[DirectCall] = deque()
        self._ready, self._refuse = ready, refuse
        self._clock = RunningClock(_SWEEP_SECONDS, clock)
        self._coming = _Coming(
            self._clock, _SECONDS, _SECONDS_IF_CROWDED, lambda: bool(self._waiting) or is_crowded()
        )

    def take(self, call: DirectCall) -> None:
        """Have the message of a call read, now or when others have come."""
        if self._renewal.is_awaited:
            self._renewal.note(call.peer())
        self._waiting.append(call)
        self._receive_next()

    def sweep(self) -> None:
        """End calls whose message does not come; to be called periodically."""
        self._clock.tick()
        self._coming.sweep()

    def _receive_next(self) -> None:
        while self._places and self._waiting:
            call = self._waiting.popleft()
            if not call.is_gone:
                self._places -= 1
                self._coming.begin(call)
                call.receive(self._came)

    def _came(self, call: DirectCall, content: bytes | None) -> None:
        self._coming.end(call)
        self._places += 1
        try:
            if content is None:
                raise no_message()
            room = CallRoom(self._budget, call)
            room.hold(_CALL_BYTES + _COPIES * len(content))
        except RequestError as error:
            self._refuse(call, error)
        else:
            self._ready(call, content, room)
        self._receive_next()


class Receiver:
    """Reads the messages of calls."""

    def __init__(
        self,
        budget: MemoryBudget,
        max_message_bytes: int,
        renewal: Renewal,
        *,
        is_crowded: Callable[[], bool] = lambda: False,
        is_crowded_with_small: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        """Make one.

        Args:
            budget: what all calls and requests together may hold.
            max_message_bytes: of one message. Only who has read one knows its size, so they come uncounted, as many
                at a time as would fit into the budget.
            renewal: is told who calls while the server drains.
            is_crowded: whether calls wait for a thread to ``receive``.
            is_crowded_with_small: whether calls wait for a thread to ``receive_small``.
            clock: never goes back, seconds.
        """
        self._budget = budget
        self._renewal = renewal
        self._places = threading.Semaphore(_places(budget, max_message_bytes))
        self._waiting = 0
        self._clock = RunningClock(_SWEEP_SECONDS, clock)
        self._large = _Coming(
            self._clock, _SECONDS, _SECONDS_IF_CROWDED, lambda: self._waiting > 0 or is_crowded()
        )
        self._small = _Coming(self._clock, _SMALL_SECONDS, _SMALL_SECONDS_IF_CROWDED, is_crowded_with_small)

    def receive(self, messages: Iterator[bytes], context: grpc.ServicerContext) -> tuple[bytes, CallRoom]:
        """Return a call's message, and the room that it is counted in.

        Raises:
            RequestError: there is none, or no room for it.
        """
        if self._renewal.is_awaited:
            self._renewal.note(context.peer())
        room = CallRoom(self._budget, context)
        if not self._places.acquire(blocking=False):
            self._waiting += 1
            self._places.acquire()
            self._waiting -= 1
        try:
            content = self._large.receive(messages, context)
            room.hold(_CALL_BYTES + _COPIES * len(content))
        finally:
            self._places.release()
        return content, room

    def receive_small(self, messages: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
        """Return a call's message, uncounted, for messages of a few bytes; raises RequestError where there is none."""
        return self._small.receive(messages, context)

    def sweep(self) -> None:
        """End calls whose message does not come; to be called periodically."""
        self._clock.tick()
        self._large.sweep()
        self._small.sweep()


def _places(budget: MemoryBudget, max_message_bytes: int) -> int:
    return max(1, budget.limit // (_COPIES * max_message_bytes))


def no_message() -> RequestError:
    """Return the refusal of a call that has none."""
    return RequestError("request: expected one message, got none")


class _Cancellable(Protocol):
    def cancel(self) -> object: ...


class _Coming:
    """Calls whose message is awaited."""

    def __init__(
        self, clock: RunningClock, seconds: float, if_crowded: float, is_crowded: Callable[[], bool]
    ) -> None:
        self._clock = clock
        self._seconds, self._if_crowded, self._is_crowded = seconds, if_crowded, is_crowded
        self._since: dict[_Cancellable, float] = {}
        self._lock = threading.Lock()

    def receive(self, messages: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
        self.begin(context)
        try:
            content = next(messages, None)
        finally:
            self.end(context)
        if content is None:
            raise no_message()
        return content

    def begin(self, call: _Cancellable) -> None:
        with self._lock:
            self._since[call] = self._clock.read()

    def end(self, call: _Cancellable) -> None:
        with self._lock:
            del self._since[call]

    def sweep(self) -> None:
        begun_before = self._clock.read() - (self._if_crowded if self._is_crowded() else self._seconds)
        with self._lock:
            late = [context for context, since in self._since.items() if since < begun_before]
        for context in late:
            context.cancel()
