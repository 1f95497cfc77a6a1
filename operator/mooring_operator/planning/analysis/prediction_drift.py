"""Evidence that two revisions answer the same traffic differently: shares of predictions that move.

Predictions are counted by cell: a class, or a range of values. Of classes each is compared, and of values the share up
to each bound; such a set of cells moves where its share of the candidate's answers is further from its share of
stable's than the limit. The candidate is within its limit where no set is.

- For FAIL one set and direction is bet on at each look, chosen by the looks before it: whatever is chosen, the bet is
  fair while no set moves. So one capital does for all sets, and nothing is paid for asking about many.
- For PASS there is a capital against each set in each direction, and all of them have to suffice: where one set moves
  by more than the limit, its own suffices with a probability of 5% at most. Each look stakes what the looks before it
  make best.

The share of a set that has more than half of all answers is compared by what is outside of it: the same hypothesis, in
numbers that the bets resolve.
"""

import re
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from math import exp, inf, isfinite, log, sqrt

from mooring_operator.planning.analysis import bets, dense
from mooring_operator.planning.analysis.bets import Capital, Limit, Look
from mooring_operator.planning.analysis.bursts import DENSE, MINUTE, Bursts, scale_of
from mooring_operator.planning.analysis.latency import NoResolutionError

Cells = Mapping[str, float]
"""Counts of predictions, by cell."""

MOST_SETS = 8
_PARTS = 8
"""Into which bounds cut values."""
SHORT = 6
"""Numbers of each set, which are kept with seven digits; they come last of all that is kept."""
REST = ""
"""The set of all cells that have none of their own."""
LEAST = 200
"""Predictions of the stable revision that say which sets are compared."""
_CELL = re.compile(r"-?\d{1,2}|other|nan|text \d{1,2}|(<=|>)-?[0-9.]{1,10}")
"""What the runtime calls cells: what pods show besides is theirs, and stands in no status."""
_SPOKEN = {REST: "all other classes", "other": "classes beyond 19", "nan": "values that are no numbers"}
_ALIKE = 0.99
"""Share of one cell of values from which on bounds tell nothing."""
_LEAST_BLOCKS = 10
"""Looks, and blocks of looks, that say how bursty answers are: of many sets, few would say that one bursts."""
_PRIOR = 500.0
"""Answers that estimates begin with, in which nothing has moved."""
_CLOSEST, _FURTHEST = 0.98, 0.02
"""Times the limit: what a bet for PASS may hold a share to be."""


@dataclass(frozen=True)
class CellLook:
    """What both revisions predicted since the look before: of each set, and in all."""

    candidate: tuple[float, ...]
    candidate_of: float
    stable: tuple[float, ...]
    stable_of: float

    @classmethod
    def of(cls, sets: Sequence[str], candidate: Cells, stable: Cells) -> "CellLook":
        """Count what is in each set."""
        return cls(
            tuple(count_in(name, sets, candidate) for name in sets),
            sum(candidate.values()),
            tuple(count_in(name, sets, stable) for name in sets),
            sum(stable.values()),
        )


@dataclass(frozen=True)
class Move:
    """A set whose share may have moved: `up` where the candidate's is the larger one."""

    index: int
    up: bool


