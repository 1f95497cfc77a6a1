"""Prometheus metrics kept in plain lists: a fifth of the cost of bound prometheus_client objects.

Several worker processes are one server to Prometheus: a state is a JSON document, and states add up.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from mooring_inference.observability.capture_metrics import (
    CaptureState,
    add_states,
    collect_capture,
    counts_only,
)
from mooring_inference.observability.native_histograms import CONTENT_TYPE as PROTOBUF
from mooring_inference.observability.native_histograms import (
    NativeHistogram,
    native_key,
    prefers_protobuf,
)
from mooring_inference.observability.predictions import Predictions
from mooring_inference.tensors import Array

# Upper bounds in seconds.
LATENCY_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
# Upper bounds in rows.
ROWS_BUCKETS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_DURATION = "mooring_inference_request_duration_seconds"

# The caller closed the connection before it was answered.
GONE = 499


class Histogram:
    """Counts by bucket, and their sum."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Add one observation."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def state(self) -> list[Any]:
        """Return the counts as JSON."""
        return [self.counts, self.total]

    def add(self, state: Sequence[Any]) -> None:
        """Add another's state."""
        self.counts = [mine + theirs for mine, theirs in zip(self.counts, state[0], strict=True)]
        self.total += state[1]

    def add_to(self, family: HistogramMetricFamily, labels: Sequence[str]) -> None:
        """Add the counts to a family of prometheus_client."""
        buckets: list[tuple[str, float]] = []
        running = 0
        for bound, count in zip((*self.bounds, float("inf")), self.counts, strict=True):
            running += count
            buckets.append(("+Inf" if bound == float("inf") else str(bound), running))
        family.add_metric(labels, buckets, self.total)


class ModelSeries:
    """What is counted about one revision of one model; from any thread.

    Attributes:
        in_flight: requests being answered.
        queued_rows: asked at every scrape.
        load_seconds: how long it took to load; None until it is loaded.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.codes: dict[tuple[str, int], int] = {}
        self.totals: dict[str, Histogram] = {}
        self.natives: dict[str, NativeHistogram] = {}
        self.stages = {"queue": Histogram(LATENCY_BUCKETS), "compute": Histogram(LATENCY_BUCKETS)}
        self.batch_rows = Histogram(ROWS_BUCKETS)
        self.predictions = Predictions()
        self.in_flight = 0
        self.queued_rows: Callable[[], int] = int
        self.load_seconds: float | None = None

    def began(self) -> None:
        """Count a request that is being answered."""
        with self._lock:
            self.in_flight += 1

    def answered(
        self, protocol: str, code: int, total: float, *, queue: float | None = None, compute: float = 0.0
    ) -> None:
        """Count its answer, ``total`` seconds since its head, with ``queue`` and ``compute`` where the model ran."""
        with self._lock:
            self.in_flight -= 1
            key = (protocol, code)
            self.codes[key] = self.codes.get(key, 0) + 1
            histogram = self.totals.get(protocol)
            if histogram is None:
                histogram = self.totals[protocol] = Histogram(LATENCY_BUCKETS)
                self.natives[protocol] = NativeHistogram()
            histogram.observe(total)
            self.natives[protocol].observe(total)
            if queue is not None:
                self.stages["queue"].observe(queue)
                self.stages["compute"].observe(compute)

    def predicted(self, output: Array) -> None:
        """Count a prediction, of the model's first output."""
        with self._lock:
            self.predictions.count(output)

    def batch(self, runs: Sequence[int]) -> None:
        """Count runs of the model by their rows."""
        with self._lock:
            for rows in runs:
                self.batch_rows.observe(rows)

    def state(self) -> dict[str, Any]:
        """Return the counts as JSON."""
        with self._lock:
            return {
                "codes": [[*key, count] for key, count in self.codes.items()],
                "totals": {protocol: histogram.state() for protocol, histogram in self.totals.items()},
                "natives": {protocol: native.to_json() for protocol, native in self.natives.items()},
                "stages": {stage: histogram.state() for stage, histogram in self.stages.items()},
                "batch_rows": self.batch_rows.state(),
                "predictions": dict(self.predictions.cells),
                "in_flight": self.in_flight,
                "queued_rows": self.queued_rows(),
                "load_seconds": self.load_seconds,
            }

    def add_counts(self, state: Mapping[str, Any]) -> None:
        """Add what another has counted, and nothing that describes its present."""
        for protocol, code, count in state["codes"]:
            self.codes[protocol, code] = self.codes.get((protocol, code), 0) + count
        for protocol, histogram in state["totals"].items():
            self.totals.setdefault(protocol, Histogram(LATENCY_BUCKETS)).add(histogram)
        for protocol, native in state["natives"].items():
            self.natives.setdefault(protocol, NativeHistogram()).merge(NativeHistogram.from_json(native))
        for stage, histogram in state["stages"].items():
            self.stages[stage].add(histogram)
        self.batch_rows.add(state["batch_rows"])
        self.predictions.add(state["predictions"])

    def add(self, state: Mapping[str, Any]) -> None:
        """Add all of another's state."""
        self.add_counts(state)
        self.in_flight += state["in_flight"]
        queued = self.queued_rows() + state["queued_rows"]
        self.queued_rows = lambda: queued
        if state["load_seconds"] is not None:
            self.load_seconds = max(self.load_seconds or 0.0, state["load_seconds"])


