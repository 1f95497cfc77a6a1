"""What a worker process gets from its parent."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class WorkerPlace:
    """What a worker gets from the process that started it.

    Attributes:
        index: its number, from 0.
        listener: file descriptor of the bound socket that all share.
        parent: file descriptor of a pipe that ends when the parent does.
        probes: file descriptor of the bound socket for probes; -1 for none.
        folder: for what workers tell each other.
    """

    index: int
    listener: int
    parent: int
    probes: int
    folder: Path

    def flag(self) -> str:
        """Return the flag for the command line."""
        return f"--worker={self.index}:{self.listener}:{self.parent}:{self.probes}:{self.folder}"

    @classmethod
    def parse(cls, text: str) -> WorkerPlace:
        """Read the flag's value."""
        index, listener, parent, probes, folder = text.split(":", 4)
        return cls(int(index), int(listener), int(parent), int(probes), Path(folder))

    @property
    def descriptors(self) -> tuple[int, ...]:
        """The file descriptors that the worker inherits."""
        return tuple(number for number in (self.listener, self.parent, self.probes) if number >= 0)

    @property
    def is_ready(self) -> bool:
        """Whether the worker's models are loaded."""
        return self._ready.exists()

    @property
    def joins(self) -> bool:
        """Whether another worker serves."""
        return any(path != self._ready for path in self.folder.glob("ready-*"))

    def announce_ready(self) -> None:
        """Announce that the models are loaded."""
        self._ready.touch()

    def withdraw_ready(self) -> bool:
        """Take the announcement back, as the worker has ended; return whether there was one."""
        was_ready = self.is_ready
        self._ready.unlink(missing_ok=True)
        return was_ready

    @property
    def _ready(self) -> Path:
        return self.folder / f"ready-{self.index}"
