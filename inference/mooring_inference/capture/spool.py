"""Complete files on their way to an object store: the folder where they wait, and the thread that uploads them."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import random
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic

from mooring_artifacts.errors import first_line

from mooring_inference.capture.paths import SPOOLS, find_ours, is_complete, spool_name

_LOCK = "lock"


class Spool:
    """The folder of one process, locked as long as it lives.

    Attributes:
        root: where its files are, as in the object store.
    """

    def __init__(self, base: Path) -> None:
        """Raises OSError where it cannot be made."""
        self._base = base
        self.root = base / spool_name(uuid.uuid4().hex)
        self.root.mkdir(parents=True)
        self._lock = os.open(self.root / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def adopt(self) -> None:
        """Move the complete files here that processes have left which are no more."""
        for folder in self._base.glob(SPOOLS):
            if folder != self.root:
                with contextlib.suppress(OSError), _locked(folder / _LOCK):
                    self._move_all(folder)

    def files(self) -> list[Path]:
        """Return the complete files, oldest first."""
        return sorted(
            (path for path in find_ours(self.root) if is_complete(path)),
            key=lambda path: path.name,
        )

    def close(self) -> None:
        """Give the lock back; an empty folder is removed."""
        if not self.files():
            _remove_tree(self.root)
        os.close(self._lock)

    def _move_all(self, folder: Path) -> None:
        for path in list(find_ours(folder)):
            if is_complete(path):
                target = self.root / path.relative_to(folder)
                target.parent.mkdir(parents=True, exist_ok=True)
                path.rename(target)
            else:
                path.unlink()
        _remove_tree(folder)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock; raises OSError where another process has the lock, or the file is gone."""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _remove_tree(folder: Path) -> None:
    """Remove folders and the lock, and keep all else."""
    with contextlib.suppress(OSError):
        for root, _, _ in os.walk(folder, topdown=False):
            if Path(root) == folder:
                (folder / _LOCK).unlink(missing_ok=True)
            os.rmdir(root)


log = logging.getLogger(__name__)

_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.5, 60.0


class Uploader:
    """A thread that uploads files in their order and removes them; one that fails is tried again, with pauses."""

    def __init__(
        self,
        upload: Callable[[Path], None],
        *,
        on_success: Callable[[], None],
        on_error: Callable[[], None],
        on_size: Callable[[int, int], None],
    ) -> None:
        """An uploader that is not started yet.

        Args:
            upload: uploads one file; may raise anything.
            on_success, on_error: are called after each attempt.
            on_size: is called with the number of files that wait, and their bytes, as often as these change.
        """
        self._upload = upload
        self._on_success = on_success
        self._on_error = on_error
        self._on_size = on_size
        self._waiting: deque[tuple[Path, int]] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name="capture-upload", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def add(self, path: Path, size: int) -> None:
        """Take a file that is complete, and its size in bytes."""
        with self._changed:
            self._waiting.append((path, size))
            self._bytes += size
            self._on_size(len(self._waiting), self._bytes)
            self._changed.notify()

    def close(self, seconds: float) -> bool:
        """Return whether everything was uploaded within so many seconds; the rest stays where it is."""
        deadline = monotonic() + seconds
        with self._changed:
            self._is_closing = True
            self._changed.notify()
            self._changed.wait_for(lambda: not self._waiting, seconds)
            is_done = not self._waiting
            self._waiting.clear()
            self._changed.notify()
        self._thread.join(max(0.0, deadline - monotonic()))
        return is_done

    def _run(self) -> None:
        pause = 0.0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._waiting) or self._is_closing)
                if not self._waiting:
                    return
                path, size = self._waiting[0]
            if self._try(path, is_first=pause == 0.0):
                pause = 0.0
                with self._changed:
                    if self._waiting:
                        self._waiting.popleft()
                        self._bytes -= size
                        self._on_size(len(self._waiting), self._bytes)
                        self._changed.notify_all()
            else:
                pause = min(_LONGEST_PAUSE, max(_SHORTEST_PAUSE, 2 * pause))
                self._wait(pause)

    def _try(self, path: Path, *, is_first: bool) -> bool:
        if not path.exists():  # too old by now
            return True
        try:
            self._upload(path)
        except Exception as error:
            self._on_error()
            if is_first:  # once for each time that it is away
                fields = {"file": path.name, "error": first_line(error)}
                log.warning("capture: an upload failed", extra={"fields": fields})
            return False
        self._on_success()
        path.unlink(missing_ok=True)
        return True

    def _wait(self, seconds: float) -> None:
        # At random, so that replicas do not come back together; short while closing, as it is now or never.
        with self._changed:
            if self._is_closing:
                self._changed.wait_for(lambda: not self._waiting, _SHORTEST_PAUSE)
            else:
                self._changed.wait_for(lambda: self._is_closing, seconds * random.uniform(0.5, 1.0))  # noqa: S311