class ServingMetrics(Collector):
    """What ``/metrics`` shows; every series of a model carries ``model`` and ``revision``."""

    def __init__(self, *, shows_process: bool = True) -> None:
        """``shows_process``: whether figures of this process are shown, too."""
        self._models: dict[tuple[str, str], ModelSeries] = {}
        # Asked at every scrape; None where nothing is captured.
        self.capture: Callable[[], CaptureState] | None = None
        self._captured_before: CaptureState = {}
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        if shows_process:
            ProcessCollector(registry=self._registry)

    def register(self, collector: Collector) -> None:
        """Show what another collector has, too."""
        self._registry.register(collector)

    def of(self, model: str, revision: str) -> ModelSeries:
        """Return the series of one revision of a model."""
        return self._models.setdefault((model, revision), ModelSeries())

    def state(self) -> dict[str, Any]:
        """Return the counts as JSON."""
        models = [[*key, series.state()] for key, series in tuple(self._models.items())]
        return {"models": models, "capture": self._capture_state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on counting where another process ended."""
        for model, revision, series in state["models"]:
            self.of(model, revision).add_counts(series)
        self._captured_before = counts_only(state["capture"] or {})

    @classmethod
    def sum(cls, states: Iterable[Mapping[str, Any]]) -> ServingMetrics:
        """Return what several processes have counted."""
        whole = cls(shows_process=False)
        captured: list[CaptureState] = []
        for state in states:
            for model, revision, series in state["models"]:
                whole.of(model, revision).add(series)
            if state["capture"] is not None:
                captured.append(state["capture"])
        if captured:
            together = add_states(captured)
            whole.capture = lambda: together
        return whole

    def _capture_state(self) -> CaptureState | None:
        return None if self.capture is None else add_states((self.capture(), self._captured_before))

    def collect(self) -> Iterator[Metric]:
        """Yield all families, for prometheus_client."""
        labels = ("model", "revision")
        requests = CounterMetricFamily(
            "mooring_inference_requests",
            "Inference requests answered, by HTTP status.",
            labels=(*labels, "protocol", "code"),
        )
        duration = HistogramMetricFamily(
            _DURATION,
            "Time from the request's first byte to the response, seconds.",
            labels=(*labels, "protocol"),
        )
        stages = HistogramMetricFamily(
            "mooring_inference_stage_duration_seconds",
            "Time that requests spent waiting for the model (queue) and in the batch that ran (compute), seconds.",
            labels=(*labels, "stage"),
        )
        batches = HistogramMetricFamily(
            "mooring_inference_batch_rows", "Rows of the batches that the model ran.", labels=labels
        )
        predictions = CounterMetricFamily(
            "mooring_inference_predictions",
            "Answers by the prediction of one of their rows: its class, or the upper bound of its value.",
            labels=(*labels, "prediction"),
        )
        gauges = {
            "in_flight": _gauge("mooring_inference_requests_in_flight", "Inference requests being answered."),
            "queue": _gauge("mooring_inference_queue_rows", "Rows that wait for the model."),
            "load": _gauge("mooring_inference_model_load_seconds", "Time it took to load the model."),
        }
        for key, series in tuple(self._models.items()):
            for (protocol, code), count in tuple(series.codes.items()):
                requests.add_metric((*key, protocol, str(code)), count)
            for protocol, histogram in tuple(series.totals.items()):
                histogram.add_to(duration, (*key, protocol))
            for stage, histogram in series.stages.items():
                histogram.add_to(stages, (*key, stage))
            series.batch_rows.add_to(batches, key)
            for cell, count in tuple(series.predictions.cells.items()):
                predictions.add_metric((*key, cell), count)
            gauges["in_flight"].add_metric(key, series.in_flight)
            gauges["queue"].add_metric(key, series.queued_rows())
            if series.load_seconds is not None:
                gauges["load"].add_metric(key, series.load_seconds)
        yield from (requests, duration, stages, batches, predictions, *gauges.values())
        if (captured := self._capture_state()) is not None:
            yield from collect_capture(captured)

    def describe(self) -> Iterable[Metric]:
        """Return nothing: the families depend on what has happened."""
        return ()

    def exposition(self, accept: str = "") -> tuple[bytes, str]:
        """Return all families, and the content type: protobuf with native histograms to scrapers that ask for that."""
        if not prefers_protobuf(accept):
            return generate_latest(self._registry), CONTENT_TYPE
        # Not needed, and not in memory, where nobody asks for it.
        from mooring_inference.observability.native_histograms.exposition import render_protobuf

        natives = {
            native_key(_DURATION, {"model": model, "revision": revision, "protocol": protocol}): native
            for (model, revision), series in tuple(self._models.items())
            for protocol, native in tuple(series.natives.items())
        }
        return render_protobuf(self._registry.collect(), natives), PROTOBUF


def _gauge(name: str, documentation: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, documentation, labels=("model", "revision"))
