"""Whether other work makes room for what is urgent: for a while, and then not for as long."""

import time
from collections.abc import Callable

MOST_S = 2.0
"""How long other work makes room in a row. Whoever finds something urgent without end takes half of the time."""


class Precedence:
    """Says when other work makes room for an urgent one, which is going on where `busy` says so."""

    def __init__(self, busy: Callable[[], bool], clock: Callable[[], float] = time.monotonic) -> None:
        self._busy = busy
        self._clock = clock
        self._began = float("-inf")

    def holds(self) -> bool:
        """Whether other work makes room now."""
        if not self._busy():
            return False
        now = self._clock()
        if now - self._began >= 2 * MOST_S:
            self._began = now
        return now - self._began < MOST_S
