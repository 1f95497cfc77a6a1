"""Counts of each look, out of Prometheus: what is asked for, and what an answer means.

A count is what counters grew by between two looks, sample by sample. ``increase()`` would extrapolate to the edges of
its window: its counts are no whole numbers, and those of looks side by side overlap.

Source: Prometheus 3, querying basics and the HTTP API.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil, isfinite, nan
from typing import Any

from mooring_operator.planning.analysis.latency import Histogram
from mooring_operator.planning.status.wording import one_line

# A series whose scrapes fail for less goes on from its last value; counted afresh, it would count twice.
_MEMORY = "1h"


MOST_COUNTED = 2.0**53
"""Whole numbers up to that are exact; nothing has counted more."""
LEAST_COUNTED = 1e-9
"""Less is what subtractions leave of counters that are no whole numbers: it is nothing."""


class AnswerUnusableError(Exception):
    """Prometheus answered, and not with what can be judged; the message says with what."""


class OtherTimesError(AnswerUnusableError):
    """Prometheus answered about other times than it was asked about: with what it, or somebody before it, has kept."""


@dataclass(frozen=True)
class Times:
    """Which times are asked about, in seconds: from `first` on, `every` so many, up to `last`."""

    first: float
    last: float
    every: float

    def asked(self, at: float) -> float:
        """Give the time that was asked about, of one that an answer has.

        Whoever keeps answers may move them all down to multiples of the step, as Thanos' query frontend does.

        Raises:
            OtherTimesError: it is none of them.
        """
        number = ceil((at - self.first) / self.every - 0.001) if isfinite(at) else -1
        if not 0 <= number <= (self.last - self.first) / self.every + 0.001:
            # No numbers: it becomes a status, which is written when it changes.
            raise OtherTimesError(
                "Prometheus answers about other times than it was asked about: does a cache before it give what was "
                "asked earlier? Ask past the cache, or switch it off for /api/v1/query_range"
            )
        return self.first + number * self.every


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


def read_counts(answer: Any, arm: str, times: Times) -> dict[str, dict[float, float]]:
    """Give the values of a range query by arm and time.

    Raises:
        AnswerUnusableError: it is an error, of another kind, has two series for one arm, or a value that is no count.
    """
    found: dict[str, dict[float, float]] = {}
    for labels, values in _counts(answer, times):
        name = _label(labels, arm)
        if name in found:
            raise AnswerUnusableError(f"there are several series for {arm} {name}: sum them up by {arm}")
        found[name] = values
    return found


def read_predictions(
    answer: Any, arm: str, label: str, times: Times
) -> dict[str, dict[float, dict[str, float]]]:
    """Give how often each prediction was made in a range query, by arm and time.

    Raises:
        AnswerUnusableError: as `read_counts`.
    """
    found: dict[str, dict[float, dict[str, float]]] = {}
    for labels, values in _counts(answer, times):
        by_time, cell = found.setdefault(_label(labels, arm), {}), _label(labels, label)
        for at, count in values.items():
            by_time.setdefault(at, {})[cell] = count
    return found


def read_buckets(answer: Any, arm: str, times: Times, unit: float = 1.0) -> dict[str, dict[float, Histogram]]:
    """Give the histograms of a range query by arm and time.

    Raises:
        AnswerUnusableError: as `read_counts`, or the buckets are not those of a histogram.
    """
    buckets: dict[str, dict[float, dict[float, float]]] = {}
    for labels, values in _counts(answer, times):
        by_time, bound = buckets.setdefault(_label(labels, arm), {}), _bound(_label(labels, "le")) * unit
        for at, count in values.items():
            counts = by_time.setdefault(at, {})
            # Exporters write one bound in several ways: le="1" and le="1.0" are the same bucket.
            counts[bound] = counts.get(bound, 0.0) + count
    try:
        return {
            name: {at: Histogram.of_buckets(list(counts.items())) for at, counts in by_time.items()}
            for name, by_time in buckets.items()
        }
    except ValueError as error:
        raise AnswerUnusableError(str(error)) from None


def read_values(answer: Any, times: Times) -> dict[float, list[float]]:
    """Give the values of a range query by time, of all of its series; also those that are no numbers.

    Raises:
        AnswerUnusableError: it is an error, or of another kind.
    """
    found: dict[float, list[float]] = {}
    for _, values in _series(answer):
        for at, value in values:
            found.setdefault(times.asked(at), []).append(_as_number(value))
    return found


_NO_SERIES = "what answers does not write time series as Prometheus does"


def _counts(answer: Any, times: Times) -> Iterator[tuple[dict[str, str], dict[float, float]]]:
    """Yield the labels of each series, and its counts by time."""
    for labels, values in _series(answer):
        counts = [(at, _count(value, labels)) for at, value in values]
        yield labels, {times.asked(at): count for at, count in counts}


def _series(answer: Any) -> Iterator[tuple[dict[str, str], list[tuple[float, Any]]]]:
    """Yield the labels of each series, and its values with their times."""
    if not isinstance(answer, dict) or answer.get("status") not in ("success", "error"):
        raise AnswerUnusableError("what answers is not Prometheus: its JSON has no status success or error")
    if answer["status"] == "error":
        said = one_line(str(answer.get("error") or "it does not say why"), 450)
        raise AnswerUnusableError(f"Prometheus refused the query: {said}")
    data = answer.get("data")
    if not isinstance(data, dict) or data.get("resultType") != "matrix":
        raise AnswerUnusableError("Prometheus gave no time series, where a range was asked for")
    result = data.get("result", [])
    if not isinstance(result, list):
        raise AnswerUnusableError(_NO_SERIES)
    for series in result:
        try:
            labels = dict(series["metric"])
            if not series.get("values") and series.get("histograms"):
                raise AnswerUnusableError(
                    "Prometheus gave a native histogram, where numbers were asked for: take one of it, as by "
                    "histogram_count(), or scrape its classic buckets too"
                )
            values = [(float(at), value) for at, value in series["values"]]
        except (TypeError, ValueError, KeyError, AttributeError, OverflowError):
            raise AnswerUnusableError(_NO_SERIES) from None
        if not all(isinstance(text, str) for text in (*labels, *labels.values())):
            raise AnswerUnusableError(_NO_SERIES)
        yield labels, values


def _label(labels: Mapping[str, str], name: str) -> str:
    if name not in labels:
        raise AnswerUnusableError(f"a series has no label {name}: revisions and buckets cannot be told apart")
    return labels[name]


def _bound(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise AnswerUnusableError(f"the bucket le={text} is no number") from None


def _as_number(text: Any) -> float:
    """Give the number that a value is; NaN where it is none."""
    try:
        return float(text)
    except (TypeError, ValueError, OverflowError):
        return nan


def _count(text: Any, labels: Mapping[str, str]) -> float:
    value = _as_number(text)
    if not 0 <= value <= MOST_COUNTED:
        raise AnswerUnusableError(f"{labels}: the value {text!r:.40} is no count")
    return value if value >= LEAST_COUNTED else 0.0
