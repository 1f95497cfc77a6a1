"""Which records are done, and up to where that may be said."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

P = TypeVar("P", bound=Hashable)


class OffsetTracker(Generic[P]):
    """Kafka knows one number a partition: all records before it are done."""

    def __init__(self) -> None:
        # Taken and not committed, in the order of offsets, with whether they are done.
        self._taken: dict[P, dict[int, bool]] = {}

    def take(self, partition: P, offset: int) -> None:
        """Note a record that was read; offsets of a partition come in ascending order."""
        self._taken.setdefault(partition, {})[offset] = False

    def finish(self, partition: P, offset: int) -> None:
        """Note that a record is done; nothing happens if it was forgotten."""
        if offset in self._taken.get(partition, {}):
            self._taken[partition][offset] = True

    def committable(self) -> dict[P, int]:
        """Return, for each partition with something to commit, the offset after its last record of a done beginning."""
        ends: dict[P, int] = {}
        for partition, records in self._taken.items():
            for offset, done in records.items():
                if not done:
                    break
                ends[partition] = offset + 1
        return ends

    def commit(self, ends: Mapping[P, int]) -> None:
        """Note what was committed."""
        for partition, end in ends.items():
            records = self._taken.get(partition, {})
            self._taken[partition] = {offset: done for offset, done in records.items() if offset >= end}

    def forget(self, partition: P) -> None:
        """Note that a partition went to another member."""
        self._taken.pop(partition, None)
