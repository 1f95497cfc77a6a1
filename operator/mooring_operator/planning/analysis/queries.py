"""Counts of each look, out of Prometheus: what is asked for, and what an answer means.

A count is what counters grew by between two looks, sample by sample. ``increase()`` would extrapolate to the edges of
its window: its counts are no whole numbers, and those of looks side by side overlap.

Source: Prometheus 3, querying basics and the HTTP API.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import isfinite, nan
from typing import Any

from mooring_operator.planning.analysis.latency import Histogram

# A series whose scrapes fail for less goes on from its last value; counted afresh, it would count twice.
_MEMORY = "1h"


class AnswerUnusableError(Exception):
    """Prometheus answered, and not with what can be judged; the message says with what."""


@dataclass(frozen=True)
class Rate:
    """A rate of counters: some of the requests are events.

    counter: name of the counter of requests. events: matchers of those that are events, as ``code=~"5.."``.
    arm: label that tells revisions apart.
    failures: counter of the requests that are events, where they are not among those of `counter`.
    of: matchers of all that is counted. part: counter of the events, where it is another.
    is_good: whether what is called events here is what is as it should be: all else are events.
    """

    counter: str
    events: str
    arm: str = "revision"
    failures: str = ""
    of: str = ""
    part: str = ""
    is_good: bool = False


RATES: Mapping[str, Rate] = {
    "errorRate": Rate("mooring_inference_requests_total", 'code=~"5.."'),
    "rejectedRate": Rate("mooring_inference_requests_total", 'code=~"4.."'),
}
"""Ready-made rates of our runtime, by the name that specs use."""


@dataclass(frozen=True)
class Latency:
    """A histogram of how long requests took: its buckets are `counter`, with bounds in `unit` seconds."""

    counter: str
    arm: str = "revision"
    unit: float = 1.0


LATENCY = Latency("mooring_inference_request_duration_seconds_bucket")
"""How long our runtime takes, from a request's first byte to its answer."""


@dataclass(frozen=True)
class Predictions:
    """Counts of answers by what was predicted, which `label` says."""

    counter: str
    label: str = "prediction"
    arm: str = "revision"


PREDICTIONS = Predictions("mooring_inference_predictions_total")
"""What our runtime predicts, a row of each request."""


@dataclass(frozen=True)
class Pods:
    """Whose pods show a counter themselves, at /metrics of `port`.

    model: what their label `model` has, where several models may share a pod.
    """

    namespace: str
    deployment: str
    port: int
    model: str = ""


@dataclass(frozen=True)
class Question:
    """What is asked for, of which revisions; `matchers` narrow it (a namespace).

    values: what the label has that tells them apart, where that is not their names.
    pods: which pods show it, where pods do.
    """

    metric: Rate | Latency | Predictions
    revisions: tuple[str, ...]
    matchers: tuple[str, ...] = ()
    every_s: int = 10
    values: tuple[str, ...] = ()
    pods: Pods | None = None

    def named(self, value: str) -> str:
        """Give the revision of which a label has this value."""
        return dict(zip(self.values or self.revisions, self.revisions, strict=True)).get(value, value)

    @property
    def counts(self) -> str:
        """PromQL of the requests of each look, by revision; by bucket too, where there are buckets."""
        metric = self.metric
        if isinstance(metric, Rate) and metric.failures:
            both = (
                f'label_replace({self._growth(counter, "")}, "counted_as", "{counter}", "", "")'
                for counter in (metric.counter, metric.failures)
            )
            return f"sum by ({metric.arm}) ({' or '.join(both)})"
        return self._counts(metric.counter, metric.of if isinstance(metric, Rate) else "")

    @property
    def events(self) -> str:
        """PromQL of the events of each look, by revision."""
        metric = self.metric
        if not isinstance(metric, Rate):
            return self.counts
        return self._counts(metric.failures or metric.part or metric.counter, metric.events)

    def _counts(self, counter: str, more: str) -> str:
        arm = self.metric.arm
        match self.metric:
            case Rate():
                labels = arm
            case Latency():
                labels = f"{arm}, le"
            case Predictions(label=label):
                labels = f"{arm}, {label}"
        return f"sum by ({labels}) {self._growth(counter, more)}"

    def _growth(self, counter: str, more: str) -> str:
        matchers = (f'{self.metric.arm}=~"{"|".join(self.values or self.revisions)}"', *self.matchers, more)
        selected = f"{counter}{{{','.join(part for part in matchers if part)}}}"
        before = f"last_over_time({selected}[{_MEMORY}] offset {self.every_s}s)"
        # A counter that fell was reset, and one that was not there before begins: both have grown by what they show.
        return f"(({selected} - {before}) >= 0 or {selected})"


