"""One metric of a canary through a whole rollout: the evidence of all looks so far."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite

from mooring_operator.planning.analysis import bets, dense
from mooring_operator.planning.analysis.bets import Capital, Limit, Look
from mooring_operator.planning.analysis.bursts import DENSE, MINUTE, Bursts
from mooring_operator.planning.analysis.jumps import Jumps

_KNOWN_OF = 20
"""Requests of one look that say what the stable revision's rate is now."""
_LEAST_EVENTS = 10
"""Of the stable revision: with fewer its rate is not known well enough to bet by."""


@dataclass(frozen=True)
class Comparison:
    """Evidence that the candidate is worse than its limit, and that it is better.

    Every look is taken once, as the counts since the look before: pooled counts would compare times of day where
    weights change. One comparison runs through all steps, for the error rate is the rollout's.

    Where events are not rare, requests are taken for what succeeds or fails (`dense`); which form a look is judged by
    is known before it, and both are evidence against the same.

    fail, ok: the most that each evidence has been: Ville's inequality is about the supremum.
    bursts, jumps: how the stable revision bursts, and the candidate. minute: looks that a burst may last, of which
    a bet on PASS takes no more than from one; the bets on PASS were `begun` when the last ones began.
    """

    limit: Limit
    bursts: Bursts = field(default_factory=Bursts)
    jumps: Jumps = field(default_factory=Jumps)
    worse: Capital = field(default_factory=lambda: Capital.begin(bets.WORSE))
    better: Capital = field(default_factory=lambda: Capital.begin(bets.BETTER))
    begun: Capital = field(default_factory=lambda: Capital.begin(bets.BETTER))
    minute: int = MINUTE
    fail: float = 1.0
    ok: float = 1.0
    looks: int = 0
    candidate: float = 0.0
    candidate_of: float = 0.0
    stable: float = 0.0
    stable_of: float = 0.0

    def after(self, look: Look) -> "Comparison":
        """Take one more look; one in which a revision had no traffic is no evidence."""
        seen = replace(
            self,
            looks=self.looks + 1,
            bursts=self.bursts.after(look.stable, look.stable_of) if look.stable_of > 0 else self.bursts,
            jumps=self.jumps.after(look.candidate, look.candidate_of)
            if look.candidate_of > 0
            else self.jumps,
            candidate=self.candidate + look.candidate,
            candidate_of=self.candidate_of + look.candidate_of,
            stable=self.stable + look.stable,
            stable_of=self.stable_of + look.stable_of,
        )
        if not look.tells(self.limit):
            return seen
        worse, better = self._payoffs(look)
        begun = self.better if self.looks % self.minute == 0 else self.begun
        worse_now = self.worse.after(worse)
        better_now = self.better.after(better).at_most(bets.CAP_OF_A_MINUTE, begun)
        return replace(
            seen,
            worse=worse_now,
            better=better_now,
            begun=begun,
            fail=max(self.fail, worse_now.value),
            ok=max(self.ok, better_now.value),
        )

    def _payoffs(self, look: Look) -> tuple[Sequence[float], Sequence[float]]:
        """What the look pays to the bets on FAIL and to those on PASS, by what was known before it."""
        if self.is_dense:
            rate = (self.stable + 0.5) / (self.stable_of + 1)
            worse = dense.payoffs(dense.WORSE, look, self.limit, rate, self.theta)
            better = dense.payoffs(dense.BETTER, look, self.limit, rate, self.theta_of_pass)
        else:
            worse = bets.payoffs(bets.WORSE, look, self.limit, self.theta)
            better = bets.payoffs(bets.BETTER, look, self.limit, self.theta_of_pass)
        return worse, tuple(min(paid, 1.0) for paid in better) if self._allows_all(look) else better

    @property
    def theta(self) -> float:
        """How bursty either revision is, for the next look: known before it, as validity wants."""
        return max(self.bursts.theta, self.bursts.unseen(self.minute), self.jumps.theta)

    @property
    def theta_of_pass(self) -> float:
        """The same for bets on PASS."""
        return max(self.bursts.theta_of_pass, self.jumps.theta_of_pass)

    def _allows_all(self, look: Look) -> bool:
        """Whether stable has so much that no candidate could be beyond the limit: none is within it by that."""
        known = look if look.stable_of >= _KNOWN_OF else self
        stable_rate = known.stable / known.stable_of if known.stable_of else 0.0
        return self.limit.ratio * stable_rate + self.limit.points >= 1

    @property
    def is_dense(self) -> bool:
        """Whether events are not rare, by what is known before the next look."""
        if self.limit.ratio == 0:
            return self.limit.points >= DENSE
        return self.stable >= _LEAST_EVENTS and self.stable >= DENSE * self.stable_of

    def to_numbers(self) -> list[float]:
        """Give the evidence so far, flat: what a status keeps of it."""
        return [
            self.looks,
            self.candidate,
            self.candidate_of,
            self.stable,
            self.stable_of,
            self.fail,
            self.ok,
            self.worse.held,
            *self.worse.bets,
            self.better.held,
            *self.better.bets,
            self.begun.held,
            *self.begun.bets,
            *self.jumps.to_numbers(),
            self.bursts.looks,
            *self.bursts.to_numbers(),
        ]

    def resumed(self, numbers: Sequence[float]) -> "Comparison":
        """Go on from what `to_numbers` gave.

        Raises:
            ValueError: the numbers are not those of a comparison.
        """
        if len(numbers) != len(self.to_numbers()) or not all(map(isfinite, numbers)) or min(numbers) < 0:
            raise ValueError("the evidence that was kept is not that of a comparison")
        counts, rest = numbers[:7], numbers[7:]
        size, of_jumps = 1 + len(self.worse.bets), len(self.jumps.to_numbers())
        worse, better, begun = (rest[size * part : size * (part + 1)] for part in range(3))
        jumps, bursts = rest[3 * size : 3 * size + of_jumps], rest[3 * size + of_jumps :]
        return replace(
            self,
            looks=int(counts[0]),
            candidate=counts[1],
            candidate_of=counts[2],
            stable=counts[3],
            stable_of=counts[4],
            fail=counts[5],
            ok=counts[6],
            worse=Capital(worse[0], tuple(worse[1:])),
            better=Capital(better[0], tuple(better[1:])),
            begun=Capital(begun[0], tuple(begun[1:])),
            jumps=Jumps.from_numbers(jumps),
            bursts=Bursts.from_numbers(self.bursts.history, int(bursts[0]), bursts[1:]),
        )


def bursts_before(looks: Iterable[Look]) -> Bursts:
    """Give what the looks of the time before, oldest first, say of how bursty the stable revision is."""
    known = [look for look in looks if look.stable_of > 0]
    return Bursts.of_history([look.stable for look in known], [look.stable_of for look in known])


def smallest_excess(
    looks: Sequence[Look], ratio: float, *, bursts: Bursts | None = None, level: float = 0.01
) -> float:
    """Give the points by which the candidate exceeds `ratio` times stable, at least, with probability 1 - level.

    That holds at every look so far at once: it is the excess at which the evidence would just reach 1/level, which
    falls as the excess grows. Some tens of milliseconds for 180 looks.
    """
    low, high = -ratio, 1.0
    for _ in range(16):
        middle = (low + high) / 2
        low, high = (middle, high) if _evidence(looks, ratio, middle, bursts) >= 1 / level else (low, middle)
    return low


def _evidence(looks: Sequence[Look], ratio: float, points: float, bursts: Bursts | None) -> float:
    comparison = Comparison(Limit(ratio, points), bursts=bursts or Bursts())
    for look in looks:
        comparison = comparison.after(look)
    return comparison.worse.value
