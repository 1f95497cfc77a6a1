"""Counts of each look, out of Prometheus: what is asked for.

A count is what counters grew by between two looks, sample by sample. ``increase()`` would extrapolate to the edges of
its window: its counts are no whole numbers, and those of looks side by side overlap.

Source: Prometheus 3, querying basics and the HTTP API.
"""

from collections.abc import Mapping
from dataclasses import dataclass

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

    @property
    def natives(self) -> str:
        """PromQL of the native histograms of each look, by revision; empty where there are no buckets.

        Databases without native histograms refuse it.
        """
        if not isinstance(self.metric, Latency):
            return ""
        now, before = self._now_and_before(self.metric.counter.removesuffix("_bucket"), "")
        # Of buckets that cannot be compared Prometheus gives no difference: they have not grown by all that they show.
        grown = f"histogram_count({now}) >= histogram_count({before})"
        return f"sum by ({self.metric.arm}) ((({now} - {before}) and ({grown})) or ({now} unless ({grown})))"

    def _growth(self, counter: str, more: str) -> str:
        now, before = self._now_and_before(counter, more)
        # A counter that fell was reset, and one that was not there before begins: both have grown by what they show.
        return f"(({now} - {before}) >= 0 or {now})"

    def _now_and_before(self, counter: str, more: str) -> tuple[str, str]:
        """Give the last value in a look, also of what ended in it, and the last one before."""
        matchers = (f'{self.metric.arm}=~"{"|".join(self.values or self.revisions)}"', *self.matchers, more)
        selected = f"{counter}{{{','.join(part for part in matchers if part)}}}"
        return (
            f"last_over_time({selected}[{self.every_s}s])",
            f"last_over_time({selected}[{_MEMORY}] offset {self.every_s}s)",
        )


def quoted(value: str) -> str:
    """Write a label's value as PromQL has it."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
