"""Evidence from one look at the counters of two revisions: a bet against "the candidate is within its limit".

In one look the candidate had x_c events in n_c requests, the stable revision x_s in n_s. A bet stakes g on "worse than
the limit" (g > 0) or on "better" (g < 0), and is paid

    F = (1 + a)^x_c (1 - b)^x_s exp(-points g),    a = g / n_c,    b = ratio g / n_s.

E[F] <= 1 while the candidate is on the other side of the limit, whatever the base rate is and however it moves from
look to look. A product of such factors is therefore a capital that grows beyond 1/alpha with a probability of alpha at
most, at any time, however often one looks (Ville's inequality). With a burst scale theta > 0 the exponents become those
of rates that jump within a look like a gamma law of that scale.

Source: Ville 1939; Shafer 2021, Testing by betting; Grunwald, de Heide and Koolen 2024, Safe testing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, expm1, inf, isfinite, log, log1p

WORSE = (1.15, 1.35, 1.8, 3.0, 8.0, 40.0)
"""Times the limit: what bets on FAIL hold the candidate's rate to be."""
BETTER = (0.85, 0.65, 0.45, 0.25, 0.1, 0.0)
"""Times the limit: what bets on PASS hold it to be."""

_HELD = 0.5  # of the capital is held back at first,
_RELEASED = 0.01  # and this share of what is held is staked at each look: faults may begin late.
CAP = 10.0
"""No look multiplies a bet by more: one alone decides nothing. A smaller factor never hurts validity."""

CAP_OF_A_MINUTE = 3.0
"""No minute multiplies a bet on PASS by more: a few quiet minutes are no evidence that bursts will not come."""

_MOST = 1e100  # Beyond every limit that can be asked for; sums stay finite.


@dataclass(frozen=True)
class Limit:
    """What the candidate's rate may be: `ratio` times the stable revision's, and `points` (a share) more.

    ratio = 0 is a plain threshold: the stable revision is not looked at.
    """

    ratio: float = 1.2
    points: float = 0.002

    @classmethod
    def of(cls, ratio: float, points: float) -> "Limit":
        """Give a limit that a user may set.

        Raises:
            ValueError: no candidate could be within it, or none beyond it.
        """
        if not (isfinite(ratio) and ratio >= 0):
            raise ValueError(f"ratio must be a finite number of 0 or more, got {ratio}")
        if not 0 <= points < 1:
            raise ValueError(f"points must be a share from 0 to below 1, got {points}")
        if ratio == 0 and points == 0:
            raise ValueError("ratio and points are both 0: no candidate could be within that limit")
        return cls(ratio, points)


@dataclass(frozen=True)
class Look:
    """What both revisions counted since the look before: events of so many requests."""

    candidate: float
    candidate_of: float
    stable: float
    stable_of: float

    def __post_init__(self) -> None:
        for name, events, of in (
            ("candidate", self.candidate, self.candidate_of),
            ("stable", self.stable, self.stable_of),
        ):
            if not (isfinite(of) and 0 <= events <= of):
                raise ValueError(f"{name}: {events:g} of {of:g} is not a count of events among requests")

    def tells(self, limit: Limit) -> bool:
        """Whether both revisions had traffic, as far as the limit looks at them."""
        return self.candidate_of > 0 and (limit.ratio == 0 or self.stable_of > 0)


def stake(alternative: float, look: Look, limit: Limit, theta: float) -> float:
    """Give the stake that grows fastest if the candidate's rate is `alternative` times its limit."""
    of = look.candidate_of / (1 + theta * look.candidate_of)
    if limit.ratio == 0:
        return of * (alternative - 1)
    stable_of = look.stable_of / (1 + theta * look.stable_of)
    return of * stable_of * (alternative - 1) / (limit.ratio * of * alternative + stable_of)


def log_payoff(g: float, look: Look, limit: Limit, theta: float) -> float:
    """Give the logarithm of what a bet with stake `g` is paid; -inf where it is lost altogether."""
    ratio = limit.ratio
    if theta > 0:
        gain = -expm1(-theta * g) / (theta * look.candidate_of)
        loss = expm1(ratio * theta * g) / (theta * look.stable_of) if ratio else 0.0
    else:
        gain = g / look.candidate_of
        loss = ratio * g / look.stable_of if ratio else 0.0
    if look.candidate > 0 and gain <= -1:
        return -inf
    paid = look.candidate * log1p(gain) if look.candidate else 0.0
    return paid + (look.stable * log1p(-loss) if look.stable else 0.0) - limit.points * g


@dataclass(frozen=True)
class Capital:
    """A mixture of bets on several alternatives, part of it held back for faults that begin late.

    `value` is an e-value: evidence against what the bets are against.
    """

    held: float
    bets: tuple[float, ...]

    @classmethod
    def begin(cls, alternatives: Sequence[float]) -> "Capital":
        """Start with 1."""
        return cls(_HELD, tuple((1 - _HELD) / len(alternatives) for _ in alternatives))

    @property
    def value(self) -> float:
        """The capital now."""
        return self.held + sum(self.bets)

    def after(self, payoffs: Sequence[float]) -> "Capital":
        """Give the capital after one look that pays each bet this often what was staked."""
        released = self.held * _RELEASED
        each = released / len(self.bets)
        bets = tuple(
            min((bet + each) * payoff, _MOST) for bet, payoff in zip(self.bets, payoffs, strict=True)
        )
        return Capital(self.held - released, bets)

    def at_most(self, times: float, begun: "Capital") -> "Capital":
        """Give it with each bet at most so many times what it was, with what has been released since."""
        released = (begun.held - self.held) / len(self.bets)
        bets = (
            min(bet, times * (before + released)) for bet, before in zip(self.bets, begun.bets, strict=True)
        )
        return Capital(self.held, tuple(bets))


def payoffs(
    alternatives: Sequence[float], look: Look, limit: Limit, theta: float, most: float = CAP
) -> tuple[float, ...]:
    """Give what one look pays to a bet on each alternative, `most` at the most."""
    return tuple(
        exp(min(log_payoff(stake(alternative, look, limit, theta), look, limit, theta), log(most)))
        for alternative in alternatives
    )
