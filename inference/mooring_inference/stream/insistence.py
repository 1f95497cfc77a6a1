"""Calls to systems that may be away: tried until they answer, or until a stop leaves no more time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from mooring_inference.stream.interfaces import Unavailable
from mooring_inference.stream.metrics import StreamMetrics

log = logging.getLogger(__name__)

T = TypeVar("T")


class GaveUp(Exception):
    """A stop was asked for, and some system stayed away for the whole grace period."""


class Insistence:
    """How one consumer calls its systems, and the stop that ends it."""

    def __init__(
        self, metrics: StreamMetrics, *, grace: float, backoff: float, longest_backoff: float
    ) -> None:
        """Calls with pauses.

        Args:
            metrics: where it is noted which systems are up.
            grace: seconds after a stop for calls to succeed.
            backoff: seconds to wait after a first failure; doubles up to ``longest_backoff``.
            longest_backoff: seconds.
        """
        self._metrics = metrics
        self._grace = grace
        self._backoff = backoff
        self._longest_backoff = longest_backoff
        self._stop = asyncio.Event()
        self._deadline: float | None = None

    @property
    def stopping(self) -> bool:
        """Whether a stop was asked for."""
        return self._stop.is_set()

    def stop(self) -> None:
        """Let what is under way be finished within the grace period."""
        if not self.stopping:
            self._deadline = time.monotonic() + self._grace
            self._stop.set()

    async def until_answered(self, role: str, call: Callable[[], Awaitable[T]]) -> T:
        """Call until the system answers.

        Args:
            role: `source`, `sink` or `dead_letters`.
            call: may raise Unavailable.

        Raises:
            GaveUp: a stop leaves no more time.
        """
        pause = self._backoff
        while True:
            try:
                result = await call()
            except Unavailable as exc:
                self.note_down(role, exc)
            else:
                self._metrics.note_up(role)
                return result
            self._metrics.note_alive()
            if self._deadline is not None and time.monotonic() >= self._deadline:
                raise GaveUp
            await self._pause(pause)
            pause = self.longer(pause)

    def longer(self, pause: float) -> float:
        """Give the pause after the next failure, in seconds."""
        return min(2 * pause, self._longest_backoff)

    def note_down(self, role: str, exc: Unavailable) -> None:
        """Say that a system is away."""
        self._metrics.note_down(role)
        log.warning("unavailable", extra={"fields": {"role": role, "reason": str(exc)}})

    async def _pause(self, seconds: float) -> None:
        if self._deadline is not None:
            await asyncio.sleep(max(0.0, min(seconds, self._deadline - time.monotonic())))
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)
