"""A histogram with exponential buckets, of which only those that hold something are kept."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from math import frexp, inf, isfinite

# Buckets for each doubling: 2 to the power of the schema; each bound is 9% above the one before.
SCHEMA = 3

# At and below this counts as zero; what Prometheus' own clients take.
ZERO_THRESHOLD = 2.0**-128

_PER_DOUBLING = 1 << SCHEMA
_BOUNDS = tuple(2.0 ** (step / _PER_DOUBLING - 1) for step in range(_PER_DOUBLING))


class NativeHistogram:
    """Durations by exponential buckets; for one thread.

    Bucket ``i`` holds what lies in ``(2**((i-1)/8), 2**(i/8)]`` (schema 3 of Prometheus' native histograms).
    A dictionary holds one number for each bucket that was hit: about a hundred for what a server's latencies
    spread over.
    """

    __slots__ = ("buckets", "sum", "zeros")

    def __init__(self) -> None:
        self.buckets: dict[int, int] = {}
        self.sum = 0.0
        self.zeros = 0

    @property
    def count(self) -> int:
        """Observations."""
        return self.zeros + sum(self.buckets.values())

    def observe(self, seconds: float) -> None:
        """Count one duration; less than zero counts as zero, NaN and infinity do not count."""
        if ZERO_THRESHOLD < seconds < inf:
            fraction, exponent = frexp(seconds)
            bucket = bisect_left(_BOUNDS, fraction) + (exponent - 1) * _PER_DOUBLING
            self.sum += seconds
            try:
                self.buckets[bucket] += 1
            except KeyError:
                self.buckets[bucket] = 1
        elif seconds <= ZERO_THRESHOLD:
            self.sum += max(seconds, 0.0)
            self.zeros += 1

    def merge(self, other: NativeHistogram) -> None:
        """Add what another histogram counted."""
        self.sum += other.sum
        self.zeros += other.zeros
        for bucket, count in other.buckets.items():
            self.buckets[bucket] = self.buckets.get(bucket, 0) + count

    def coarsened(self, most: int) -> tuple[int, dict[int, int]]:
        """Return the schema and the buckets of the finest histogram that has at most ``most`` buckets."""
        schema, buckets = SCHEMA, self.buckets
        while len(buckets) > most and schema > -4:
            # Two neighbours become one: 2i-1 and 2i go to i.
            schema, halved = schema - 1, dict[int, int]()
            for bucket, count in buckets.items():
                halved[(bucket + 1) >> 1] = halved.get((bucket + 1) >> 1, 0) + count
            buckets = halved
        return schema, buckets

    def to_json(self) -> dict[str, object]:
        """Return the counts as JSON, for other processes."""
        buckets = {str(bucket): count for bucket, count in self.buckets.items()}
        return {"sum": self.sum, "zeros": self.zeros, "buckets": buckets}

    @classmethod
    def from_json(cls, document: Mapping[str, object]) -> NativeHistogram:
        """Read what ``to_json`` has written.

        Raises:
            ValueError: the document is another one.
        """
        total, zeros, buckets = (document.get(key) for key in ("sum", "zeros", "buckets"))
        if not isinstance(total, int | float) or not isfinite(total) or not isinstance(buckets, dict):
            raise ValueError("expected sum, zeros and buckets of a native histogram")
        histogram = cls()
        histogram.sum = float(total)
        histogram.zeros = _counted(zeros)
        histogram.buckets = {int(bucket): _counted(count) for bucket, count in buckets.items()}
        return histogram

    @classmethod
    def merged(cls, histograms: Iterable[NativeHistogram]) -> NativeHistogram:
        """Return the sum of several histograms."""
        total = cls()
        for histogram in histograms:
            total.merge(histogram)
        return total


def _counted(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"expected a count, got {value!r}")
    return value
