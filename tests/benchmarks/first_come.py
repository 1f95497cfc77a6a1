"""The scripted operator with the queue that it once had: one for all kinds and namespaces, first come first served."""

import heapq
from itertools import count
from typing import Any

from mooring_operator.main import run
from mooring_operator.runtime import engine
from mooring_operator.runtime.lanes import Lanes
from mooring_operator.runtime.workqueue import Key, Process, WorkQueue
from mooring_operator.settings import read_settings

from tests.operator.scripted_operator import build


class FirstCome:
    """Keys by the time at which they were due; nothing else counts."""

    def __init__(self) -> None:
        self._wanted: dict[Key, float] = {}
        self._taken: dict[Key, float] = {}
        self._heap: list[tuple[float, int, Key]] = []
        self._order = count()

    def add(self, key: Key, due: float) -> None:
        if due < self._wanted.get(key, float("inf")):
            self._wanted[key] = due
            if key not in self._taken:
                self._push(key)

    def discard(self, key: Key) -> None:
        self._wanted.pop(key, None)

    def take(self, now: float) -> Key | None:
        due = self.next_due()
        if due is None or due > now:
            return None
        key = heapq.heappop(self._heap)[2]
        self._taken[key] = self._wanted.pop(key)
        return key

    def done(self, key: Key) -> None:
        del self._taken[key]
        if key in self._wanted:
            self._push(key)

    def next_due(self) -> float | None:
        while self._heap:
            due, _, key = self._heap[0]
            if key not in self._taken and self._wanted.get(key) == due:
                return due
            heapq.heappop(self._heap)
        return None

    def depth(self, now: float) -> int:
        return sum(due <= now for due in self._wanted.values())

    def oldest_due(self) -> float | None:
        return self.next_due()

    def _push(self, key: Key) -> None:
        heapq.heappush(self._heap, (self._wanted[key], next(self._order), key))


class OneLane(Lanes):
    """The same queue for every kind."""

    def __init__(self, process: Process, kinds: Any, **options: Any) -> None:
        self.queue = WorkQueue(process, **options, schedule=FirstCome())  # type: ignore[arg-type]
        self.queues = dict.fromkeys(kinds, self.queue)

    async def run(self) -> None:
        await self.queue.run()


if __name__ == "__main__":
    engine.Lanes = OneLane  # type: ignore[misc]
    run(read_settings(), build)
