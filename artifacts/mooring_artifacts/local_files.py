"""Files of the file system, at a path or below it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

MOST_FILES = 10_000


@dataclass(frozen=True)
class StoredFile:
    """One file: its key, its path relative to the address that it was listed under, its size in bytes.

    modified: when it was written, in seconds since 1970 by the clock of where it is; 0 where that was not asked.
    """

    key: str
    path: str
    size: int
    modified: float = field(default=0.0, compare=False)


def files_below(root: Path) -> Iterator[StoredFile]:
    """Plain files at or below `root`, by links too; as many folders as files may be looked into."""
    key = root.as_posix().strip("/")
    if root.is_file():
        about = root.stat()
        yield StoredFile(key, root.name, about.st_size, about.st_mtime)
        return
    folders, visited = [""], 0
    while folders:
        if visited > MOST_FILES:
            raise OSError(f"more than {MOST_FILES} folders")
        visited += 1
        below = folders.pop()
        for entry in _entries(f"{root}/{below}"):
            link = entry.is_symlink()
            if os.path.isfile(entry.path) if link else entry.is_file():
                about = entry.stat()
                path = f"{below}{entry.name}"
                yield StoredFile(f"{key}/{path}", path, about.st_size, about.st_mtime)
            elif os.path.isdir(entry.path) if link else entry.is_dir():
                folders.append(f"{below}{entry.name}/")


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []
