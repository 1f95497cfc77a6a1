"""What is asked about two revisions and what came back: each look once, whoever asks again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from mooring_operator.api import reasons
from mooring_operator.planning.analysis.agreements import Copies
from mooring_operator.planning.analysis.looks import Counts, Histograms, Predicted
from mooring_operator.planning.analysis.measuring import Measurement, UsedQuery
from mooring_operator.planning.analysis.queries import Question
from mooring_operator.planning.analysis.rates import UsedRate
from mooring_operator.planning.analysis.sources import SOURCES, Source
from mooring_operator.planning.analysis.templates import Standards
from mooring_operator.planning.objects.owner import Owner

MOST_LOOKS = 120
"""How many looks are asked for at once: the rest after them."""


@dataclass(frozen=True)
class Counting:
    """How counters can be looked at here.

    every: time between two looks, no less than that between two scrapes.
    lag: time until what was counted can be asked for.
    problem: why they cannot be looked at at all. reason: the condition's, then.
    by_pods: whether pods are read, for there is no Prometheus.
    """

    every: timedelta = timedelta(seconds=30)
    lag: timedelta = timedelta(seconds=10)
    problem: str = ""
    reason: str = reasons.METRICS_UNAVAILABLE
    by_pods: bool = False

    def by(self, standards: Standards) -> "Counting":
        """Say how they can be looked at by these templates: not at all, where there is something wrong with them."""
        if not standards.problem:
            return self
        return replace(self, problem=standards.problem, reason=standards.reason)

    def due(self, since: datetime) -> datetime:
        """When the first look of a time can be asked for."""
        return since + self.every + self.lag

    def until(self, since: datetime, now: datetime) -> datetime:
        """Give the end of the last whole look that can be asked for."""
        looks = min((now - self.lag - since) // self.every, MOST_LOOKS)
        return since + max(looks, 0) * self.every


@dataclass(frozen=True)
class Request:
    """Asks what both revisions counted in a time; of `begins` also what they counted in the hour before.

    `services` are what the revisions have behind a gateway. `queries` are measured by the time since the analysis
    `began`; those that take a while have been up to `settled` seconds after that, for their `owner`, and are told the
    `address` where the candidate alone answers, and the address and digest of its `model`. Pairs of `copies` have been
    counted up to `joined` seconds. `until` is of no matter for what is asked: what is under way is not asked anew
    because time goes on.
    """

    namespace: str
    name: str
    candidate: str
    stable: str
    metrics: tuple[str, ...]
    begins: tuple[str, ...]
    since: datetime
    every: timedelta
    until: datetime = field(compare=False)
    source: Source = field(default=SOURCES["Mooring"], hash=False)
    services: tuple[str, str] = ("", "")
    queries: tuple[UsedQuery, ...] = field(default=(), hash=False)
    began: datetime | None = None
    rates: tuple[UsedRate, ...] = field(default=(), hash=False)
    settled: Mapping[str, int] = field(default_factory=dict, hash=False)
    joined: Mapping[str, int] = field(default_factory=dict, hash=False)
    copies: Copies = field(default=Copies(), compare=False)
    owner: Owner | None = field(default=None, compare=False)
    address: str = field(default="", compare=False)
    model: tuple[str, str] = field(default=("", ""), compare=False)

    def question(self, metric: str) -> Question:
        """Give what is asked for of a metric.

        Raises:
            AnswerUnusableError: the source does not count it.
        """
        every_s = int(self.every.total_seconds())
        rate = next((known for known in self.rates if known.metric == metric), None)
        if rate is not None:
            return rate.question(self.namespace, self.name, (self.candidate, self.stable), every_s)
        revisions = dict(zip((self.candidate, self.stable), self.services, strict=True))
        return self.source.question(metric, self.namespace, self.name, revisions, every_s)

    def times(self, query: UsedQuery) -> list[datetime]:
        """Give when a query is measured in the time that is asked about."""
        return query.times(self.began or self.since, self.since, self.until)


@dataclass(frozen=True)
class Counted:
    """What was counted of one metric: rates have events and requests, latency histograms, drift has predictions.

    before: the same, of the hour before; None where it was not asked for.
    problem: why nothing can be judged; a person has to change something.
    """

    requests: Counts = field(default_factory=dict)
    events: Counts = field(default_factory=dict)
    histograms: Histograms = field(default_factory=dict)
    predicted: Predicted = field(default_factory=dict)
    before: "Counted | None" = None
    problem: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether there is no series at all."""
        return not any(
            map(len, (*self.requests.values(), *self.histograms.values(), *self.predicted.values()))
        )


@dataclass(frozen=True)
class Answer:
    """What came back; `unavailable` says why nobody answered: it is asked again, and no look is lost."""

    request: Request
    metrics: Mapping[str, Counted] = field(default_factory=dict)
    unavailable: str = ""
    measured: Mapping[str, Sequence[Measurement]] = field(default_factory=dict)
