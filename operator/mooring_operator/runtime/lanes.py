"""One work queue for each kind: what one kind waits for holds no worker of another.

They share a process and an API server all the same, so those of other kinds make room for the urgent one.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import Any

from mooring_operator.runtime.precedence import Precedence
from mooring_operator.runtime.workqueue import Key, Process, WorkQueue


class Lanes:
    """The queues of all kinds, each with `workers` workers, behind the interface of one; one kind may be `urgent`."""

    def __init__(self, process: Process, kinds: Iterable[str], *, urgent: str = "", **options: Any) -> None:
        precedence = Precedence(lambda: self.queues[urgent].busy > 0, options.get("clock", time.monotonic))
        own: Mapping[str, Any] = {"rested": self._look_again}
        others: Mapping[str, Any] = {"yields": precedence.holds} if urgent else {}
        self.queues: Mapping[str, WorkQueue] = {
            kind: WorkQueue(process, **options, **(own if kind == urgent else others)) for kind in kinds
        }

    def _look_again(self) -> None:
        for queue in self.queues.values():
            queue.look_again()

    def add(self, key: Key) -> None:
        """Have `key` worked on as soon as possible; once more when it is being worked on now."""
        self.queues[key.kind].add(key)

    def add_after(self, key: Key, delay: float) -> None:
        """Have `key` worked on in `delay` seconds, or earlier where it is wanted earlier."""
        self.queues[key.kind].add_after(key, delay)

    def discard(self, key: Key) -> None:
        """Forget that `key` was to be worked on."""
        self.queues[key.kind].discard(key)

    @property
    def longest_work(self) -> float:
        """Seconds that the worker has been at work that has been so for longest."""
        return max(queue.longest_work for queue in self.queues.values())

    def resume(self) -> None:
        """Begin to work."""
        for queue in self.queues.values():
            queue.resume()

    async def pause(self, deadline: float) -> bool:
        """Stop at once; see `WorkQueue.pause`."""
        return all(await asyncio.gather(*(queue.pause(deadline) for queue in self.queues.values())))

    async def stop(self, deadline: float) -> bool:
        """Take no more keys, and let running work finish; see `WorkQueue.stop`."""
        return all(await asyncio.gather(*(queue.stop(deadline) for queue in self.queues.values())))

    async def run(self) -> None:
        """Hand keys to workers until `stop`."""
        await asyncio.gather(*(queue.run() for queue in self.queues.values()))
