"""Which worker does which part of which file: whoever asks gets work until there is none."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Task:
    """Work for one worker.

    Attributes:
        file: the place of an input file.
        number: the part to score; None: find out which parts the file has, or score all of it where only
            reading it tells.
    """

    file: int
    number: int | None = None


class Schedule:
    """The work of one shard. Each worker goes forward within a file, which is then read once, as long as it can."""

    def __init__(self, divisible: Sequence[bool], shard: int = 0, shards: int = 1) -> None:
        """All of the work, not begun.

        Args:
            divisible: for each input file, whether it tells its parts, so that shards and workers may share it.
            shard, shards: which share of the work, from 0, and of how many.
        """
        self._shard = shard
        self._shards = shards
        self._files = deque(
            file for file, can_share in enumerate(divisible) if can_share or file % shards == shard
        )
        self._runs: dict[int, deque[Task]] = {}
        self._open = 0

    def take(self, worker: int) -> Task | None:
        """Return the next task of a worker; None where there is none, as yet or at all, see ``is_done``."""
        own = self._runs.setdefault(worker, deque())
        if not own and self._files:
            self._open += 1
            return Task(self._files.popleft())
        if not own:
            # The later half of the longest run: both sides then still go forward.
            longest = max(self._runs.values(), key=len)
            own.extendleft(longest.pop() for _ in range((len(longest) + 1) // 2))
        return own.popleft() if own else None

    def add_parts(self, worker: int, file: int, count: int) -> int:
        """Plan a file that a worker has opened and that has ``count`` parts; return how many are this shard's."""
        tasks = [
            Task(file, number) for number in range(count) if (file + number) % self._shards == self._shard
        ]
        self._close(worker, tasks)
        return len(tasks)

    def end_file(self, worker: int) -> None:
        """Note that a worker has done all of a file that is not shared."""
        self._close(worker, ())

    @property
    def is_done(self) -> bool:
        """Whether there is no work left that a worker could get later."""
        return not self._files and not self._open and not any(self._runs.values())

    def _close(self, worker: int, tasks: Iterable[Task]) -> None:
        self._open -= 1
        self._runs[worker].extend(tasks)
