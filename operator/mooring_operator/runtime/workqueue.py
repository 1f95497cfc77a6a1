"""The keyed work queue: many keys, a few workers, never two on the same key, namespaces by turns."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from mooring_operator.adapters import pools
from mooring_operator.adapters.cluster import ClusterError, Conflict
from mooring_operator.runtime.backoff import Backoff
from mooring_operator.runtime.logs import current_resource
from mooring_operator.runtime.schedule import Schedule

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Key:
    """Names the object that is to be reconciled."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.namespace}/{self.name}"


Process = Callable[[Key], Awaitable[float | None]]
"""Works on a key; gives the seconds until it wants to again, None: only when it is added."""


class WorkQueue:
    """Calls `process` for each key that is due, with back-off after exceptions.

    It starts paused. While it is paused, keys are collected and none is worked on.
    `expected` are exceptions that are part of life and are logged in one line, without a traceback.
    While it `yields` no work is begun beside other work of its own. `rested` is told when no work is left.
    """

    def __init__(
        self,
        process: Process,
        *,
        workers: int,
        expected: tuple[type[Exception], ...] = (ClusterError,),
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        rand: Callable[[], float] = random.random,
        schedule: Schedule[Key] | None = None,
        yields: Callable[[], bool] = lambda: False,
        rested: Callable[[], None] = lambda: None,
    ) -> None:
        self._process = process
        self._workers = workers
        self._expected = expected
        self._clock = clock
        self._sleep = sleep
        self._rand = rand
        self._schedule = schedule or Schedule(workers, lambda key: key.namespace)
        self._yields = yields
        self._rested = rested
        self._backoffs: dict[Key, Backoff] = {}
        self._tasks: dict[asyncio.Task[None], float] = {}
        self._changed = asyncio.Event()
        self._resumed_at: float | None = None
        self._closed = False

    def add(self, key: Key) -> None:
        """Have `key` worked on as soon as possible; once more when it is being worked on now."""
        self.add_after(key, 0.0)

    def add_after(self, key: Key, delay: float) -> None:
        """Have `key` worked on in `delay` seconds, or earlier where it is wanted earlier."""
        self._schedule.add(key, self._clock() + delay)
        self._changed.set()

    def discard(self, key: Key) -> None:
        """Forget that `key` was to be worked on."""
        self._schedule.discard(key)

    @property
    def depth(self) -> int:
        """The number of keys that are due and wait for a worker."""
        return self._schedule.depth(self._clock())

    @property
    def oldest_age(self) -> float:
        """Seconds since the oldest key that waits for a worker was due; 0 while paused."""
        due = self._schedule.oldest_due()
        if due is None or self._resumed_at is None:
            return 0.0
        return max(0.0, self._clock() - max(due, self._resumed_at))

    @property
    def busy(self) -> int:
        """The number of workers that are at work."""
        return len(self._tasks)

    @property
    def longest_work(self) -> float:
        """Seconds that the worker has been at work that has been so for longest."""
        now = self._clock()
        return now - min(self._tasks.values(), default=now)

    def look_again(self) -> None:
        """Begin what can be begun by now: it need not yield any more."""
        self._changed.set()

    def resume(self) -> None:
        """Begin to work."""
        self._resumed_at = self._clock()
        self._changed.set()

    async def pause(self, deadline: float) -> bool:
        """Stop at once: cancel what is being worked on, and keep it for `resume`.

        Returns:
            Whether all work has ended within `deadline` seconds.
        """
        self._resumed_at = None
        for task in self._tasks:
            task.cancel()
        return await self._finished(deadline)

    async def stop(self, deadline: float) -> bool:
        """Take no more keys, and give running work `deadline` seconds to finish before it is cancelled.

        Returns:
            Whether all work finished by itself.
        """
        self._closed = True
        self._changed.set()
        if await self._finished(deadline):
            return True
        await self.pause(deadline=1.0)
        return False

    async def run(self) -> None:
        """Hand keys to workers until `stop`."""
        while not self._closed:
            self._changed.clear()
            self._start_due()
            await self._wait()

    def _start_due(self) -> None:
        while not self._closed and self._has_room():
            key = self._schedule.take(self._clock())
            if key is None:
                return
            task = asyncio.create_task(self._work(key), name=str(key))
            self._tasks[task] = self._clock()
            task.add_done_callback(lambda task, key=key: self._give_back(task, key))  # type: ignore[misc]

    def _has_room(self) -> bool:
        # One goes on whatever is urgent.
        workers = self._workers if not self._tasks or not self._yields() else 1
        return self._resumed_at is not None and len(self._tasks) < workers

    def _give_back(self, task: asyncio.Task[None], key: Key) -> None:
        # A callback, for a task that is cancelled before its first step runs no line of `_work`.
        del self._tasks[task]
        if task.cancelled():
            self._schedule.add(key, self._clock())
        self._schedule.done(key)
        self._changed.set()
        if not self._tasks:
            self._rested()

    async def _wait(self) -> None:
        """Wait for a change, or until the next key becomes due, where a worker is free."""
        due = self._schedule.next_due()
        if due is None or not self._has_room():
            await self._changed.wait()
            return
        changed = asyncio.ensure_future(self._changed.wait())
        timer = asyncio.ensure_future(self._sleep(max(0.0, due - self._clock())))
        try:
            await asyncio.wait((changed, timer), return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()
            timer.cancel()

    async def _work(self, key: Key) -> None:
        current_resource.set(str(key))
        pools.tenant.set(key.namespace)
        try:
            again = await self._process(key)
        except Exception as error:
            again = self._retry(key, error)
        else:
            self._backoffs.pop(key, None)
        if again is not None:
            self.add_after(key, again)

    def _retry(self, key: Key, error: Exception) -> float:
        delay = self._backoffs.setdefault(key, Backoff(self._rand)).delay(error)
        if isinstance(error, Conflict) and delay == 0:
            logger.debug("changed meanwhile, again: %s", error)
        elif isinstance(error, self._expected):
            logger.warning("%s: %s; again in %.1f s", type(error).__name__, error, delay)
        else:
            logger.error("reconciling failed: %s; again in %.1f s", error, delay, exc_info=error)
        return delay

    async def _finished(self, deadline: float) -> bool:
        if not self._tasks:
            return True
        with suppress(TimeoutError):
            async with asyncio.timeout(deadline):
                while self._tasks:
                    await asyncio.wait(set(self._tasks))
                    # Lets the callbacks run that give the keys back.
                    await asyncio.sleep(0)
        return not self._tasks
