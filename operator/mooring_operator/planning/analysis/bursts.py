"""How bursty traffic is: the scale theta of the gamma law that rates jump with, from look to look.

Errors come in bursts, and a burst that hits one revision alone is no difference between two. theta = 0 is traffic whose
requests fail independently of each other; a beta-binomial of intra-look correlation rho has theta = rho / (1 - rho).
Counts of events that are not rare vary less than a Poisson law has it, which would hide bursts: from `DENSE` on they
are measured against a binomial law.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import lgamma, log, log1p, sqrt

MINUTE = 6
"""Looks that a burst may last."""
_BLOCKS = (1, 3, MINUTE)  # Looks: bursts that last longer show in blocks.
LARGEST = 0.3
"""No scale is larger."""
DENSE = 0.1
"""Share of the requests from which on events are not rare."""
_GRID = (0.0, *(1e-4 * 2 ** (k / 2) for k in range(22)))  # 0, 0.0001 .. 0.145
_DROP = (
    1.35  # in log-likelihood: half the upper 95% point of chi-square with one degree of freedom, one-sided
)
_LIKELY = 0.5  # the same for one standard error
_UNKNOWN = 0.02  # without a history, unlearnt as the looks go by
_LEAST_HISTORY = 30
"""Looks: of fewer it cannot be told how a minute bursts."""
_LEAST_BLOCKS = 2
_MOST_CUT = 1.5
"""Bursts last a minute or so: six looks see two thirds of them at least."""
_TRIFLE = 1e-9
"""Requests, and shares of events: less is what subtractions leave of counters that are no whole numbers."""
_FEW = 4.0
"""How much more few blocks may hide before a PASS, times one by their number."""


@dataclass(frozen=True)
class _Sums:
    """Sums over the blocks of looks that are full, and the block that is not."""

    events: float = 0.0
    requests: float = 0.0
    blocks: int = 0
    x: float = 0.0
    n: float = 0.0
    xx: float = 0.0
    xn: float = 0.0
    nn: float = 0.0

    def after(self, events: float, requests: float, *, full: bool) -> "_Sums":
        x, n = self.events + events, self.requests + requests
        if not full:
            return replace(self, events=x, requests=n)
        return _Sums(
            0.0,
            0.0,
            self.blocks + 1,
            self.x + x,
            self.n + n,
            self.xx + x * x,
            self.xn + x * n,
            self.nn + n * n,
        )

    def dispersion(self) -> float:
        """How much more the blocks vary than independent requests would, by moments."""
        if self.blocks < _LEAST_BLOCKS or not 0 < self.x < self.n:
            return 0.0
        p, k = self.x / self.n, self.blocks
        spread = (self.xx - 2 * p * self.xn + p * p * self.nn) * k / (k - 1)
        if p >= DENSE:
            spread /= 1 - p
        return (spread - self.x) / (p * self.nn)


@dataclass(frozen=True)
class Bursts:
    """What the stable revision has shown so far; `history` is theta of the time before, None where there is none."""

    history: float | None = None
    looks: int = 0
    sums: tuple[_Sums, ...] = (_Sums(),) * len(_BLOCKS)

    @classmethod
    def of_history(cls, events: Sequence[float], requests: Sequence[float]) -> "Bursts":
        """Begin with the looks of the time before; a few minutes of them are no more than looks like those to come."""
        if len(requests) >= _LEAST_HISTORY:
            return cls(scale_of(events, requests))
        seen = cls()
        for counted, of in zip(events, requests, strict=True):
            seen = seen.after(counted, of)
        return seen

    def after(self, events: float, requests: float) -> "Bursts":
        """Take one more look of the stable revision."""
        looks = self.looks + 1
        sums = tuple(
            known.after(events, requests, full=looks % size == 0)
            for size, known in zip(_BLOCKS, self.sums, strict=True)
        )
        return replace(self, looks=looks, sums=sums)

    @property
    def theta(self) -> float:
        """The scale for the next look: known before it, as validity wants."""
        start = self.history if self.history is not None else _UNKNOWN / (self.looks + 1)
        shown = (size * known.dispersion() for size, known in zip(_BLOCKS, self.sums, strict=True))
        return min(max(start, *shown), LARGEST)

    def unseen(self, minute: int) -> float:
        """The scale of bursts of so many looks, while neither a history nor the looks so far could have shown them."""
        if self.history is not None:
            return 0.0
        return _UNKNOWN * minute / (1 + (self.looks / minute) ** 2)

    @property
    def theta_of_pass(self) -> float:
        """The scale for bets on PASS: blocks of which there are few hide bursts, and less is unlearnt of nothing."""
        start = self.history if self.history is not None else _UNKNOWN / sqrt(self.looks + 1)
        shown = (
            size * known.dispersion() * (1 + _FEW / max(known.blocks, 1))
            for size, known in zip(_BLOCKS, self.sums, strict=True)
        )
        return min(max(start, *shown), LARGEST)

    def to_numbers(self) -> list[float]:
        """Give what has to be kept, flat."""
        return [
            number
            for s in self.sums
            for number in (s.events, s.requests, s.blocks, s.x, s.n, s.xx, s.xn, s.nn)
        ]

    @classmethod
    def from_numbers(cls, history: float | None, looks: int, numbers: Sequence[float]) -> "Bursts":
        """Read what `to_numbers` gave.

        Raises:
            ValueError: there are more or fewer of them.
        """
        if len(numbers) != 8 * len(_BLOCKS):
            raise ValueError(f"bursts: want {8 * len(_BLOCKS)} numbers, got {len(numbers)}")
        rows = [numbers[start : start + 8] for start in range(0, len(numbers), 8)]
        sums = tuple(_Sums(e, r, int(k), x, n, xx, xn, nn) for e, r, k, x, n, xx, xn, nn in rows)
        return cls(history, looks, sums)


def scale_of(events: Sequence[float], requests: Sequence[float], *, least_blocks: int = 1) -> float:
    """Give theta of a history of looks, of the stable revision alone: the cautious end of what it may be.

    The upper 95% point of the profile likelihood of a negative binomial law, or of a beta-binomial one where events are
    not rare, from looks and from blocks of looks; the largest of them. A history of an hour takes some milliseconds.
    Blocks of which there are fewer than `least_blocks` are left out.
    """
    worst, before = 0.0, 0.0
    for size in _BLOCKS:
        starts = range(0, len(events) - size + 1, size)
        if len(starts) < least_blocks:
            continue
        x = [sum(events[start : start + size]) for start in starts]
        n = [sum(requests[start : start + size]) for start in starts]
        p = sum(x) / max(sum(n), 1)
        if p < _TRIFLE:
            continue
        alike = Counter((events, of) for events, of in zip(x, n, strict=True) if of >= _TRIFLE)
        law = _beta_binomial if DENSE <= p < 1 else _negative_binomial
        likelihoods = [law(alike, p, theta) for theta in _GRID]
        best = max(likelihoods)
        shown = size * _GRID[likelihoods.index(best)]
        most = size * _plausible(likelihoods, best - _DROP)
        if size == _BLOCKS[-1]:
            least = size * _GRID[next(at for at, value in enumerate(likelihoods) if value >= best - _LIKELY)]
            # More than shorter blocks show, and more than by chance: bursts outlast those.
            most *= _cut(before, shown) if least > before else 1.0
        worst, before = max(worst, most), shown
    return min(worst, LARGEST)


def _plausible(likelihoods: Sequence[float], least: float) -> float:
    """Give the largest theta whose likelihood is so much, between two of the grid."""
    last = max(place for place, value in enumerate(likelihoods) if value >= least)
    if last + 1 == len(_GRID):
        return _GRID[last]
    part = (likelihoods[last] - least) / (likelihoods[last] - likelihoods[last + 1])
    return _GRID[last] + part * (_GRID[last + 1] - _GRID[last])


def _cut(shorter: float, shown: float) -> float:
    """Give how much of bursts blocks miss that do not begin when bursts do, by what blocks of half their length show.

    Blocks of b looks see 1 - c/b of what endless ones would: twice theirs less that of half as many is what those see.
    Of bursts of six looks that is 1.36 times as much as blocks of six show, and nothing more of looks for themselves.
    """
    return min(max(2 - shorter / shown, 1.0), _MOST_CUT) if shown else 1.0


def _negative_binomial(alike: Mapping[tuple[float, float], int], p: float, theta: float) -> float:
    """Give it for so many blocks of each number of events and requests, but for what is the same for every theta."""
    if theta == 0:
        return sum(
            many * (events * log(requests * p) - requests * p) for (events, requests), many in alike.items()
        )
    shape = p / theta
    constant = lgamma(shape)
    return sum(
        many * (_rises(events, requests * theta, shape, constant) - shape * log1p(requests * theta))
        for (events, requests), many in alike.items()
    )


def _rises(events: float, scale: float, shape: float, constant: float) -> float:
    """Give what events add to the likelihood: nothing where there are none."""
    return lgamma(events + shape) - constant + events * (log(scale) - log1p(scale)) if events else 0.0


def _beta_binomial(alike: Mapping[tuple[float, float], int], p: float, theta: float) -> float:
    """Give the same of requests that succeed or fail, whose rates follow a beta law: rho = theta / (1 + theta)."""
    if theta == 0:
        return sum(
            many * (events * log(p) + (requests - events) * log1p(-p))
            for (events, requests), many in alike.items()
        )
    size = 1 / theta
    a, b = p * size, (1 - p) * size
    constant = lgamma(a) + lgamma(b) - lgamma(size)
    return sum(
        many * (lgamma(events + a) + lgamma(requests - events + b) - lgamma(requests + size) - constant)
        for (events, requests), many in alike.items()
    )
