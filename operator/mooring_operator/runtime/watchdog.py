"""Watches the event loop: how late it is, and what blocks it."""

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable

logger = logging.getLogger(__name__)

INTERVAL = 1.0
BLOCKED_AFTER = 5.0


class Watchdog:
    """Measures the loop's lag, and logs where the code stands when nothing else has run for a while.

    The log line comes from a thread: a loop that is blocked can say nothing itself, and its probes fail.
    """

    def __init__(
        self,
        observe: Callable[[float], None],
        *,
        interval: float = INTERVAL,
        blocked_after: float = BLOCKED_AFTER,
    ) -> None:
        self._observe = observe
        self._interval = interval
        self._blocked_after = blocked_after
        self._beat = time.monotonic()
        self._ended = threading.Event()

    async def run(self) -> None:
        """Watch until cancelled."""
        watching = threading.get_ident()
        self._beat = time.monotonic()
        threading.Thread(target=self._watch, args=(watching,), name="watchdog", daemon=True).start()
        try:
            while True:
                await asyncio.sleep(self._interval)
                now = time.monotonic()
                self._observe(max(0.0, now - self._beat - self._interval))
                self._beat = now
        finally:
            self._ended.set()

    def _watch(self, watched: int) -> None:
        said_for = None
        while not self._ended.wait(self._interval):
            beat = self._beat
            silent = time.monotonic() - beat
            if silent < self._blocked_after + self._interval or said_for == beat:
                continue
            said_for = beat
            frame = sys._current_frames().get(watched)
            where = "".join(traceback.format_stack(frame)) if frame is not None else "unknown"
            logger.critical("the event loop has been blocked for %.0f s:\n%s", silent, where)
