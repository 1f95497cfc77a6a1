"""Joins requests and their answers, bounded in memory and time. Pure: told what time it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from mooring_inference.collect.events import Event

# Of the objects that hold a waiting body together; generous.
EVENT_BYTES = 1024


class Half(NamedTuple):
    """A body that waits for its other half.

    Attributes:
        event: what it is.
        body: as it came.
        time: when it came, seconds on any clock that never goes back.
    """

    event: Event
    body: bytes
    time: float


class Pair(NamedTuple):
    """A request and its answer."""

    request: Half
    response: Half

    @property
    def seconds(self) -> float:
        """From the one to the other; 0 where the answer's event was faster."""
        return max(0.0, self.response.time - self.request.time)


class DuplicateError(Exception):
    """The same half of a pair came twice, and the first still waits."""


class FullError(Exception):
    """As many bytes wait as may."""


class Joiner:
    """Bodies that wait for their other half, oldest first.

    Attributes:
        held_bytes: of all that wait.
    """

    def __init__(self, max_bytes: int, seconds: float) -> None:
        """Make one that holds ``max_bytes`` at most, each for ``seconds`` at most."""
        self.held_bytes = 0
        self._max_bytes = max_bytes
        self._seconds = seconds
        self._waiting: dict[tuple[object, ...], Half] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, event: Event, body: bytes, now: float) -> Pair | None:
        """Return the pair that this body completes; None where it has to wait.

        Raises:
            DuplicateError: the same half waits already.
            FullError: there is no room for it to wait.
        """
        key = (event.place, event.namespace, event.id)
        half = Half(event, body, now)
        other = self._waiting.get(key)
        if other is None:
            size = len(body) + EVENT_BYTES
            if self.held_bytes + size > self._max_bytes:
                raise FullError
            self._waiting[key] = half
            self.held_bytes += size
            return None
        if other.event.is_request == event.is_request:
            raise DuplicateError
        del self._waiting[key]
        self.held_bytes -= len(other.body) + EVENT_BYTES
        return Pair(half, other) if event.is_request else Pair(other, half)

    def expire(self, now: float) -> Iterator[Half]:
        """Give up, and yield, what has waited for too long."""
        return self._give_up(now - self._seconds)

    def clear(self) -> Iterator[Half]:
        """Give up, and yield, all that waits."""
        return self._give_up(float("inf"))

    def _give_up(self, until: float) -> Iterator[Half]:
        while self._waiting:
            key, half = next(iter(self._waiting.items()))
            if half.time > until:
                return
            del self._waiting[key]
            self.held_bytes -= len(half.body) + EVENT_BYTES
            yield half
