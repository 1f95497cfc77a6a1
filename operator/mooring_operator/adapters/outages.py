"""Remembers when the API server did not answer: whoever else watches it asks again later, and hears of changes late.

Source: client-go 0.34, tools/cache/reflector.go: what has lost its watch waits .8 s, then twice as long each time,
up to 30 s, and up to twice that by chance.
"""

import time
from collections.abc import Callable

_FACTOR, _LEAST_S, _MOST_S = 2.0, 2.0, 60.0


class Outages:
    """Learns from the requests of this process how long the API server was away; `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began: float | None = None
        self._until = clock()

    def note(self, code: int) -> None:
        """Note how a request has ended: the status, or 0 where there was no answer."""
        now = self._clock()
        if code == 0:
            self._began = now if self._began is None else self._began
        elif self._began is not None:
            self._until = now + min(_LEAST_S + _FACTOR * (now - self._began), _MOST_S)
            self._began = None

    @property
    def linger(self) -> bool:
        """Whether others may not have heard yet of what has changed since the last outage."""
        return self._began is not None or self._clock() < self._until
