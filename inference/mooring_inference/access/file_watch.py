"""Whether files changed, also where Kubernetes swaps a symbolic link under a mounted Secret."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

Fingerprint = tuple[tuple[str, int, int, int], ...]


class FileWatch:
    """Looks at files periodically; for one thread."""

    def __init__(self, files: Callable[[], Sequence[Path]], interval: float) -> None:
        """Look for the first time.

        Args:
            files: the files to look at, asked for each time.
            interval: least time between two looks, seconds.
        """
        self._files, self._interval = files, interval
        self._next: float | None = None
        self._seen = self._look()

    def changed(self, now: float) -> bool:
        """Return whether the files are others than at the last look; False, without a look, until the time has come.

        Args:
            now: of a clock that never goes back, seconds.
        """
        if self._next is not None and now < self._next:
            return False
        self._next = now + self._interval
        seen = self._look()
        # Remembered before the files are read: a change in between is then seen at the next look.
        different, self._seen = seen != self._seen, seen
        return different

    def _look(self) -> Fingerprint:
        found = []
        for path in self._files():
            try:
                # Follows links, so that a swapped link is another file.
                stat = os.stat(path)
            except OSError:
                continue
            found.append((str(path), stat.st_ino, stat.st_mtime_ns, stat.st_size))
        return tuple(found)
