"""When all callers of a server that drains have been told to leave it.

grpc tells them by the age of their connections alone, and cancels what still comes when it stops. So whoever connects
late in the drain, as its load balancer has not noticed yet, must be waited for.
"""

from __future__ import annotations

from time import perf_counter

# What grpc adds to the age of a connection by chance, and what the notice takes to get there and be obeyed, seconds.
_JITTER, _NOTICE_SECONDS = 0.1, 0.1


class Renewal:
    """Knows which connections have called since the drain began, and since when.

    Attributes:
        seconds: after which every connection has been told.
        calls: how many have come since the drain began; about, as threads count together.
    """

    def __init__(self, max_connection_seconds: float) -> None:
        """``max_connection_seconds`` as the grpc server has them; 0 where it tells nobody."""
        self.seconds = (
            (1 + _JITTER) * max_connection_seconds + _NOTICE_SECONDS if max_connection_seconds else 0.0
        )
        self._since: dict[str, float] | None = None
        self.calls = 0

    @property
    def is_awaited(self) -> bool:
        """Whether calls have to be noted."""
        return self._since is not None

    def begin(self) -> None:
        """Note calls from now on."""
        self._since = {}

    def note(self, peer: str) -> None:
        """Note a call; from any thread."""
        if self._since is not None:
            self._since.setdefault(peer, perf_counter())
            self.calls += 1

    def seconds_left(self) -> float:
        """Return how long it takes until whoever has called so far has been told; 0 or less where it was."""
        # A copy, since other threads may add to it.
        latest = max(list((self._since or {}).values()), default=0.0)
        return latest + self.seconds - perf_counter()