@dataclass(frozen=True)
class PredictionDrift:
    """What has been found of a candidate's predictions through a whole rollout.

    sets: what is compared; bursts are read from the first. better: logarithms of the capitals against each set, upwards
    and downwards in turn; best: the most that each has been.
    """

    limit: Limit
    sets: tuple[str, ...]
    bursts: Bursts = field(default_factory=Bursts)
    worse: Capital = field(default_factory=lambda: Capital.begin(bets.WORSE))
    fail: float = 1.0
    looks: int = 0
    candidate_of: float = 0.0
    stable_of: float = 0.0
    candidates: tuple[float, ...] = ()
    stables: tuple[float, ...] = ()
    better: tuple[float, ...] = ()
    best: tuple[float, ...] = ()

    @classmethod
    def begin(cls, limit: Limit, history: Mapping[float, Cells]) -> "PredictionDrift":
        """Choose what is compared, by what the stable revision predicted before, look by look.

        Raises:
            NoResolutionError: nearly all of its values are in one cell.
        """
        sets = _choose(_added(history.values()))
        counted = [CellLook.of(sets, {}, cells) for _, cells in sorted(history.items()) if cells]
        of = [look.stable_of for look in counted]
        if len(of) < _LEAST_BLOCKS:
            return cls(limit, sets).fresh()
        theta = max(
            scale_of([look.stable[index] for look in counted], of, least_blocks=_LEAST_BLOCKS)
            for index in range(len(sets))
        )
        return cls(limit, sets, Bursts(theta)).fresh()

    def fresh(self) -> "PredictionDrift":
        """Go on with no evidence for PASS."""
        none = (0.0,) * (2 * len(self.sets))
        zeros = (0.0,) * len(self.sets)
        return replace(
            self,
            better=none,
            best=none,
            candidates=self.candidates or zeros,
            stables=self.stables or zeros,
        )

    def after(self, look: CellLook) -> "PredictionDrift":
        """Take one more look; one in which a revision had no traffic is no evidence."""
        seen = replace(
            self,
            looks=self.looks + 1,
            bursts=self.bursts.after(look.stable[0], look.stable_of) if look.stable_of > 0 else self.bursts,
            candidate_of=self.candidate_of + look.candidate_of,
            stable_of=self.stable_of + look.stable_of,
            candidates=_sums(self.candidates, look.candidate),
            stables=_sums(self.stables, look.stable),
        )
        if not (look.candidate_of > 0 and look.stable_of > 0):
            return seen
        theta = max(self.bursts.theta, self.bursts.unseen(MINUTE))
        worse = self.worse.after(self._bet(self.moved, theta).payoffs(look, self.limit, worse=True))
        better = tuple(
            _short(
                capital + log(max(self._bet(move, theta).payoffs(look, self.limit, worse=False)[0], 1e-300))
            )
            for move, capital in zip(_moves(len(self.sets)), self.better, strict=True)
        )
        return replace(
            seen,
            worse=worse,
            fail=max(self.fail, worse.value),
            better=better,
            best=tuple(map(max, self.best, better)),
        )

    @property
    def ok(self) -> float:
        """The least of the evidence that sets have not moved."""
        return exp(min(min(self.best, default=0.0), 600.0))

    @cached_property
    def moved(self) -> Move:
        """The set that has most probably moved by more than the limit, by all looks so far."""
        return max(_moves(len(self.sets)), key=self._excess)

    @cached_property
    def doubted(self) -> Move:
        """The set that there is least evidence about that it has not moved."""
        moves = list(_moves(len(self.sets)))
        return moves[self.best.index(min(self.best))]

    def excess(self, move: Move) -> float:
        """How far beyond the limit the shares are that were counted; negative within it."""
        candidate, stable = self._shares(move.index, 0.0)
        return (candidate - stable if move.up else stable - candidate) - self.limit.points

    def _excess(self, move: Move) -> float:
        """The same in standard errors, of shares that begin alike."""
        candidate, stable = self._shares(move.index, _PRIOR)
        q = min(max((candidate + stable) / 2, 1e-3), 1 - 1e-3)
        error = sqrt(q * (1 - q) * (1 / (self.candidate_of + _PRIOR) + 1 / (self.stable_of + _PRIOR)))
        return ((candidate - stable if move.up else stable - candidate) - self.limit.points) / error

    def _shares(self, index: int, prior: float) -> tuple[float, float]:
        """Give what shares a set has, where each revision begins with `prior` answers that are alike."""
        x_c, x_s, n_c, n_s = self.candidates[index], self.stables[index], self.candidate_of, self.stable_of
        alike = (x_c + x_s + 0.5) / (n_c + n_s + 1)
        return (
            (x_c + prior * alike) / (n_c + prior) if n_c + prior else 0.0,
            (x_s + prior * alike) / (n_s + prior) if n_s + prior else 0.0,
        )

    def _bet(self, move: Move, theta: float) -> "_Bet":
        candidate, stable = self._shares(move.index, _PRIOR)
        return _Bet(move, candidate, stable, theta)

    # --- what is shown, and kept ----------------------------------------------------------------

    @property
    def candidate(self) -> float:
        """The candidate's answers in the set that has moved most."""
        return self.candidates[self.moved.index]

    @property
    def stable(self) -> float:
        """The stable revision's answers in the set that has moved most."""
        return self.stables[self.moved.index]

    def to_numbers(self) -> list[float]:
        """Give what has to be kept, flat; but for the sets."""
        return [
            self.limit.points,
            -1.0 if self.bursts.history is None else self.bursts.history,
            self.looks,
            self.candidate_of,
            self.stable_of,
            self.fail,
            self.worse.held,
            *self.worse.bets,
            self.bursts.looks,
            *self.bursts.to_numbers(),
            *self.candidates,
            *self.stables,
            *self.better,
            *self.best,
        ]

    @classmethod
    def of_numbers(cls, sets: tuple[str, ...], numbers: Sequence[float]) -> "PredictionDrift":
        """Read what `to_numbers` gave.

        Raises:
            ValueError: the numbers are not those of so many sets.
        """
        like = cls(Limit(1.0, 0.0), sets).fresh()
        if not sets or len(numbers) != len(like.to_numbers()) or not all(map(isfinite, numbers)):
            raise ValueError("the evidence that was kept is not that of predictions")
        rest = iter(numbers)

        def take(count: int) -> tuple[float, ...]:
            return tuple(next(rest) for _ in range(count))

        points, history, looks, candidate_of, stable_of, fail, held = take(7)
        return cls(
            Limit.of(1.0, points),
            sets,
            worse=Capital(held, take(len(like.worse.bets))),
            bursts=Bursts.from_numbers(
                history if history >= 0 else None, int(take(1)[0]), take(len(like.bursts.to_numbers()))
            ),
            fail=fail,
            looks=int(looks),
            candidate_of=candidate_of,
            stable_of=stable_of,
            candidates=take(len(sets)),
            stables=take(len(sets)),
            better=take(2 * len(sets)),
            best=take(2 * len(sets)),
        )


