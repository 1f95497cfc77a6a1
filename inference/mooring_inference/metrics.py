"""Prometheus metrics kept in plain lists: a fifth of the cost of bound prometheus_client objects.

Tables are written from one thread, the event loop's, and so need no lock.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

# Upper bounds in seconds.
LATENCY_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class CounterTable:
    """A counter with labels."""

    def __init__(self, name: str, documentation: str, labels: Sequence[str]) -> None:
        self._name, self._documentation, self._labels = name, documentation, tuple(labels)
        self._values: dict[tuple[str, ...], int] = {}

    def add(self, key: tuple[str, ...], amount: int = 1) -> None:
        """Count ``amount`` for these label values."""
        self._values[key] = self._values.get(key, 0) + amount

    def snapshot(self) -> dict[tuple[str, ...], int]:
        """Counts by label values."""
        return dict(self._values)

    def collect(self) -> Metric:
        """The family as prometheus_client knows it."""
        family = CounterMetricFamily(self._name, self._documentation, labels=self._labels)
        for key, value in self._values.items():
            family.add_metric(key, value)
        return family


class HistogramTable:
    """A histogram with labels; observations in seconds."""

    def __init__(self, name: str, documentation: str, labels: Sequence[str]) -> None:
        self._name, self._documentation, self._labels = name, documentation, tuple(labels)
        self._rows: dict[tuple[str, ...], tuple[list[int], list[float]]] = {}

    def observe(self, key: tuple[str, ...], seconds: float) -> None:
        """Add one observation for these label values."""
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = ([0] * (len(LATENCY_BUCKETS) + 1), [0.0])
        row[0][bisect_left(LATENCY_BUCKETS, seconds)] += 1
        row[1][0] += seconds

    def collect(self) -> Metric:
        """The family as prometheus_client knows it."""
        family = HistogramMetricFamily(self._name, self._documentation, labels=self._labels)
        for key, (counts, total) in self._rows.items():
            buckets: list[tuple[str, float]] = []
            running = 0
            for bound, count in zip((*LATENCY_BUCKETS, float("inf")), counts, strict=True):
                running += count
                buckets.append(("+Inf" if bound == float("inf") else str(bound), running))
            family.add_metric(key, buckets, total[0])
        return family


class ServingMetrics(Collector):
    """What ``/metrics`` of one model server shows; every series carries ``model`` and ``revision``."""

    def __init__(self, model: str, revision: str) -> None:
        self._identity = (model, revision)
        self.in_flight = 0
        self.load_seconds: float | None = None
        self._requests = CounterTable(
            "mooring_inference_requests",
            "Inference requests answered, by HTTP status.",
            ("model", "revision", "protocol", "code"),
        )
        self._latency = HistogramTable(
            "mooring_inference_request_duration_seconds",
            "Time from the request's head to the response, seconds.",
            ("model", "revision", "protocol"),
        )
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def answered(self, protocol: str, code: int, seconds: float) -> None:
        """Record one inference request."""
        self._requests.add((*self._identity, protocol, str(code)))
        self._latency.observe((*self._identity, protocol), seconds)

    def collect(self) -> Iterator[Metric]:
        """All families, for prometheus_client."""
        yield self._requests.collect()
        yield self._latency.collect()
        yield self._gauge(
            "mooring_inference_requests_in_flight", "Inference requests being answered.", self.in_flight
        )
        if self.load_seconds is not None:
            yield self._gauge(
                "mooring_inference_model_load_seconds", "Time it took to load the model.", self.load_seconds
            )

    def describe(self) -> Iterable[Metric]:
        """Nothing: the families depend on what has happened."""
        return ()

    def exposition(self) -> bytes:
        """The text format."""
        return generate_latest(self._registry)

    def _gauge(self, name: str, documentation: str, value: float) -> Metric:
        gauge = GaugeMetricFamily(name, documentation, labels=("model", "revision"))
        gauge.add_metric(self._identity, value)
        return gauge