def quoted(value: str) -> str:
    """Write a label's value as PromQL has it."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def read_counts(answer: Any, arm: str) -> dict[str, dict[float, float]]:
    """Give the values of a range query by arm and time.

    Raises:
        AnswerUnusableError: it is an error, of another kind, has two series for one arm, or a value that is no number.
    """
    found: dict[str, dict[float, float]] = {}
    for labels, values in _series(answer):
        name = _label(labels, arm)
        if name in found:
            raise AnswerUnusableError(f"there are several series for {arm} {name}: sum them up by {arm}")
        found[name] = values
    return found


def read_predictions(answer: Any, arm: str, label: str) -> dict[str, dict[float, dict[str, float]]]:
    """Give how often each prediction was made in a range query, by arm and time.

    Raises:
        AnswerUnusableError: as `read_counts`.
    """
    found: dict[str, dict[float, dict[str, float]]] = {}
    for labels, values in _series(answer):
        by_time, cell = found.setdefault(_label(labels, arm), {}), _label(labels, label)
        for at, count in values.items():
            by_time.setdefault(at, {})[cell] = count
    return found


def read_buckets(answer: Any, arm: str, unit: float = 1.0) -> dict[str, dict[float, Histogram]]:
    """Give the histograms of a range query by arm and time.

    Raises:
        AnswerUnusableError: as `read_counts`, or the buckets are not those of a histogram.
    """
    buckets: dict[str, dict[float, dict[float, float]]] = {}
    for labels, values in _series(answer):
        by_time, bound = buckets.setdefault(_label(labels, arm), {}), _bound(_label(labels, "le")) * unit
        for at, count in values.items():
            by_time.setdefault(at, {})[bound] = count
    try:
        return {
            name: {at: Histogram.of_buckets(list(counts.items())) for at, counts in by_time.items()}
            for name, by_time in buckets.items()
        }
    except ValueError as error:
        raise AnswerUnusableError(str(error)) from None


def read_values(answer: Any) -> dict[float, list[float]]:
    """Give the values of a range query by time, of all of its series; also those that are no numbers.

    Raises:
        AnswerUnusableError: it is an error, or of another kind.
    """
    found: dict[float, list[float]] = {}
    for _, values in _series(answer, float):
        for at, value in values.items():
            found.setdefault(at, []).append(value)
    return found


def _series(
    answer: Any, read: Callable[[Any], float] | None = None
) -> Iterator[tuple[dict[str, str], dict[float, float]]]:
    if not isinstance(answer, dict) or answer.get("status") != "success":
        said = answer.get("error", "") if isinstance(answer, dict) else ""
        raise AnswerUnusableError(f"Prometheus refused the query: {said}"[:500])
    data = answer.get("data")
    if not isinstance(data, dict) or data.get("resultType") != "matrix":
        raise AnswerUnusableError("Prometheus gave no time series, where a range was asked for")
    try:
        for series in data.get("result", []):
            labels = dict(series["metric"])
            yield (
                labels,
                {float(at): read(v) if read else _number(v, labels) for at, v in series["values"]},
            )
    except (TypeError, ValueError, KeyError, AttributeError):
        raise AnswerUnusableError("what answers does not write time series as Prometheus does") from None


def _label(labels: Mapping[str, str], name: str) -> str:
    if name not in labels:
        raise AnswerUnusableError(f"a series has no label {name}: revisions and buckets cannot be told apart")
    return labels[name]


def _bound(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise AnswerUnusableError(f"the bucket le={text} is no number") from None


def _number(text: Any, labels: Mapping[str, str]) -> float:
    try:
        value = float(text)
    except (TypeError, ValueError):
        value = nan
    if not (isfinite(value) and value >= 0):
        raise AnswerUnusableError(f"{labels}: the value {text!r:.40} is no count")
    return value
