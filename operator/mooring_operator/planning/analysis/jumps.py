"""How much the candidate's rate jumps from one block of looks to the next: bursts that only it has.

Blocks that follow each other are compared, and not all with their mean: a fault that begins once, or a load that moves
slowly, is one difference of many and no burst.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import sqrt

from mooring_operator.planning.analysis.bursts import DENSE, LARGEST

BLOCKS = (1, 3, 6)
"""Looks: bursts of up to six looks, a minute, show in blocks of them."""
_DOUBT = 1.0
"""Standard errors by which jumps have to be beyond chance, before a FAIL takes longer by them."""
_PASSING_DOUBT, _FEW = 0.5, 4.0
"""For a PASS: the same, and how much more few differences may hide, times one by their number."""


@dataclass(frozen=True)
class _Blocks:
    """Blocks of one size: that which is not full, the one before, and sums over the differences so far.

    squares: of differences between rates, by the requests behind them. chance: what independent requests would make of
    that. scale: what a theta of 1 would add to it.
    """

    events: float = 0.0
    requests: float = 0.0
    events_before: float = 0.0
    requests_before: float = 0.0
    squares: float = 0.0
    chance: float = 0.0
    scale: float = 0.0
    differences: int = 0

    def after(self, events: float, requests: float, *, full: bool) -> "_Blocks":
        x, n = self.events + events, self.requests + requests
        y, m = self.events_before, self.requests_before
        if not full or not n:
            return _Blocks(x, n, y, m, self.squares, self.chance, self.scale, self.differences)
        if not m:
            return _Blocks(0.0, 0.0, x, n, self.squares, self.chance, self.scale, self.differences)
        weight, rate = n * m / (n + m), (x + y) / (n + m)
        return _Blocks(
            0.0,
            0.0,
            x,
            n,
            self.squares + weight * (x / n - y / m) ** 2,
            self.chance + rate * (1 - rate if rate >= DENSE else 1),
            self.scale + 2 * weight * rate * (1 - rate if rate >= DENSE else 1),
            self.differences + 1,
        )

    def theta(self, doubt: float) -> float:
        """The scale that these blocks show, less so many standard errors of what chance makes of them."""
        if not self.scale:
            return 0.0
        return (self.squares - self.chance * (1 + doubt * sqrt(2 / self.differences))) / self.scale


@dataclass(frozen=True)
class Jumps:
    """What the candidate has shown so far."""

    looks: int = 0
    blocks: tuple[_Blocks, ...] = (_Blocks(),) * len(BLOCKS)

    def after(self, events: float, requests: float) -> "Jumps":
        """Take one more look at the candidate."""
        looks = self.looks + 1
        blocks = (
            known.after(events, requests, full=looks % size == 0)
            for size, known in zip(BLOCKS, self.blocks, strict=True)
        )
        return Jumps(looks, tuple(blocks))

    @property
    def theta(self) -> float:
        """The scale for bets on FAIL."""
        shown = (size * known.theta(_DOUBT) for size, known in zip(BLOCKS, self.blocks, strict=True))
        return min(max(0.0, *shown), LARGEST)

    @property
    def theta_of_pass(self) -> float:
        """The scale for bets on PASS, for which a few quiet looks are not enough."""
        shown = (
            size * known.theta(_PASSING_DOUBT) * (1 + _FEW / max(known.differences, 1))
            for size, known in zip(BLOCKS, self.blocks, strict=True)
        )
        return min(max(0.0, *shown), LARGEST)

    def to_numbers(self) -> list[float]:
        """Give what has to be kept, flat."""
        return [self.looks, *(number for known in self.blocks for number in _numbers(known))]

    @classmethod
    def from_numbers(cls, numbers: Sequence[float]) -> "Jumps":
        """Read what `to_numbers` gave.

        Raises:
            ValueError: there are more or fewer of them.
        """
        if len(numbers) != 1 + 8 * len(BLOCKS):
            raise ValueError(f"jumps: want {1 + 8 * len(BLOCKS)} numbers, got {len(numbers)}")
        looks, rest = numbers[0], numbers[1:]
        rows = (rest[start : start + 8] for start in range(0, len(rest), 8))
        return cls(int(looks), tuple(_Blocks(a, b, c, d, e, f, g, int(h)) for a, b, c, d, e, f, g, h in rows))


def _numbers(known: _Blocks) -> Iterator[float]:
    yield from (known.events, known.requests, known.events_before, known.requests_before)
    yield from (known.squares, known.chance, known.scale, known.differences)
