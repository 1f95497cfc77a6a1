"""Histograms of how long requests took, of which only the buckets are known: classic ones, and native ones.

Source: Prometheus 3, HTTP API: native histograms, and its specification of native histograms.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import inf, isclose, isnan, log2

_LEAST_BOUND_S = 1e-9
_SAME = 1e-9
"""Bounds that differ by less, relative to them, are one: they are computed, and written as decimals."""
_FINEST, _COARSEST = 8, -4
"""Schemas: a bound is 2**(2**-schema) times the one before."""
_MOST_FURTHER = 256


class NotAtOneTimeError(ValueError):
    """Some buckets were counted at another time than others; the next look may be whole."""


@dataclass(frozen=True)
class Histogram:
    """Counts of requests above each upper bound; `bounds` ascend, in seconds, and the last is finite.

    is_native: whether the bounds are those of the buckets that hold something, as a native histogram has them: between
    two buckets, before the first and after the last nothing was counted, so that other bounds there are known too.
    """

    bounds: tuple[float, ...]
    above: tuple[float, ...]
    total: float
    is_native: bool = False

    @classmethod
    def of_buckets(cls, buckets: Sequence[tuple[float, float]]) -> "Histogram":
        """Read cumulative buckets (upper bound, count of requests up to it) with one for infinity, as Prometheus has.

        Raises:
            ValueError: they are not those of a histogram.
        """
        if any(isnan(bound) for bound, _ in buckets):
            raise ValueError("a bucket of the histogram has a bound le that is no number")
        # Nothing takes no time: a bound of 0, as OpenTelemetry has by default, tells nothing.
        ordered = sorted(bucket for bucket in buckets if bucket[0] >= _LEAST_BOUND_S)
        if not ordered or ordered[-1][0] != inf:
            raise ValueError("the histogram has no bucket le=+Inf: nobody knows how many requests there were")
        counts = [count for _, count in ordered]
        if counts != sorted(counts) or counts[0] < 0:
            raise NotAtOneTimeError(
                "the histogram's buckets do not ascend: their counters were not read at one time"
            )
        total = counts[-1]
        finite = ordered[:-1]
        return cls(tuple(bound for bound, _ in finite), tuple(total - count for _, count in finite), total)

    @classmethod
    def of_native(cls, buckets: Sequence[tuple[float, float, float]], total: float) -> "Histogram":
        """Read the buckets (lower bound, upper bound, count) that hold something, of `total` requests.

        Raises:
            ValueError: they are not those of a histogram.
        """
        ordered = sorted(buckets)
        if any(isnan(bound) for bucket in ordered for bound in bucket[:2]):
            raise ValueError("a bucket of the native histogram has a bound that is no number")
        if any(count < 0 for _, _, count in ordered):
            raise NotAtOneTimeError("a bucket of the native histogram has less than nothing")
        edges = sorted({bound for bucket in ordered for bound in bucket[:2] if 0 < bound < inf})
        above, at, left = [], 0, sum(count for _, _, count in ordered)
        for edge in edges:
            while at < len(ordered) and ordered[at][0] < edge:
                left -= ordered[at][2]
                at += 1
            above.append(max(left, 0.0))
        return cls(tuple(edges), tuple(above), total, is_native=True)

    def share_above(self, index: int) -> float:
        """Share of the requests that took longer than a bound."""
        return self.above[index] / self.total if self.total else 0.0

    def count_above(self, bound: float) -> float | None:
        """Count the requests that took longer than a bound; None where the buckets do not tell."""
        if not self.is_native:
            index = bisect_left(self.bounds, bound)
            known = index < len(self.bounds) and self.bounds[index] == bound
            return self.above[index] if known else None
        index = bisect_left(self.bounds, bound * (1 - _SAME))
        if index < len(self.bounds) and isclose(self.bounds[index], bound, rel_tol=_SAME):
            return self.above[index]
        before = self.above[index - 1] if index else self.total
        after = self.above[index] if index < len(self.bounds) else 0.0
        return before if before == after else None

    def up_to(self, bound: float) -> "Histogram":
        """Give a native histogram with further bounds, up to one, of buckets that hold nothing yet.

        They are known where its bounds are powers, and not where they were chosen. A classic one has all of its bounds.
        """
        schema = _schema(self.bounds) if self.is_native else None
        if schema is None:
            return self
        last, further = round(log2(self.bounds[-1]) * 2.0**schema), [self.bounds[-1]]
        while further[-1] < bound and len(further) < _MOST_FURTHER:
            further.append(2.0 ** ((last + len(further)) / 2.0**schema))
        more = further[1:]
        return replace(self, bounds=(*self.bounds, *more), above=(*self.above, *[0.0] * len(more)))


def added_up(histograms: Sequence[Histogram]) -> Histogram:
    """Add histograms up, oldest first: those of the newest one's kind; native ones by the bounds that all know."""
    told = [known for known in histograms if known.bounds or not known.is_native]
    if not told:
        return Histogram((), (), 0.0)
    newest = told[-1]
    if not newest.is_native:
        alike = [known for known in told if known.bounds == newest.bounds and not known.is_native]
        above = tuple(sum(counts) for counts in zip(*(known.above for known in alike), strict=True))
        return Histogram(newest.bounds, above, sum(known.total for known in alike))
    natives = [known for known in told if known.is_native]
    counts = {
        bound: _count(natives, bound) for bound in sorted({x for known in natives for x in known.bounds})
    }
    known_of_all = {bound: count for bound, count in counts.items() if count is not None}
    total = sum(known.total for known in natives)
    return Histogram(tuple(known_of_all), tuple(known_of_all.values()), total, is_native=True)


def _count(natives: Sequence[Histogram], bound: float) -> float | None:
    total = 0.0
    for known in natives:
        count = known.count_above(bound)
        if count is None:
            return None
        total += count
    return total


def _schema(bounds: Sequence[float]) -> int | None:
    """Give the schema of which all these bounds are; None where there is none."""
    for schema in range(_COARSEST, _FINEST + 1):
        numbers = [log2(bound) * 2.0**schema for bound in bounds]
        if all(abs(number - round(number)) < 1e-6 for number in numbers):
            # Neighbours are a bucket's.
            return schema if any(round(b) - round(a) == 1 for a, b in pairwise(numbers)) else None
    return None
