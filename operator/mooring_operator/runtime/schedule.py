"""Which key is due when, and whose turn it is: the work queue's rules without its tasks.

Keys belong to groups (namespaces), which take turns. A group that has had nothing due comes before those
that always have: who asks seldom is not kept waiting by who asks without end. While a group has a key due and
may have a worker, each other group is served once at most before it.

Times are seconds of one clock. Every operation takes logarithmic time in the number of keys.

Source of the two rings: RFC 8290, the scheduler of FQ-CoDel.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Hashable
from itertools import chain, count
from typing import Generic, TypeVar

from mooring_operator.planning.sharing import may_take

KeyT = TypeVar("KeyT", bound=Hashable)


class Schedule(Generic[KeyT]):
    """Keys, each wanted at most once, none taken twice at the same time, no more than `workers` taken in all."""

    def __init__(self, workers: int, group: Callable[[KeyT], Hashable]) -> None:
        self._workers = workers
        self._group = group
        self._wanted: dict[KeyT, float] = {}
        self._taken: dict[KeyT, float] = {}
        self._held: Counter[Hashable] = Counter()
        # Every wanted key that is not taken is in one of the two: those to come, and by group those that are
        # due. Both hold stale entries as well, which are dropped when they come to the front.
        self._later = _Heap[KeyT](self._is_stale)
        self._due: dict[Hashable, _Heap[KeyT]] = {}
        # Groups in the order of their turns; dictionaries, for they keep it and are quick to remove from.
        self._new: dict[Hashable, None] = {}
        self._served: dict[Hashable, None] = {}

    def add(self, key: KeyT, due: float) -> None:
        """Want `key` at time `due`; of two wishes the earlier one counts."""
        if due >= self._wanted.get(key, float("inf")):
            return
        self._wanted[key] = due
        if key not in self._taken:
            self._later.push(due, key)

    def discard(self, key: KeyT) -> None:
        """Want `key` no more; work that is going on is not touched."""
        self._wanted.pop(key, None)

    def take(self, now: float) -> KeyT | None:
        """Take the key whose turn it is; None when none is due, or none may have a worker.

        It is not given out again before `done`; what is added meanwhile waits for that.
        """
        self._sort_out(now)
        group = self._next_group()
        if group is None:
            return None
        key = self._due[group].pop()
        self._taken[key] = self._wanted.pop(key)
        self._held[group] += 1
        # To the end of the line, even when it has nothing more: else the next key would come first again.
        self._new.pop(group, None)
        self._served.pop(group, None)
        self._served[group] = None
        return key

    def done(self, key: KeyT) -> None:
        """Give back a key that was taken."""
        del self._taken[key]
        group = self._group(key)
        self._held[group] -= 1
        if not self._held[group]:
            del self._held[group]
        if key in self._wanted:
            self._later.push(self._wanted[key], key)

    def next_due(self) -> float | None:
        """Give the time when the next key becomes due that `take` has not seen as such; None when none does."""
        return self._later.first()

    def depth(self, now: float) -> int:
        """Count the keys that are due and wait to be taken."""
        return sum(due <= now and key not in self._taken for key, due in self._wanted.items())

    def oldest_due(self) -> float | None:
        """Give the due time of the key that waits for longest; None when none is wanted."""
        fronts = (heap.first() for heap in (self._later, *self._due.values()))
        return min((due for due in fronts if due is not None), default=None)

    def _sort_out(self, now: float) -> None:
        """Hand the keys that have become due to their groups."""
        while (due := self._later.first()) is not None and due <= now:
            key = self._later.pop()
            group = self._group(key)
            self._due.setdefault(group, _Heap(self._is_stale)).push(due, key)
            if group not in self._served:
                self._new[group] = None

    def _next_group(self) -> Hashable | None:
        """Give the first group in line that may be served, and let those leave it that have nothing due."""
        free = self._workers - len(self._taken)
        chosen, spent = None, []
        # Besides the spent ones, which leave, it passes only groups that hold workers.
        for group in chain(self._new, self._served) if free > 0 else ():
            if group not in self._due or self._due[group].first() is None:
                spent.append(group)
            elif may_take(self._held[group], free):
                chosen = group
                break
        for group in spent:
            self._due.pop(group, None)
            self._new.pop(group, None)
            self._served.pop(group, None)
        return chosen

    def _is_stale(self, due: float, key: KeyT) -> bool:
        return key in self._taken or self._wanted.get(key) != due


class _Heap(Generic[KeyT]):
    """Keys by due time, those of the same time in the order of their coming; drops stale entries."""

    def __init__(self, is_stale: Callable[[float, KeyT], bool]) -> None:
        self._is_stale = is_stale
        self._entries: list[tuple[float, int, KeyT]] = []
        self._order = count()

    def push(self, due: float, key: KeyT) -> None:
        heapq.heappush(self._entries, (due, next(self._order), key))

    def pop(self) -> KeyT:
        """Remove and give the key that `first` has just found."""
        return heapq.heappop(self._entries)[2]

    def first(self) -> float | None:
        """Give the first key's due time; None when there is none."""
        while self._entries and self._is_stale(self._entries[0][0], self._entries[0][2]):
            heapq.heappop(self._entries)
        return self._entries[0][0] if self._entries else None
