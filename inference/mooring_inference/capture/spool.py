"""A folder of complete files that wait for the object store; what a process leaves, a later one takes over."""

from __future__ import annotations

import contextlib
import fcntl
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

from mooring_inference.capture.parts import UNFINISHED

_PREFIX = "spool-"
_LOCK = "lock"


class Spool:
    """The folder of one process, locked as long as it lives.

    Attributes:
        root: where its files are, as in the object store.
    """

    def __init__(self, base: Path) -> None:
        """Raises OSError where it cannot be made."""
        self._base = base
        self.root = base / f"{_PREFIX}{uuid.uuid4().hex}"
        self.root.mkdir(parents=True)
        self._lock = os.open(self.root / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def adopt(self) -> None:
        """Move the complete files here that processes have left which are no more."""
        for folder in self._base.glob(f"{_PREFIX}*"):
            if folder != self.root:
                with contextlib.suppress(OSError), _locked(folder / _LOCK):
                    self._move_all(folder)

    def files(self) -> list[Path]:
        """The complete files, oldest first."""
        return sorted(
            (path for path in self.root.rglob("*.parquet") if path.parent.name != UNFINISHED),
            key=lambda path: path.name,
        )

    def close(self) -> None:
        """Give the lock back; an empty folder is removed."""
        if not self.files():
            _remove_tree(self.root)
        os.close(self._lock)

    def _move_all(self, folder: Path) -> None:
        for path in folder.rglob("*.parquet"):
            if path.parent.name == UNFINISHED:
                path.unlink()
            else:
                target = self.root / path.relative_to(folder)
                target.parent.mkdir(parents=True, exist_ok=True)
                path.rename(target)
        _remove_tree(folder)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Raises OSError where another process has the lock, or the file is gone."""
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
