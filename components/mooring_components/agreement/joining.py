"""Finds the two answers to one request among all that two revisions kept, and counts how many differ. Pure.

Of each request one row counts: rows of one request are alike, and a thousand of one caller are not a thousand answers.
What one revision answered is held, and what the other answered is looked up and forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

import numpy as np

Value = int | str | bool | bytes | None
"""An answer as it is compared: a class or a text, or 64-bit floats as bytes; None where the model failed."""

MOST_REQUESTS = 100_000
MOST_BYTES = 64 << 20
"""Of one look. Where there are more, a share of them is compared, drawn by their ids."""

_WHOLE = 1 << 64
_KEPT_BYTES = 200
"""That one request takes beside its answer."""


class Kept(NamedTuple):
    """One row of a request: the request's id, how many rows that has, which one it is, and its answer.

    within: whether it was answered in the time of the look, and not just before or after it.
    """

    id: str
    rows: int
    row: int
    value: Value
    within: bool = True


class Asked(NamedTuple):
    """A request of the stable revision: the row that is compared, its answer, and how often there is that row."""

    row: int
    value: Value
    times: int


@dataclass(frozen=True)
class Counts:
    """What was found.

    pairs: requests that both revisions answered. disagreements: those of them that they answered otherwise.
    failed: those that one of both failed at. repeated: ids that stand for several requests, which tell nothing.
    stable, candidate: requests that each of them kept, in a share that was drawn where there are too many.
    """

    pairs: int = 0
    disagreements: int = 0
    failed: int = 0
    repeated: int = 0
    stable: int = 0
    candidate: int = 0


def chosen_row(request_id: str, rows: int) -> int:
    """Give the row of a request that counts: any of them, and the same whoever asks."""
    return _digest(request_id) % rows


class Join:
    """The requests of one look: first those of the stable revision, then those of the candidate."""

    def __init__(
        self, tolerance: float | None, *, most: int = MOST_REQUESTS, most_bytes: int = MOST_BYTES
    ) -> None:
        self._tolerance = tolerance
        self._most, self._most_bytes = most, most_bytes
        self._share = _WHOLE
        self._asked: dict[int, Asked] = {}
        self._bytes = 0
        self._answered: dict[int, tuple[int, Value]] = {}
        self._candidate: set[int] = set()

    @property
    def held(self) -> int:
        """How many requests are held."""
        return len(self._asked)

    def stable(self, rows: Iterable[Kept]) -> None:
        """Take rows of the stable revision, in any order."""
        for kept in rows:
            digest = _digest(kept.id)
            if digest >= self._share or not kept.within:
                continue
            known = self._asked.get(digest)
            if known is None:
                if kept.row != chosen_row(kept.id, kept.rows):
                    continue
                self._asked[digest] = Asked(kept.row, kept.value, 1)
                self._bytes += _size(kept.value)
                self._fit()
            elif known.row == kept.row:
                self._asked[digest] = known._replace(value=None, times=known.times + 1)

    def candidate(self, rows: Iterable[Kept]) -> None:
        """Take rows of the candidate, after all of the stable revision."""
        for kept in rows:
            digest = _digest(kept.id)
            if digest >= self._share:
                continue
            if kept.within and kept.row == 0:
                self._candidate.add(digest)
            asked = self._asked.get(digest)
            if asked is not None and asked.row == kept.row:
                times = self._answered[digest][0] + 1 if digest in self._answered else 1
                self._answered[digest] = times, kept.value

    def counts(self) -> Counts:
        """Give what was found."""
        pairs = disagreements = failed = repeated = 0
        for digest, asked in self._asked.items():
            times, value = self._answered.get(digest, (0, None))
            if asked.times > 1 or times > 1:
                repeated += 1
            elif times and (value is None or asked.value is None):
                failed += 1
            elif times:
                pairs += 1
                disagreements += not agree(asked.value, value, self._tolerance)
        return Counts(pairs, disagreements, failed, repeated, len(self._asked), len(self._candidate))

    def _fit(self) -> None:
        """Hold fewer requests: half of them by their ids, which the candidate's copies share."""
        while len(self._asked) > self._most or self._bytes > self._most_bytes:
            self._share //= 2
            self._asked = {digest: asked for digest, asked in self._asked.items() if digest < self._share}
            self._bytes = sum(_size(asked.value) for asked in self._asked.values())


def agree(one: Value, other: Value, tolerance: float | None) -> bool:
    """Whether two answers are the same: equal, or each number within `tolerance` of the other one's."""
    if tolerance is None or not (isinstance(one, bytes) and isinstance(other, bytes)):
        return one == other
    left, right = np.frombuffer(one), np.frombuffer(other)
    return len(left) == len(right) and bool(
        np.isclose(left, right, rtol=0.0, atol=tolerance, equal_nan=True).all()
    )


def _size(value: Value) -> int:
    return _KEPT_BYTES + (len(value) if isinstance(value, bytes | str) else 0)


def _digest(request_id: str) -> int:
    return int.from_bytes(blake2b(request_id.encode("utf-8", "replace"), digest_size=8).digest())
