"""Evidence for rates that are not small (accuracy, agreement): the bet of `bets` for requests that succeed or fail.

The Poisson bound behind `bets.log_payoff` gives much away where a tenth of all requests and more are events. Here the
payoff is divided by the most that it can be expected to be under any base rate q,

    F = (1 + a)^x_c (1 - b)^x_s / sup_q (1 + a (ratio q + points))^n_c (1 - b q)^n_s,

so that E[F] <= 1 within the limit, for any a and b that were chosen before the look; rates may move from look to look,
and may burst in both revisions alike.

Where a revision bursts alone, requests of a look go together, and n of them tell as much as n / (1 + rho (n - 1)); rho
is their correlation, and counts are beta-binomial. Here n / (1 + 1.5 rho (n - 1)) of them are taken: with 1 in place of
1.5, the skew of a beta law would make E[F] as much as 1.15 for bets on rates far from the limit.

Source: Turner, Ly and Grunwald 2024, Generic e-variables for exact sequential k-sample tests.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import exp, inf, log, log1p

from mooring_operator.planning.analysis.bets import CAP, Limit, Look

WORSE = (1.1, 1.25, 1.5, 2.0, 4.0, 15.0)
"""Times the odds at the limit: what bets on FAIL hold the candidate's odds to be."""
BETTER = (0.9, 0.8, 0.65, 0.5, 0.25, 0.05)
"""Times the odds at the limit: what bets on PASS hold them to be."""

_LEAST = 1e-6
_SKEW = 1.5  # times the correlation: what a beta law's skew takes.


def thinned(look: Look, theta: float) -> Look:
    """Give as many independent requests as tell what the requests of a look do, whose rates jump with scale `theta`."""
    rho = _SKEW * theta / (1 + theta)
    candidate = 1 / (1 + rho * max(look.candidate_of - 1, 0))
    stable = 1 / (1 + rho * max(look.stable_of - 1, 0))
    return replace(
        look,
        candidate=look.candidate * candidate,
        candidate_of=look.candidate_of * candidate,
        stable=look.stable * stable,
        stable_of=look.stable_of * stable,
    )


def log_payoff(alternative: float, look: Look, limit: Limit, stable_rate: float) -> float:
    """Give the logarithm of what the bet on `alternative` times the limit's odds is paid.

    `stable_rate` is what the looks before this one have shown.
    """
    gain, loss = _odds(alternative, look, limit, stable_rate)
    if look.candidate > 0 and gain <= -1:
        return -inf
    paid = look.candidate * log1p(gain) if look.candidate else 0.0
    paid += look.stable * log1p(-loss) if look.stable else 0.0
    return paid - _most_expected(gain, loss, look, limit)


def _odds(alternative: float, look: Look, limit: Limit, stable_rate: float) -> tuple[float, float]:
    """What an event of each revision is worth: from the rates that are bet on to those nearest within the limit."""
    q = _clip(stable_rate)
    at_limit = _clip(limit.ratio * q + limit.points)
    odds = alternative * at_limit / (1 - at_limit)
    p = _clip(odds / (1 + odds))
    if limit.ratio == 0:
        return _same_way(alternative, p * (1 - at_limit) / (at_limit * (1 - p)) - 1, 0.0)
    for_candidate = look.candidate_of * limit.ratio / (at_limit * (1 - at_limit))
    for_stable = look.stable_of / (q * (1 - q))
    nearest = (for_candidate * (p - limit.points) + for_stable * q) / (
        for_candidate * limit.ratio + for_stable
    )
    nearest = _clip(nearest)
    allowed = _clip(limit.ratio * nearest + limit.points)
    gain = p * (1 - allowed) / (allowed * (1 - p)) - 1
    loss = 1 - q * (1 - nearest) / (nearest * (1 - q))
    return _same_way(alternative, gain, loss)


def _same_way(alternative: float, gain: float, loss: float) -> tuple[float, float]:
    """Do not bet where a clipped rate has turned a bet round: only else is the worst case on the limit."""
    way = 1 if alternative > 1 else -1
    return (gain, loss) if way * gain >= 0 and way * loss >= 0 else (0.0, 0.0)


def _most_expected(gain: float, loss: float, look: Look, limit: Limit) -> float:
    """The largest logarithm of the expectation under any base rate: concave, so at its only stationary point."""
    n_c, n_s, ratio, points = look.candidate_of, look.stable_of, limit.ratio, limit.points
    if ratio == 0:
        return n_c * log1p(gain * points)
    lowest, highest = max(0.0, -points / ratio), min(1.0, (1 - points) / ratio)
    if gain * loss > 0:
        q = (n_c * gain * ratio - n_s * loss * (1 + gain * points)) / (gain * loss * ratio * (n_c + n_s))
    else:
        q = highest if gain * n_c * ratio - loss * n_s > 0 else lowest
    q = min(max(q, lowest), highest)
    return n_c * log1p(gain * (ratio * q + points)) + n_s * log1p(-loss * q)


def _clip(rate: float) -> float:
    return min(max(rate, _LEAST), 1 - _LEAST)


def payoffs(
    alternatives: Sequence[float],
    look: Look,
    limit: Limit,
    stable_rate: float,
    theta: float = 0.0,
    most: float = CAP,
) -> tuple[float, ...]:
    """Give what one look pays to a bet on each alternative, `most` at the most."""
    told = thinned(look, theta) if theta > 0 else look
    return tuple(
        exp(min(log_payoff(alternative, told, limit, stable_rate), log(most))) for alternative in alternatives
    )
