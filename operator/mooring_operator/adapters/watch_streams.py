"""How far a watch has come: what the operator itself has written has come back by it.

A watch tells of all objects of its kind in the order in which they were written. So once it has told of anything as
late as a write of ours, it has told of everything that was written before that was sent.
"""

from collections import deque
from dataclasses import dataclass

_APART_S = 0.1
"""Of writes that were sent closer together, one is minded: some are on their way at any time."""
HANDED_OVER_S = 2.0
"""What is read before something else of the stream may be handed over after it, for each object has a queue of its
own: later by a few turns of the event loop, which are long where it is late, and not by this."""


@dataclass
class _Write:
    version: int
    sent_at: float
    came_back_at: float | None = None


class WatchStream:
    """One watch, of which `lasts` seconds are of interest; times are seconds of one clock."""

    def __init__(self, lasts: float) -> None:
        self._lasts = lasts
        self._writes: deque[_Write] = deque()
        self._current_at = float("-inf")
        self.listed_at = float("-inf")
        """When something was listed last: a list does not say what is gone, nor in what order the rest has changed."""

    def wrote(self, version: int, sent_at: float) -> None:
        """A write that was sent then has made this version."""
        if not self._writes or sent_at - self._writes[-1].sent_at >= _APART_S:
            self._writes.append(_Write(version, sent_at))

    def told(self, version: int, now: float) -> None:
        """The watch has come to this version."""
        for write in self._writes:
            if write.came_back_at is None and write.version <= version:
                write.came_back_at = now

    def current_at(self, now: float) -> float:
        """Give when all that the watch has told was all that there was to tell; -inf where nothing shows it."""
        for write in self._writes:
            if write.came_back_at is not None and now - write.came_back_at >= HANDED_OVER_S:
                self._current_at = max(self._current_at, write.sent_at)
        while self._writes and (
            self._writes[0].sent_at <= self._current_at or now - self._writes[0].sent_at > self._lasts
        ):
            self._writes.popleft()
        return self._current_at
