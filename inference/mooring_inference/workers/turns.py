"""Which worker takes the next connection: one that does not have more of them than the others."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

_FILE = "connections"
# Numbers of connections plus one; 0 of a worker that takes none.
_NUMBER = struct.Struct("=I")
# A worker may be ahead by so many, and by this part: each takes several in a row, which costs fewer looks.
_AHEAD, _PART_AHEAD = 2, 16


class ConnectionTurns:
    """How many connections each worker has, in memory that all of them share. Each writes its own number."""

    def __init__(self, folder: Path, index: int) -> None:
        """Of a worker; ``prepare`` has made the file.

        Raises:
            OSError: there is no such file.
        """
        with (folder / _FILE).open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 0)
        self._own = index * _NUMBER.size

    @staticmethod
    def prepare(folder: Path, workers: int) -> None:
        """Make the file, for workers of which none takes connections yet."""
        (folder / _FILE).write_bytes(bytes(workers * _NUMBER.size))

    def note(self, connections: int) -> None:
        """Say how many connections the worker has, which takes more of them."""
        _NUMBER.pack_into(self._memory, self._own, connections + 1)

    def withdraw(self) -> None:
        """Say that the worker takes no more connections, or has ended."""
        _NUMBER.pack_into(self._memory, self._own, 0)

    def is_mine(self, connections: int) -> bool:
        """Whether a worker that has so many connections should take the next one."""
        fewest = min((number - 1 for number in self._others() if number), default=connections)
        return connections <= fewest + _AHEAD + fewest // _PART_AHEAD

    def _others(self) -> list[int]:
        numbers = [number for (number,) in _NUMBER.iter_unpack(self._memory[:])]
        del numbers[self._own // _NUMBER.size]
        return numbers
