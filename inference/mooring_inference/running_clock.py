"""Time in which this process ran.

A machine that has too much to do, or a frozen container, stands still for seconds. What was sent meanwhile has come,
and nobody has read it: a limit that goes by the clock would end it as late.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter


class RunningClock:
    """A clock that is told every now and then, and takes no step longer than ``longest`` seconds between."""

    def __init__(self, longest: float, clock: Callable[[], float] = perf_counter) -> None:
        self._longest = longest
        self._clock = clock
        # One value, as other threads read it.
        self._last = (0.0, clock())

    def tick(self) -> float:
        """Take a step; gives how much of the time since the last one did not count."""
        ran, then = self._last
        now = self._clock()
        step = min(now - then, self._longest)
        self._last = (ran + step, now)
        return now - then - step

    def read(self) -> float:
        """Return the seconds so far; from any thread."""
        ran, then = self._last
        return ran + min(self._clock() - then, self._longest)
