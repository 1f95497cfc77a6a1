"""Which records are done, up to where that may be said, and how often the others were begun."""

from __future__ import annotations

import re
from collections.abc import Container, Hashable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Generic, TypeVar

P = TypeVar("P", bound=Hashable)

_NOTE = re.compile(r"mooring( \d{1,19}:\d{1,9})+", re.ASCII)
_MOST_RUNS = 100
"""In a note: brokers keep 4096 bytes beside an offset."""


@dataclass
class _Record:
    attempts: int
    done: bool = False


@dataclass
class _Partition:
    """What is known of one partition.

    Attributes:
        runs: ends of runs of offsets, ascending, each with how often its records were begun before.
        taken: records that were read and not committed, in the order of their offsets.
        next: the offset after the last record that was read; what is committed, before the first.
        committed: up to where it is committed; negative where nothing is.
    """

    runs: list[tuple[int, int]]
    next: int
    committed: int
    taken: dict[int, _Record] = field(default_factory=dict)

    def begun(self, offset: int) -> int:
        return next((times for end, times in self.runs if offset < end), 0)

    def committable(self, finished: Container[int] = ()) -> int:
        open_ones = (one for one, record in self.taken.items() if not record.done and one not in finished)
        return next(open_ones, self.next)

    def note(self, start: int) -> str:
        """Say how often each record from ``start`` on was begun."""
        runs = [(offset + 1, record.attempts) for offset, record in self.taken.items() if offset >= start]
        runs += [run for run in self.runs if run[0] > self.next]
        ends = [one for one, following in pairwise([*runs, (0, -1)]) if one[1] != following[1]]
        if len(ends) > _MOST_RUNS:
            # Too often rather than too seldom: what brings consumers down has an end.
            ends = [*ends[: _MOST_RUNS - 1], (ends[-1][0], max(times for _, times in ends[_MOST_RUNS - 1 :]))]
        return " ".join(["mooring", *(f"{end}:{times}" for end, times in ends)]) if ends else ""


class OffsetTracker(Generic[P]):
    """Kafka knows one number a partition, before which all records are done, and keeps a note beside it.

    The note says how often the records after it were begun, which Kafka does not count: ``mooring 12:2 40:1`` are two
    times up to offset 11, and once from there to 39.
    """

    def __init__(self) -> None:
        self._partitions: dict[P, _Partition] = {}

    def begin(self, partition: P, committed: int, note: str) -> None:
        """Note where a partition stands; a note that others wrote says nothing."""
        runs = []
        if _NOTE.fullmatch(note):
            pairs = [run.split(":") for run in note.split()[1:]]
            runs = [(int(end), int(times)) for end, times in pairs]
        self._partitions[partition] = _Partition(sorted(runs), committed, committed)

    def knows(self, partition: P) -> bool:
        """Whether `begin` was told of it, and it was not forgotten."""
        return partition in self._partitions

    def has_begun(self, partition: P) -> bool:
        """Whether the next record may have been begun before; not of a partition that is not known yet."""
        known = self._partitions.get(partition)
        return known is not None and any(known.next < end for end, _ in known.runs)

    def take(self, partition: P, offset: int) -> int:
        """Note a record that was read; offsets of a partition come in ascending order.

        Returns:
            How often it was begun, with this time.
        """
        known = self._partitions[partition]
        record = known.taken[offset] = _Record(known.begun(offset) + 1)
        known.next = offset + 1
        return record.attempts

    def finish(self, partition: P, offset: int) -> None:
        """Note that a record is done; nothing happens if it was forgotten."""
        known = self._partitions.get(partition)
        if known is not None and offset in known.taken:
            known.taken[offset].done = True

    def committable(self) -> dict[P, tuple[int, str]]:
        """Return, for each partition with records that are not committed, the offset to commit and its note."""
        return {
            partition: self.position(partition) for partition, one in self._partitions.items() if one.taken
        }

    def position(self, partition: P, finished: Container[int] = ()) -> tuple[int, str]:
        """Return the offset to commit and its note, once the records ``finished`` are done as well."""
        known = self._partitions[partition]
        offset = known.committable(finished)
        return offset, known.note(offset)

    def holds(self, partition: P, offset: int) -> bool:
        """Whether a record was read of a partition that is known, and is not committed."""
        return partition in self._partitions and offset in self._partitions[partition].taken

    def has_taken(self, partition: P) -> bool:
        """Whether a partition is known that has records which are not committed."""
        return partition in self._partitions and bool(self._partitions[partition].taken)

    def committed(self, partition: P) -> int | None:
        """Return up to where a partition is committed, negative where nothing is; None if it is not known."""
        known = self._partitions.get(partition)
        return known.committed if known else None

    def commit(self, ends: Mapping[P, int]) -> None:
        """Note up to where it was committed."""
        for partition, end in ends.items():
            if known := self._partitions.get(partition):
                known.committed = end
                known.taken = {offset: record for offset, record in known.taken.items() if offset >= end}

    def forget(self, partition: P) -> None:
        """Note that a partition went to another member."""
        self._partitions.pop(partition, None)
