"""How long a key waits after a failure."""

import random
from collections.abc import Callable

from mooring_operator.adapters.cluster import Conflict

FIRST = 1.0
LONGEST = 60.0
_QUICK_CONFLICTS = 5


class Backoff:
    """Delays of one key: doubled from 1 s to 60 s, give or take a fifth; a Conflict is tried at once."""

    def __init__(self, rand: Callable[[], float] = random.random) -> None:
        self._rand = rand
        self._failures = 0
        self._conflicts = 0

    def delay(self, error: BaseException) -> float:
        """Give the seconds to wait after `error`; at least its `retry_after`, where it has one."""
        if isinstance(error, Conflict):
            self._conflicts += 1
            # Somebody who writes as fast as we read, or a stale reader: do not spin.
            if self._conflicts <= _QUICK_CONFLICTS:
                return 0.0
        self._failures += 1
        doubled = FIRST * 2.0 ** min(self._failures - 1, 16)
        delay = min(max(doubled * (0.8 + 0.4 * self._rand()), FIRST), LONGEST)
        return max(delay, getattr(error, "retry_after", None) or 0.0)
