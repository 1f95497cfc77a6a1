"""Compressed bodies, inflated beside the event loop and within the process's memory budget."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from mooring_inference.access.memory_budget import MemoryBudget
from mooring_inference.errors import RequestError
from mooring_inference.rest.content_encoding import inflate
from mooring_inference.rest.http_server.exchange import Exchange

# zlib lets go of the interpreter while it works, but not of the core.
_THREADS = 2


class Inflater:
    """Takes the content coding off the bodies of requests."""

    def __init__(self, budget: MemoryBudget, limit: int) -> None:
        """``limit`` is of one body, bytes."""
        self._budget = budget
        self._limit = limit
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="inflate")

    async def inflate(self, exchange: Exchange) -> None:
        """Replace a request's body by what it says; what is wrong with it becomes the exchange's refusal."""
        coding = exchange.headers[b"content-encoding"].decode("latin-1")
        held = _Held(self._budget)
        try:
            exchange.body = await asyncio.get_running_loop().run_in_executor(
                self._threads, inflate, exchange.body, coding, self._limit, held.grow
            )
            held.hand_over(exchange)
        except RequestError as error:
            exchange.refusal = error
            exchange.body = b""
        finally:
            held.release()

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class _Held:
    """What one body takes of the budget while it grows."""

    def __init__(self, budget: MemoryBudget) -> None:
        self._budget = budget
        self._size = 0

    def grow(self, size: int) -> None:
        """Count ``size`` bytes in all; raises RequestError, 503, where there is no room for them."""
        if not self._budget.take(size - self._size):
            raise self._budget.refusal(size)
        self._size = size

    def release(self) -> None:
        self._budget.release(self._size)
        self._size = 0

    def hand_over(self, exchange: Exchange) -> None:
        """Have the exchange hold it from now on, until it is answered."""
        size = self._size
        self.release()
        if not exchange.is_gone and (refusal := exchange.hold(size)) is not None:
            raise refusal
