"""What the front shows about itself: counters, routes, addresses to scrape."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import generate_latest

from cluster.serving.directory import Directory
from cluster.serving.service import Service

_LABELS = ("namespace", "inferenceservice", "predictor", "revision")


class FrontMetrics:
    """Requests by the revision that answered; the model servers' own metrics are not repeated."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._requests = Counter(
            "mooring_front_requests",
            "Requests answered by the front, by HTTP status.",
            (*_LABELS, "code"),
            registry=self._registry,
        )
        self._latency = Histogram(
            "mooring_front_request_duration_seconds",
            "Time to a backend's answer, seconds.",
            _LABELS,
            registry=self._registry,
        )

    def answered(self, service: Service, predictor: str, revision: str, code: int, seconds: float) -> None:
        """Record one request."""
        labels = (service.namespace, service.name, predictor, revision)
        self._requests.labels(*labels, str(code)).inc()
        self._latency.labels(*labels).observe(seconds)

    def exposition(self) -> bytes:
        """The text format."""
        return generate_latest(self._registry)


def describe_routes(directory: Directory) -> list[dict[str, Any]]:
    """Who serves what with which weight, as JSON."""
    return [
        {
            "namespace": service.namespace,
            "name": service.name,
            "url": service.status.get("url"),
            "stable": service.stable,
            "predictors": [_describe_predictor(service, name) for name in service.fleet.names()],
        }
        for service in directory
    ]


def describe_scrape_targets(directory: Directory) -> list[dict[str, Any]]:
    """Model servers in the format of Prometheus' HTTP service discovery."""
    return [
        {
            "targets": [f"{replica.backend.host}:{replica.backend.port}"],
            "labels": {
                "namespace": service.namespace,
                "inferenceservice": service.name,
                "predictor": name,
                "revision": replica.deployment.revision,
            },
        }
        for service in directory
        for name in service.fleet.names()
        for replica in service.fleet.replicas(name)
        if replica.backend is not None
    ]


def _describe_predictor(service: Service, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "weight": service.weights.get(name, 0),
        "replicas": [
            {
                "pid": replica.pid,
                "port": replica.backend.port if replica.backend else None,
                "revision": replica.deployment.revision,
                "digest": replica.deployment.digest,
                "ready": replica.ready,
                "restarts": replica.restarts,
                "inFlight": replica.backend.in_flight if replica.backend else 0,
                "failure": replica.failure.message if replica.failure else None,
            }
            for replica in service.fleet.replicas(name)
        ],
    }
