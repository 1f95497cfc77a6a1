"""Prometheus metrics of the operator."""

import time
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

from mooring_operator.adapters.cluster import Conflict

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# The _created series of every counter are of no use to Prometheus.
disable_created_metrics()  # type: ignore[no-untyped-call]

_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


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
        self._phases: dict[tuple[str, str, str], str] = {}
        self._shown: set[tuple[str, str]] = set()

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        """Add a gauge that is asked for its value whenever somebody looks."""
        Gauge(name, text, registry=self.registry).set_function(value)

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

    def saw(self, kind: str, namespace: str, name: str, phase: str | None) -> None:
        """Note the phase that a resource is in; None: it is gone."""
        if phase is None:
            self._phases.pop((kind, namespace, name), None)
        else:
            self._phases[kind, namespace, name] = phase

    def saw_all(self, kind: str, present: Iterable[tuple[str, str]]) -> None:
        """Forget the resources of `kind` that are not among `present`, which are (namespace, name)."""
        keep = set(present)
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
