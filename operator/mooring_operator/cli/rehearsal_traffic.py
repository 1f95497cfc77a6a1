"""The requests of a rehearsal: how many there are, how many go wrong, and how long they take."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from math import exp, log, sqrt
from statistics import NormalDist

from mooring_operator.api.analysis import LATENCIES
from mooring_operator.cli.rehearsal_copies import compared
from mooring_operator.planning.analysis.counting import Answer, Counted, Request
from mooring_operator.planning.analysis.histograms import Histogram

_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Those of the runtime, in seconds."""
_MEDIAN_S, _SPREAD = 0.03, 0.6
"""Latencies of the stable revision: a log-normal law."""
_CLASSES = (0.3, 0.25, 0.2, 0.15, 0.1)
"""How often the stable revision predicts each class."""
_HISTORY = timedelta(hours=1)

Count = Callable[[float, float], float]
"""Gives how many of so many requests are events, that each is with this probability."""


@dataclass(frozen=True)
class StatedRate:
    """Shares that are bad of what a template's rate counts, and how many it counts a second; None: each request."""

    bad: float
    stable_bad: float
    per_second: float | None = None


@dataclass(frozen=True)
class Traffic:
    """Requests a second to both revisions together; shares of each one's that go wrong; times the stable's latency.

    moved: share of the answers that the new revision predicts the most frequent class in, beyond stable's share.
    rates: what rates of templates give, by name. differing: share of the pairs of a request and its copy that are
    answered otherwise, by the agreement's name.
    """

    per_second: float = 0.0
    errors: float = 0.01
    stable_errors: float = 0.01
    slower: float = 1.0
    moved: float = 0.0
    rates: Mapping[str, StatedRate] = field(default_factory=dict)
    differing: Mapping[str, float] = field(default_factory=dict)

    @property
    def is_any(self) -> bool:
        """Whether anything is counted."""
        return self.per_second > 0 or any(rate.per_second for rate in self.rates.values())

    def answer(self, request: Request, share: float, count: Count, copied: float = 0.0) -> Answer:
        """Give what both revisions counted while the new one had this share of the requests, and of so many copies."""
        return Answer(
            request,
            {name: self._counted(name, request, share, count) for name in request.metrics},
            measured=compared(request, self.differing, self.per_second * copied, count),
        )

    def _counted(self, name: str, request: Request, share: float, count: Count) -> Counted:
        now = self._looks(name, request, request.since, request.until, share, count)
        if name not in request.begins:
            return now
        before = self._looks(name, request, request.since - _HISTORY, request.since, 0.0, count)
        return replace(now, before=before)

    def _looks(
        self, name: str, request: Request, since: datetime, until: datetime, share: float, count: Count
    ) -> Counted:
        times = [
            (since + request.every * n).timestamp()
            for n in range(1, int((until - since) / request.every) + 1)
        ]
        stated = self.rates.get(name, StatedRate(self.errors, self.stable_errors))
        per_second = self.per_second if stated.per_second is None else stated.per_second
        asked = per_second * request.every.total_seconds()
        arms = {request.candidate: asked * share, request.stable: asked * (1 - share)}
        arms = {arm: of for arm, of in arms.items() if of > 0}
        if name in LATENCIES:
            factors = {request.candidate: self.slower, request.stable: 1.0}
            return Counted(
                histograms={
                    arm: {at: _histogram(of, factors[arm], count) for at in times} for arm, of in arms.items()
                }
            )
        if name == "predictionDrift":
            moved = {request.candidate: self.moved, request.stable: 0.0}
            return Counted(
                predicted={
                    arm: {at: _predicted(of, moved[arm], count) for at in times} for arm, of in arms.items()
                }
            )
        wrong = {request.candidate: stated.bad, request.stable: stated.stable_bad}
        if name not in ("errorRate", *self.rates):
            wrong = dict.fromkeys(arms, self.stable_errors)
        events = {arm: {at: count(of, wrong[arm]) for at in times} for arm, of in arms.items()}
        requests = {arm: {at: max(of, events[arm][at]) for at in times} for arm, of in arms.items()}
        return Counted(requests, events)


def expected(of: float, share: float) -> float:
    """Count what is expected, fractions too."""
    return of * share


def drawn(dice: random.Random) -> Count:
    """Count as requests do that fail independently of each other."""

    def count(of: float, share: float) -> float:
        mean = of * share
        if mean > 30:
            return float(min(max(round(dice.gauss(mean, sqrt(mean * (1 - share)))), 0), of))
        product, number, least = dice.random(), 0, exp(-mean)
        while product > least:
            product, number = product * dice.random(), number + 1
        return float(min(number, of))

    return count


def _predicted(of: float, moved: float, count: Count) -> dict[str, float]:
    """Draw how many of so many answers are of each class: what the first has more, all others have less."""
    first, left, before = min(max(_CLASSES[0] + moved, 0.0), 1.0), of, 1.0
    rest = (1 - first) / (1 - _CLASSES[0])
    found = {}
    for index, share in enumerate((first, *(share * rest for share in _CLASSES[1:]))):
        last = index == len(_CLASSES) - 1
        found[str(index)] = left if last else count(left, min(share / before, 1.0) if before > 0 else 0.0)
        left -= found[str(index)]
        before -= share
    return found


def _histogram(of: float, factor: float, count: Count) -> Histogram:
    """Draw how many of so many requests took longer than each bound: each a part of those beyond the one before."""
    law = NormalDist(log(_MEDIAN_S * factor), _SPREAD)
    left, before, above = of, 1.0, []
    for bound in _BOUNDS:
        share = 1 - law.cdf(log(bound))
        left = count(left, share / before) if before > 0 else 0.0
        above.append(left)
        before = share
    return Histogram(_BOUNDS, tuple(above), of)
