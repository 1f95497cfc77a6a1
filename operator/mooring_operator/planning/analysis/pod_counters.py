"""Counts out of what pods show of themselves, where nobody scrapes them: what counters grew by between two readings.

A reading is of all processes of both revisions. What a process counted after the last reading that it was in, nobody
knows once it is gone: the growth says so, for that is most often a process that failed.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import inf

from mooring_operator.planning.analysis.answers import LEAST_COUNTED
from mooring_operator.planning.analysis.histograms import Histogram
from mooring_operator.planning.analysis.queries import (
    PREDICTIONS,
    AnswerUnusableError,
    Latency,
    Predictions,
    Rate,
)
from mooring_operator.planning.analysis.sources import SOURCES, Source

Series = tuple[str, tuple[tuple[str, str], ...]]
"""A counter's name, and those of its labels that questions are about, by name."""

_MATCHER = re.compile(r'(\w+)(=~|=)"([^"]*)"')


@dataclass(frozen=True)
class Process:
    """What a process of a revision shows: it counts from nothing, and never counts down."""

    revision: str
    counters: Mapping[Series, float]


Reading = Mapping[str, Process]
"""All processes of both revisions at one time, by what no other process ever has."""


@dataclass(frozen=True)
class Growth:
    """What both revisions counted between two readings.

    lost: how many processes of each revision ended meanwhile. What they counted last is not in `counted`.
    """

    counted: Mapping[str, Mapping[Series, float]] = field(default_factory=dict)
    lost: Mapping[str, int] = field(default_factory=dict)


def growth(before: Reading, after: Reading) -> Growth:
    """Give what was counted between two readings; a process that is new has counted all that it shows."""
    counted: dict[str, Counter[Series]] = {}
    lost = Counter(known.revision for name, known in before.items() if name not in after)
    for name, process in after.items():
        start = before[name].counters if name in before else {}
        grown = counted.setdefault(process.revision, Counter())
        if any(process.counters.get(series, 0.0) < value for series, value in start.items()):
            # It began anew under the same name: what it had counted before that is gone.
            lost[process.revision] += 1
            start = {}
        for series, value in process.counters.items():
            more = value - start.get(series, 0.0)
            grown[series] += more if more >= LEAST_COUNTED else 0.0  # type: ignore[assignment]
    return Growth(counted, dict(lost))


def rate_of(counted: Mapping[Series, float], rate: Rate, model: str) -> tuple[float, float]:
    """Give how many events and how many requests a revision counted; of one model, where that is named."""
    shown = {series: value for series, value in counted.items() if _is_of(series, model)}
    requests = _total(shown, rate.counter, "")
    if not rate.failures:
        return _total(shown, rate.counter, rate.events), requests
    failures = _total(shown, rate.failures, rate.events)
    return failures, requests + failures


def histogram_of(counted: Mapping[Series, float], latency: Latency, model: str) -> Histogram | None:
    """Give how long the requests took that a revision counted; None where it shows no such histogram.

    Raises:
        AnswerUnusableError: its buckets are not those of a histogram.
    """
    buckets: Counter[float] = Counter()
    for (name, labels), value in counted.items():
        if name == latency.counter and _is_of((name, labels), model):
            buckets[_bound(dict(labels).get("le", "")) * latency.unit] += value  # type: ignore[assignment]
    if not buckets:
        return None
    try:
        return Histogram.of_buckets(list(buckets.items()))
    except ValueError as error:
        raise AnswerUnusableError(str(error)) from None


def predictions_of(counted: Mapping[Series, float], metric: Predictions, model: str) -> dict[str, float]:
    """Give how often a revision made each prediction."""
    found: Counter[str] = Counter()
    for (name, labels), value in counted.items():
        if name == metric.counter and value and _is_of((name, labels), model):
            found[dict(labels).get(metric.label, "")] += value  # type: ignore[assignment]
    return dict(found)


def _total(counted: Mapping[Series, float], counter: str, matchers: str) -> float:
    wanted = [(label, how, value) for label, how, value in _MATCHER.findall(matchers)]
    return sum(
        value
        for (name, labels), value in counted.items()
        if name == counter and all(_matches(dict(labels).get(label, ""), *rest) for label, *rest in wanted)
    )


def _matches(value: str, how: str, wanted: str) -> bool:
    return value == wanted if how == "=" else re.fullmatch(wanted, value) is not None


def _is_of(series: Series, model: str) -> bool:
    return not model or dict(series[1]).get("model") == model


def _bound(text: str) -> float:
    try:
        return inf if text == "+Inf" else float(text)
    except ValueError:
        raise AnswerUnusableError("a histogram of a pod has a bucket without a bound") from None


# --- what there is to read ----------------------------------------------------------------------


def _metrics(sources: Mapping[str, Source]) -> Iterator[Rate | Latency | Predictions]:
    """Yield what the runtimes count themselves; a gateway is none of a revision's pods."""
    for source in sources.values():
        if source.of != "Services":
            yield from source.counts.values()


_KNOWN = tuple(_metrics({str(name): source for name, source in SOURCES.items()}))

COUNTERS = frozenset(
    name
    for metric in _KNOWN
    for name in (metric.counter, metric.failures if isinstance(metric, Rate) else "")
    if name
)
"""The names of all counters of runtimes that a question may be about."""

LABELS = frozenset(
    {"le", "model", PREDICTIONS.label}
    | {
        label
        for metric in _KNOWN
        if isinstance(metric, Rate)
        for label, _, _ in _MATCHER.findall(metric.events)
    }
)
"""The labels that tell them apart."""
