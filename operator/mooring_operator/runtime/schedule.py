"""Which key is due when, and whose turn it is: the work queue's rules without its tasks.

Keys belong to groups (namespaces). The group that has had the fewest turns comes next. One that had nothing due for
a while has no claim to all that it left out, but to a few turns before the others: who asks seldom is not kept
waiting by who asks without end, nor is what follows from the first answer. While a group has a key due and may have
a worker, each other group is served `BURST` + 2 times at most before it.

Times are seconds of one clock. Every operation takes logarithmic time in the number of keys.

Source: Goyal, Vin and Cheng 1996, "Start-time fair queuing", with credit as in the Linux scheduler for who wakes up.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Hashable
from itertools import count
from typing import Generic, TypeVar

from mooring_operator.planning.sharing import may_take

BURST = 8
"""Turns of which who comes back is ahead at most: about as many as a rollout's step takes."""

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
        # The groups that have keys due, by the number of turns that they have had.
        self._line: list[tuple[int, int, Hashable]] = []
        self._order = count()
        self._turns: dict[Hashable, int] = {}
        self._latest = 0

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
        self._latest = max(self._latest, self._turns[group])
        self._turns[group] += 1
        if self._due[group].first() is None:
            del self._due[group]
        else:
            self._line_up(group)
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
            if group not in self._due:
                self._due[group] = _Heap(self._is_stale)
                self._come_back(group)
                self._line_up(group)
            self._due[group].push(due, key)

    def _come_back(self, group: Hashable) -> None:
        """Let a group that had nothing due be a few turns ahead of the others."""
        if not self._line:
            # Nobody waits: who has had how many turns is of no importance any more.
            self._turns.clear()
        least = self._latest - BURST
        self._turns[group] = max(self._turns.get(group, least), least)

    def _line_up(self, group: Hashable) -> None:
        heapq.heappush(self._line, (self._turns[group], next(self._order), group))

    def _next_group(self) -> Hashable | None:
        """Take the first group out of the line that may be served, and those that have nothing due."""
        free = self._workers - len(self._taken)
        chosen, passed = None, []
        while free > 0 and self._line and chosen is None:
            place = heapq.heappop(self._line)
            group = place[2]
            if self._due[group].first() is None:
                del self._due[group]
            elif may_take(self._held[group], free):
                chosen = group
            else:
                # It holds workers, so there are no more of these than workers.
                passed.append(place)
        for place in passed:
            heapq.heappush(self._line, place)
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
