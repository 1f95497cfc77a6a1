"""Looks at latency: how many requests took longer than a bound, of histograms that only know their buckets.

"The candidate's p99 may be 20% slower" becomes a limit on shares of requests: candidate's share above b is at most r
times stable's share above b', where b is the first bound above stable's p99 and b' the bound nearest to b / 1.2. With
that the bets on rates hold for latencies too. What lies between two bounds is interpolated; which bounds decided is
part of the verdict, for buckets resolve no more.

Where bounds are far apart, nearly all of stable's requests may lie between two of them. A share between the two is then
a guess; and where nearly all may be above b / 1.2, no candidate is beyond that, however slow. The candidate is asked at
a bound further up, where no more of its requests may be than the quantile leaves, whatever lies between.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log
from statistics import NormalDist

from mooring_operator.planning.analysis.bets import Limit, Look
from mooring_operator.planning.analysis.histograms import Histogram

_SLACK = 1.02  # A bound whose share is this close to the quantile's counts as the quantile.
_LEAST_BOUNDS = 3  # The interpolation's quadratic goes through three.
# Odds of an allowed share: from a multiple of the quantile's, or half of all on, evidence grows too slowly.
_BLUNT, _EVEN = 3.0, 1.0
# Odds beyond one bound, as a multiple of those beyond the next: more is not interpolated well.
_STEEP = 150.0
_NORMAL = NormalDist()


class NoResolutionError(Exception):
    """The buckets cannot tell what is asked; the message says what could."""


@dataclass(frozen=True)
class Exceedance:
    """Which bounds are compared, and what candidate's share above `bound` may be of stable's above `reference`."""

    bound: float
    reference: float
    ratio: float

    @property
    def limit(self) -> Limit:
        """The limit of the bet."""
        return Limit(self.ratio, 0.0)

    def look(self, candidate: Histogram, stable: Histogram) -> Look:
        """Give what both revisions counted beyond their bounds since the look before.

        Raises:
            NoResolutionError: a histogram has not the bounds that were agreed on.
        """
        return Look(
            _count(candidate, self.bound), candidate.total, _count(stable, self.reference), stable.total
        )


def exceedance(history: Histogram, quantile: float, slower: float) -> Exceedance:
    """Give what says that the candidate's `quantile` is more than `slower` times stable's, by stable's last hour.

    Raises:
        NoResolutionError: there is no bound above the quantile, or too few.
    """
    if history.total <= 0:
        raise NoResolutionError(
            "the stable revision answered nothing in the time that its latency is read from"
        )
    if history.bounds:
        history = history.up_to(history.bounds[-1] * slower)
    shares = [history.share_above(index) for index in range(len(history.bounds))]
    if len(shares) < _LEAST_BOUNDS:
        raise NoResolutionError(
            f"the histogram has {len(shares)} finite buckets; at least {_LEAST_BOUNDS} are needed"
        )
    index = next((i for i, share in enumerate(shares) if share <= (1 - quantile) * _SLACK), None)
    if index is None:
        raise NoResolutionError(
            f"the stable revision's p{quantile * 100:g} is above the last bucket, {history.bounds[-1]:g} s"
        )
    if shares[0] == 0:
        raise NoResolutionError(f"all answers are within the first bucket, {history.bounds[0]:g} s")
    bound = history.bounds[index]
    wanted = bound / slower
    allowed = _share_at(history.bounds, shares, wanted)
    if unknown := _tells_little(history.bounds, shares, wanted):
        # At most what is above the bound before.
        allowed = shares[max(bisect_left(history.bounds, wanted) - 1, 0)]
    rest = _odds(1 - quantile)
    if unknown or _odds(allowed) > min(_BLUNT * rest, max(_EVEN, rest)):
        further = _further_up(history.bounds, shares, quantile, bound * slower)
        if further is not None:
            return further
    near = min(range(len(shares)), key=lambda i: abs(log(history.bounds[i]) - log(wanted)))
    if shares[near] == 0:
        # Nothing of stable's is that slow: the next bound below that has something is a stricter reference.
        near = max((i for i, share in enumerate(shares) if share > 0), default=near)
    return Exceedance(bound, history.bounds[near], allowed / max(shares[near], 1e-9))


def _further_up(
    bounds: Sequence[float], shares: Sequence[float], quantile: float, least: float
) -> Exceedance | None:
    """Compare at the first bound from `least` on, `slower` times a bound above stable's quantile; None: there is none.

    A candidate within its limit has a share of 1 - quantile there at most. The reference is the bound whose share is
    nearest to that: of it most is known.
    """
    rest, further = 1 - quantile, bisect_left(bounds, least * (1 - 1e-9))
    if further == len(bounds):
        return None
    known = [i for i, share in enumerate(shares) if share > 0]
    near = min(known, key=lambda i: abs(log(_odds(shares[i])) - log(_odds(rest))))
    return Exceedance(bounds[further], bounds[near], rest / shares[near])


def _tells_little(bounds: Sequence[float], shares: Sequence[float], x: float) -> bool:
    """Whether the bounds around `x` do not tell the share there: it has none below, or most requests end between."""
    j = bisect_left(bounds, x)
    return j == 0 or _odds(shares[j - 1]) > _STEEP * _odds(shares[j])


def _odds(share: float) -> float:
    """Give the odds of a share; those of all and of nothing are far away, and finite."""
    share = min(max(share, 1e-9), 1 - 1e-9)
    return share / (1 - share)


def _share_at(bounds: Sequence[float], shares: Sequence[float], x: float) -> float:
    """Interpolate the share above `x`: the larger of two ways, for too small a share is a limit that is too strict.

    Of log-normal, Weibull, log-logistic and shifted exponential laws it is no less than .85 of the true share, and no
    less than .95 for all but steep ones, between bounds that do not count as steep.
    """
    return max(_by_tail(bounds, shares, x), _by_normal(bounds, shares, x))


def _by_tail(bounds: Sequence[float], shares: Sequence[float], x: float) -> float:
    """Take Newton's quadratic through three bounds, in log share over log bound.

    The chord of two bounds takes a log-normal tail 6% too thin, and with it every twentieth candidate at the limit.
    """
    j = min(max(bisect_left(bounds, x) - 1, 0), len(bounds) - 3)
    u = log(x)
    at = [log(bounds[j + k]) for k in range(3)]
    values = [log(max(shares[j + k], 1e-9)) for k in range(3)]
    slope = (values[1] - values[0]) / (at[1] - at[0])
    next_slope = (values[2] - values[1]) / (at[2] - at[1])
    bend = min((next_slope - slope) / (at[2] - at[0]), 0.0) if shares[j + 2] > 0 else 0.0
    return exp(values[0] + slope * (u - at[0]) + bend * (u - at[0]) * (u - at[1]))


def _by_normal(bounds: Sequence[float], shares: Sequence[float], x: float) -> float:
    """Take the line between the bounds around `x`, in normal quantiles over log bound: log-normal laws are exact."""
    j = min(max(bisect_left(bounds, x), 1), len(bounds) - 1)
    at = [log(bounds[j - 1]), log(bounds[j])]
    values = [_NORMAL.inv_cdf(min(max(share, 1e-9), 1 - 1e-9)) for share in shares[j - 1 : j + 1]]
    return _NORMAL.cdf(values[0] + (values[1] - values[0]) * (log(x) - at[0]) / (at[1] - at[0]))


def _count(histogram: Histogram, bound: float) -> float:
    if histogram.total == 0:
        return 0.0
    count = histogram.count_above(bound)
    if count is None:
        known = ", ".join(f"{b:g}" for b in histogram.bounds[:12])
        raise NoResolutionError(f"the histogram has no bucket {bound:g} s any more; it has {known}")
    return count
