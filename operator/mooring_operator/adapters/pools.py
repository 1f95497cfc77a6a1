"""Bounded calls to systems outside of the cluster: one that stalls takes none of the others with it.

Each system has a pool of its own: so many calls under way, a short wait for one of them to end, and a deadline.
Pools share a room: all of them together leave some of those who could call to do other things.
A call in a thread cannot be cancelled: what is abandoned at its deadline keeps its place in the pool until it
ends by itself, so that there are never more threads than places.
"""

import asyncio
import contextvars
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from typing import Any, TypeVar

from mooring_operator.planning.sharing import may_take

Result = TypeVar("Result")

tenant: ContextVar[str] = ContextVar("tenant", default="")
"""The namespace for which calls are made; each gets its share of a pool."""

_SIZE = 4
_DEADLINE_S = 30.0
_PATIENCE_S = 2.0


class Room:
    """How many calls may be waited for at the same time, to whichever system."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._waited_for = 0
        self._changed = asyncio.Event()

    @property
    def is_full(self) -> bool:
        """Whether one more call would be too many."""
        return self._waited_for >= self._size

    def enter(self) -> None:
        """Begin to wait for a call."""
        self._waited_for += 1

    def leave(self) -> None:
        """Wait for a call no more."""
        self._waited_for -= 1
        self.wake()

    def wake(self) -> None:
        """Have everybody look who waits for a place."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def change(self) -> None:
        """Wait until somebody has left, or given a place back."""
        await self._changed.wait()


class Pool:
    """The calls to one system.

    `unavailable` makes the error of a call that got no place or no answer. `patience` and `deadline` are the
    seconds that a call waits for a place, and for its answer. The `room` is that of several pools.
    """

    def __init__(
        self,
        system: str,
        unavailable: Callable[[str], Exception],
        *,
        size: int = _SIZE,
        deadline: float = _DEADLINE_S,
        patience: float = _PATIENCE_S,
        room: Room | None = None,
    ) -> None:
        self.system = system
        self.size = size
        self.abandoned = 0
        """Threads that nobody waits for any more."""
        self.refused = 0
        """How many calls have got no place."""
        self.expired = 0
        """How many calls have got no answer in time."""
        self._unavailable = unavailable
        self._deadline = deadline
        self._patience = patience
        self._held: Counter[str] = Counter()
        self._room = room or Room(size)

    @property
    def busy(self) -> int:
        """How many places are taken, those of abandoned threads included."""
        return self._held.total()

    async def call(self, work: Callable[[], Awaitable[Result]]) -> Result:
        """Await `work`; it is cancelled at the deadline.

        Raises:
            Exception: what `unavailable` makes, where there was no place or no answer; what `work` raises.
        """
        who = await self._take_place()
        try:
            async with self._in_time():
                return await work()
        finally:
            self._release_place(who)
            self._room.leave()

    async def thread(self, work: Callable[..., Result], *arguments: Any) -> Result:
        """Call `work` in a thread, and abandon it at the deadline.

        Raises:
            Exception: what `unavailable` makes, where there was no place or no answer; what `work` raises.
        """
        who = await self._take_place()
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        try:
            self._start(who, answer, work, arguments)
        except RuntimeError as error:
            self._release_place(who)
            self._room.leave()
            raise self._unavailable(f"{self.system}: no thread can be started: {error}") from error
        try:
            async with self._in_time():
                return await asyncio.shield(answer)
        finally:
            self._room.leave()
            if not answer.done():
                answer.cancel()
                self.abandoned += 1

    def _start(
        self,
        who: str,
        answer: asyncio.Future[Result],
        work: Callable[..., Result],
        arguments: tuple[Any, ...],
    ) -> None:
        loop, context = asyncio.get_running_loop(), contextvars.copy_context()

        def finish(result: Result | None, error: BaseException | None) -> None:
            self._release_place(who)
            if answer.cancelled():
                self.abandoned -= 1
            elif error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(result)  # type: ignore[arg-type]

        def run() -> None:
            result, problem = None, None
            try:
                result = context.run(work, *arguments)
            except BaseException as error:
                problem = error
            # The loop may have ended before an abandoned thread does.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(finish, result, problem)

        # A daemon: the process must be able to end while a system stalls.
        threading.Thread(target=run, name=f"mooring-{self.system}", daemon=True).start()

    async def _take_place(self) -> str:
        """Take a place for the current tenant, who is given back."""
        who = tenant.get()
        try:
            async with asyncio.timeout(self._patience):
                while self._room.is_full or not may_take(self._held[who], self.size - self.busy):
                    await self._room.change()
        except TimeoutError:
            self.refused += 1
            # No numbers: it becomes a status, which is written when it changes.
            raise self._unavailable(f"{self.system}: too many calls are under way and do not end") from None
        self._held[who] += 1
        self._room.enter()
        return who

    def _release_place(self, who: str) -> None:
        self._held[who] -= 1
        if not self._held[who]:
            del self._held[who]
        self._room.wake()

    @asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        limit = asyncio.timeout(self._deadline)
        try:
            async with limit:
                yield
        except TimeoutError:
            if not limit.expired():
                raise
            self.expired += 1
            raise self._unavailable(f"{self.system}: no answer within {self._deadline:g} s") from None