@dataclass(frozen=True)
class _Bet:
    """A bet on a set, by the shares that the looks before make probable."""

    move: Move
    candidate: float
    stable: float
    theta: float

    def payoffs(self, look: CellLook, limit: Limit, *, worse: bool) -> Sequence[float]:
        """Give what a look pays to each bet on FAIL, or to the one on PASS."""
        index = self.move.index
        within = [
            _Arm(look.candidate[index], look.candidate_of, self.candidate),
            _Arm(look.stable[index], look.stable_of, self.stable),
        ]
        # "The larger share is beyond the smaller one and the limit": outside of the set it is the other way round.
        inside = within if self.move.up else within[::-1]
        outside = [arm.outside for arm in reversed(inside)]
        larger, smaller = inside if _resolves(inside, outside, limit) else outside
        told = Look(larger.events, larger.of, smaller.events, smaller.of)
        at_limit = min(smaller.share + limit.points, 1 - 1e-6)
        if smaller.share >= DENSE:
            on = dense.WORSE if worse else (_alternative(_odds(larger.share) / _odds(at_limit)),)
            return dense.payoffs(on, told, limit, smaller.share, self.theta)
        on = bets.WORSE if worse else (_alternative(larger.share / at_limit),)
        return bets.payoffs(on, told, limit, self.theta)


@dataclass(frozen=True)
class _Arm:
    """Answers of one revision in a look, and the share of a set that the looks before make probable."""

    events: float
    of: float
    share: float

    @property
    def outside(self) -> "_Arm":
        return _Arm(self.of - self.events, self.of, 1 - self.share)


def _resolves(inside: Sequence[_Arm], outside: Sequence[_Arm], limit: Limit) -> bool:
    """Whether a hypothesis is bet on by what is in a set, rather than by what is outside: small shares tell most.

    Where neither is small, the bets are best where the larger share is of the revision with less traffic.
    """
    if inside[1].share < DENSE or outside[1].share < DENSE + limit.points:
        return inside[1].share <= outside[1].share
    return inside[0].of <= inside[1].of


def count_in(name: str, sets: Sequence[str], cells: Cells) -> float:
    """Give how many predictions are in a set: a cell, all values up to a bound, or what is in no other set."""
    bound = _bound(name)
    if bound is not None:
        return sum(count for cell, count in cells.items() if (_bound(cell) or inf) <= bound or cell == name)
    if name == REST:
        return sum(count for cell, count in cells.items() if cell not in sets)
    return cells.get(name, 0.0)


def describe_set(name: str) -> str:
    """Name a set for people."""
    if name in _SPOKEN:
        return _SPOKEN[name]
    if _bound(name) is not None:
        return f"values {name}"
    return f"{name} of 20" if name.startswith("text") else f"class {name}"


def _choose(cells: Cells) -> tuple[str, ...]:
    """Choose what is compared: bounds near the eighths of values, or the most frequent classes; the most even first."""
    total = sum(cells.values())
    named = {cell: count for cell, count in cells.items() if _CELL.fullmatch(cell)}
    bounds = sorted((bound, cell) for cell in named if (bound := _bound(cell)) is not None)
    if not bounds and not any(cell.startswith(">") for cell in named):
        common = sorted(named, key=lambda cell: (-cells[cell], cell))[: MOST_SETS - 1]
        sets = (*common, REST)
    else:
        most = max(cells, key=lambda cell: cells[cell])
        if not bounds or cells[most] > _ALIKE * total:
            raise NoResolutionError(
                f"{cells[most] / total:.1%} of stable's predictions are in one range, {most}: their shares tell "
                "nothing; count predictions yourself, and compare them by the rates of a template"
            )
        shares = {cell: count_in(cell, (), cells) / total for _, cell in bounds}
        near = [min(shares, key=lambda cell: abs(shares[cell] - part / _PARTS)) for part in range(1, _PARTS)]
        sets = tuple(dict.fromkeys(near))
    return tuple(sorted(sets, key=lambda name: abs(count_in(name, sets, cells) / total - 0.5)))


def _added(several: Iterable[Cells]) -> dict[str, float]:
    whole: dict[str, float] = {}
    for cells in several:
        for cell, count in cells.items():
            whole[cell] = whole.get(cell, 0.0) + count
    return whole


@lru_cache(maxsize=512)
def _bound(cell: str) -> float | None:
    """The upper bound of a cell of values."""
    if not cell.startswith("<=") or not _CELL.fullmatch(cell):
        return None
    try:
        return float(cell[2:])
    except ValueError:
        return None


def _moves(sets: int) -> Iterator[Move]:
    for index in range(sets):
        yield Move(index, up=True)
        yield Move(index, up=False)


def _sums(known: tuple[float, ...], more: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(_short(a + b) for a, b in zip(known, more, strict=True))


def _short(number: float) -> float:
    """Round to what is kept: whoever goes on after a restart has the same numbers."""
    return float(struct.unpack("f", struct.pack("f", number))[0])


def _odds(share: float) -> float:
    return share / (1 - share)


def _alternative(alternative: float) -> float:
    return min(max(alternative, _FURTHEST), _CLOSEST)
