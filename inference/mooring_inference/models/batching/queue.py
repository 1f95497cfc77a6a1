"""Calls that wait, and which of them run next together. Pure: the clock is an argument."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass

from mooring_inference.errors import RequestError
from mooring_inference.models.batching.call import Call

Key = object


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """How calls are put together.

    Attributes:
        max_batch_rows: rows of one batch; 1 runs every call by itself.
        max_wait_seconds: how long the oldest call may wait for others before a batch that is not full is run.
            0, the default, waits only while the model is busy anyway.
        max_queue_rows: rows that may wait; what would go beyond is refused with 429.
    """

    max_batch_rows: int = 32
    max_wait_seconds: float = 0.0
    max_queue_rows: int = 4096


class CallQueue:
    """Calls in groups of those that can run together; groups take turns, so that none starves.

    Attributes:
        rows: that wait.
        longest: no call that waits has more rows.
    """

    def __init__(self, limits: BatchLimits) -> None:
        self._limits = limits
        self._groups: OrderedDict[Key, deque[Call]] = OrderedDict()
        self._group_rows: dict[Key, int] = {}
        self.rows = 0
        self.longest = 0

    def __bool__(self) -> bool:
        return bool(self._groups)

    def __iter__(self) -> Iterator[Call]:
        return (call for group in self._groups.values() for call in group)

    def put(self, key: Key, call: Call) -> None:
        """Append a call; ``key`` is equal for calls that can run together.

        Raises:
            RequestError: 429, the queue is full.
        """
        if self._has_no_room(call):
            self._drop_settled()
        if self._has_no_room(call):
            raise RequestError(
                f"the queue is full: {self.rows} rows wait, at most {self._limits.max_queue_rows} may",
                status=429,
            )
        group = self._groups.get(key)
        if group is None:
            self._groups[key] = deque((call,))
            self._group_rows[key] = call.rows
        else:
            group.append(call)
            self._group_rows[key] += call.rows
        self.rows += call.rows
        if call.rows > self.longest:
            self.longest = call.rows

    def take(self, now: float) -> tuple[list[Call], float]:
        """Return the calls to run now; none, and the seconds after which to ask again, where waiting is worth it.

        Abandoned calls are left out; those whose deadline has passed come with that as their error.
        """
        while self._groups:
            key, group = next(iter(self._groups.items()))
            wait = self._worth_waiting(key, group[0], now)
            if wait > 0:
                return [], wait
            batch = self._take_from(key, group, now)
            if batch:
                return batch, 0.0
        return [], 0.0

    def _has_no_room(self, call: Call) -> bool:
        # An empty queue takes a call of any size: it could never run otherwise.
        return bool(self.rows) and self.rows + call.rows > self._limits.max_queue_rows

    def _drop_settled(self) -> None:
        """Forget calls that nobody waits for any more."""
        for key, group in tuple(self._groups.items()):
            left = deque(call for call in group if not call.is_settled)
            rows = sum(call.rows for call in left)
            self.rows -= self._group_rows[key] - rows
            if left:
                self._groups[key], self._group_rows[key] = left, rows
            else:
                del self._groups[key], self._group_rows[key]

    def _worth_waiting(self, key: Key, oldest: Call, now: float) -> float:
        longest = self._limits.max_wait_seconds
        if not longest or self._group_rows[key] >= self._limits.max_batch_rows or oldest.is_settled:
            return 0.0
        return oldest.submitted + longest - now

    def _take_from(self, key: Key, group: deque[Call], now: float) -> list[Call]:
        batch: list[Call] = []
        rows = 0
        while group and (not batch or rows + group[0].rows <= self._limits.max_batch_rows):
            call = group.popleft()
            self.rows -= call.rows
            self._group_rows[key] -= call.rows
            if call.is_settled:
                continue
            batch.append(call)
            if not call.expire(now):
                rows += call.rows
        if group:
            self._groups.move_to_end(key)
        else:
            del self._groups[key], self._group_rows[key]
            if not self._groups:
                self.longest = 0
        return batch
