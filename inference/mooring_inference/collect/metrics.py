"""What a collector has done, as metrics."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import Metric
from prometheus_client.registry import Collector as MetricsCollector

from mooring_inference.capture.buffer import CaptureCounters
from mooring_inference.observability.capture_metrics import collect_capture

# What becomes of an event:
#   taken: it waits, or completes a pair; malformed: no event of the logger's, or headers that are wrong
#   unknown_type: of another kind; foreign: of another namespace or no predictor; too_large: its body is
#   duplicate: the same half of a pair waits; full: as many bytes wait as may; unread: refused before it was read
EVENTS = ("taken", "malformed", "unknown_type", "foreign", "too_large", "duplicate", "full", "unread")

# What becomes of a request:
#   captured: handed to capture, whose own counts go on from there
#   unanswered: its answer never came (it failed, or an event was lost); unasked: the answer came alone
#   not_inference: it asked a model for nothing; undecodable: a body is no V1 or V2, or contradicts itself
#   unsettled: features or masks of the settings are not among its columns, so that none may be written
#   too_many_forms: it differs in names, types or sizes from as many forms as are kept apart
REQUESTS = (
    "captured",
    "unanswered",
    "unasked",
    "not_inference",
    "undecodable",
    "unsettled",
    "too_many_forms",
)


class CollectMetrics:
    """Counts of one collector."""

    def __init__(self, capture: CaptureCounters | None = None) -> None:
        """``capture`` is what capture counts, shown beside."""
        self.registry = CollectorRegistry()
        self.events = Counter(
            "mooring_collect_events", "Events of the logger by outcome.", ["outcome"], registry=self.registry
        )
        self.requests = Counter(
            "mooring_collect_requests",
            "Requests by outcome, once they are joined with their answers or given up.",
            ["outcome"],
            registry=self.registry,
        )
        self.waiting = Gauge(
            "mooring_collect_waiting_events",
            "Events that wait for their other half.",
            registry=self.registry,
        )
        self.waiting_bytes = Gauge(
            "mooring_collect_waiting_bytes", "Memory that these hold.", registry=self.registry
        )
        for outcome in EVENTS:
            self.events.labels(outcome)
        for outcome in REQUESTS:
            self.requests.labels(outcome)
        if capture is not None:
            self.registry.register(_CaptureMetrics(capture))


class _CaptureMetrics(MetricsCollector):
    def __init__(self, counters: CaptureCounters) -> None:
        self._counters = counters

    def collect(self) -> Iterator[Metric]:
        return collect_capture(self._counters.state())
