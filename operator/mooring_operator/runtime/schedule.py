"""Which key is due when: the work queue's rules without its tasks. Times are seconds of one clock."""

import heapq
from collections.abc import Hashable
from itertools import count
from typing import Generic, TypeVar

KeyT = TypeVar("KeyT", bound=Hashable)


class Schedule(Generic[KeyT]):
    """Keys, each wanted at most once, none taken twice at the same time."""

    def __init__(self) -> None:
        self._wanted: dict[KeyT, float] = {}
        self._taken: dict[KeyT, float] = {}
        # Holds an entry for every wanted key that is not taken, and stale ones that `_first` drops.
        self._heap: list[tuple[float, int, KeyT]] = []
        self._order = count()

    def add(self, key: KeyT, due: float) -> None:
        """Want `key` at time `due`; of two wishes the earlier one counts."""
        if due >= self._wanted.get(key, float("inf")):
            return
        self._wanted[key] = due
        if key not in self._taken:
            self._push(key, due)

    def take(self, now: float) -> KeyT | None:
        """Take the key that has been due for longest; None when none is due.

        It is not given out again before `done`; what is added meanwhile waits for that.
        """
        due = self.next_due()
        if due is None or due > now:
            return None
        key = heapq.heappop(self._heap)[2]
        self._taken[key] = self._wanted.pop(key)
        return key

    def done(self, key: KeyT) -> None:
        """Give back a key that was taken."""
        del self._taken[key]
        if key in self._wanted:
            self._push(key, self._wanted[key])

    def next_due(self) -> float | None:
        """Give the time when the next key can be taken; None when none is wanted."""
        while self._heap:
            due, _, key = self._heap[0]
            if key not in self._taken and self._wanted.get(key) == due:
                return due
            heapq.heappop(self._heap)
        return None

    def depth(self, now: float) -> int:
        """Count the keys that are due and wait to be taken."""
        return sum(due <= now and key not in self._taken for key, due in self._wanted.items())

    def oldest_due(self) -> float | None:
        """Give the due time of the key that waits, or is being worked on, for longest."""
        times = [*self._taken.values()]
        if (due := self.next_due()) is not None:
            times.append(due)
        return min(times, default=None)

    def _push(self, key: KeyT, due: float) -> None:
        # The counter keeps keys of the same time in the order of their coming.
        heapq.heappush(self._heap, (due, next(self._order), key))
