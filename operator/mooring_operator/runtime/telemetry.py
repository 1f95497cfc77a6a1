"""Prometheus metrics of the operator."""

import time
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mooring_operator.adapters.cluster import Conflict
from mooring_operator.adapters.pools import Pool
from mooring_operator.runtime.status_metrics import StatusMetrics
from mooring_operator.runtime.workqueue import WorkQueue

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# The _created series of every counter are of no use to Prometheus.
disable_created_metrics()  # type: ignore[no-untyped-call]

_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_LAG_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30)


class Telemetry:
    """All metrics, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._reconciles = self._counter(
            "mooring_reconciles", "Reconciles by kind and result.", "kind", "result"
        )
        self._errors = self._counter(
            "mooring_reconcile_errors", "Failed reconciles by kind and exception.", "kind", "reason"
        )
        self._requests = self._counter(
            "mooring_api_requests",
            "Requests to the API server; code 0: no answer.",
            "verb",
            "resource",
            "code",
        )
        self._duration = Histogram(
            "mooring_reconcile_duration_seconds",
            "Duration of reconciles.",
            ["kind"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._resources = Gauge(
            "mooring_resources", "Resources by kind and phase.", ["kind", "phase"], registry=self.registry
        )
        self._lag = Histogram(
            "mooring_loop_lag_seconds",
            "How late the event loop is, measured once a second.",
            buckets=_LAG_BUCKETS,
            registry=self.registry,
        )
        self._statuses = StatusMetrics()
        self.registry.register(self._statuses)
        self._phases: dict[tuple[str, str, str], str] = {}
        self._shown: set[tuple[str, str]] = set()

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        """Add a gauge that is asked for its value whenever somebody looks."""
        Gauge(name, text, registry=self.registry).set_function(value)

    def watch_queues(self, queues: Mapping[str, WorkQueue]) -> None:
        """Show the queues of all kinds whenever somebody looks."""
        self.registry.register(_Queues(queues))

    def watch_pools(self, pools: Sequence[Pool]) -> None:
        """Show the pools of outside systems whenever somebody looks."""
        self.registry.register(_Pools(pools))

    def saw_lag(self, seconds: float) -> None:
        """Note how late the event loop was."""
        self._lag.observe(seconds)

    def count_request(self, verb: str, resource: str, code: int) -> None:
        """Count a request to the API server."""
        self._requests.labels(verb, resource, str(code)).inc()

    @contextmanager
    def reconcile(self, kind: str) -> Iterator[None]:
        """Count and time one reconcile: success, conflict, error, or cancelled."""
        start = time.perf_counter()
        result = "cancelled"
        try:
            yield
            result = "success"
        except Conflict:
            result = "conflict"
            raise
        except Exception as error:
            result = "error"
            self._errors.labels(kind, type(error).__name__).inc()
            raise
        finally:
            self._reconciles.labels(kind, result).inc()
            self._duration.labels(kind).observe(time.perf_counter() - start)

    def saw(self, kind: str, namespace: str, name: str, status: Mapping[str, Any] | None) -> None:
        """Note the status of a resource; None: it is gone."""
        self._statuses.saw(kind, namespace, name, status)
        if status is None:
            self._phases.pop((kind, namespace, name), None)
            return
        phase = status.get("phase")
        self._phases[kind, namespace, name] = phase if isinstance(phase, str) and phase else "Pending"

    def saw_all(self, kind: str, present: Iterable[tuple[str, str]]) -> None:
        """Forget the resources of `kind` that are not among `present`, which are (namespace, name)."""
        keep = set(present)
        self._statuses.keep(kind, keep)
        for entry in [key for key in self._phases if key[0] == kind and key[1:] not in keep]:
            del self._phases[entry]

    def exposition(self) -> bytes:
        """Give all metrics in Prometheus' text format."""
        self._count_phases()
        return generate_latest(self.registry)

    def _count_phases(self) -> None:
        found = Tally((kind, phase) for (kind, _, _), phase in self._phases.items())
        # A phase that was shown once goes to 0 rather than away, so that graphs come down.
        self._shown |= found.keys()
        for kind, phase in self._shown:
            self._resources.labels(kind, phase).set(found[kind, phase])


class _Queues(Collector):
    """The work queues by kind."""

    def __init__(self, queues: Mapping[str, WorkQueue]) -> None:
        self._queues = queues

    def collect(self) -> Iterator[Metric]:
        """Yield the metric families."""
        depth = GaugeMetricFamily("mooring_queue_depth", "Keys that are due and wait.", labels=["kind"])
        age = GaugeMetricFamily(
            "mooring_queue_age_seconds", "How long the oldest waiting key has been due.", labels=["kind"]
        )
        busy = GaugeMetricFamily("mooring_workers_busy", "Workers at work.", labels=["kind"])
        for kind, queue in self._queues.items():
            depth.add_metric([kind], queue.depth)
            age.add_metric([kind], queue.oldest_age)
            busy.add_metric([kind], queue.busy)
        yield from (depth, age, busy)


class _Pools(Collector):
    """The pools of outside systems."""

    def __init__(self, pools: Sequence[Pool]) -> None:
        self._pools = pools

    def collect(self) -> Iterator[Metric]:
        """Yield the metric families."""
        size = GaugeMetricFamily("mooring_pool_size", "Most calls at the same time.", labels=["system"])
        busy = GaugeMetricFamily("mooring_pool_busy", "Calls under way.", labels=["system"])
        abandoned = GaugeMetricFamily(
            "mooring_pool_abandoned", "Calls under way that nobody waits for any more.", labels=["system"]
        )
        refused = CounterMetricFamily("mooring_pool_refused", "Calls that got no place.", labels=["system"])
        expired = CounterMetricFamily(
            "mooring_pool_expired", "Calls that got no answer in time.", labels=["system"]
        )
        for pool in self._pools:
            size.add_metric([pool.system], pool.size)
            busy.add_metric([pool.system], pool.busy)
            abandoned.add_metric([pool.system], pool.abandoned)
            refused.add_metric([pool.system], pool.refused)
            expired.add_metric([pool.system], pool.expired)
        yield from (size, busy, abandoned, refused, expired)
