"""What statuses say, as metrics: weights, conditions, drift.

A status is read as it is stored: whatever is of another form than ours is left out, and stops no scrape.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mooring_operator.planning.objects.owner import part

_CONDITIONS = {"True": 1.0, "False": 0.0, "Unknown": -1.0}
_STATISTICS = ("ks", "psi")
_QUANTILES = {"p50": "0.5", "p95": "0.95", "p99": "0.99"}
_MOST = 32
"""Conditions or features of an object."""
_OBJECT = ("namespace", "name")


class _Family(NamedTuple):
    text: str
    labels: tuple[str, ...] = ()


_FAMILIES = {
    "mooring_condition": _Family(
        "Conditions: 1 True, 0 False, -1 Unknown, by the object's kind.", ("kind", "condition")
    ),
    "mooring_deployment_info": _Family(
        "1: revisions of a ModelDeployment, and its phase.", ("phase", "stable", "candidate")
    ),
    "mooring_deployment_candidate_weight": _Family("Percent that the candidate should get."),
    "mooring_deployment_candidate_routed": _Family("Percent that the candidate was last seen to get."),
    "mooring_drift_evaluated_timestamp_seconds": _Family("When a DriftMonitor's last window was evaluated."),
    "mooring_drift_window_rows": _Family("Rows of its last window."),
    "mooring_drift_features_tested": _Family("Features that were compared in it."),
    "mooring_drift_features_drifted": _Family("Features that count as drifted in it."),
    "mooring_drift_evidence": _Family("Evidence over all windows, with spec.sensitivity."),
    "mooring_drift_evidence_limit": _Family("Evidence from which traffic counts as drifted."),
    "mooring_drift_slice_features_drifted": _Family(
        "Features that count as drifted in a slice of it.", ("slice",)
    ),
    "mooring_drift_feature_drifted": _Family("1: a feature of status counts as drifted.", ("feature",)),
    "mooring_drift_feature_statistic": _Family(
        "Statistics of features of status: ks, psi, missing.", ("feature", "statistic")
    ),
    "mooring_drift_performance": _Family("What labels say of predictions.", ("metric",)),
    "mooring_drift_performance_baseline": _Family("What the same metric was before.", ("metric",)),
    "mooring_drift_performance_label_coverage": _Family("Share of judged requests that have a label."),
    "mooring_drift_operation_latency_seconds": _Family(
        "How long requests of the last window took.", ("quantile",)
    ),
    "mooring_drift_operation_error_ratio": _Family("Share of its requests that failed."),
    "mooring_drift_operation_requests_per_second": _Family("Its requests a second."),
    "mooring_drift_late_rows": _Family("Rows of the revision that came after their window was evaluated."),
    "mooring_drift_repeated_rows": _Family("Rows of the last window that were kept twice, and count once."),
}
NAMES = tuple(_FAMILIES)


class Sample(NamedTuple):
    """A value of a metric, and its labels beside the object's namespace and name."""

    metric: str
    value: float
    labels: tuple[str, ...] = ()


class StatusMetrics(Collector):
    """Keeps what was last seen of each object, and shows it whenever somebody looks."""

    def __init__(self) -> None:
        self._samples: dict[tuple[str, str, str], tuple[Sample, ...]] = {}

    def saw(self, kind: str, namespace: str, name: str, status: Mapping[str, Any] | None) -> None:
        """Note an object's status; None: it is gone."""
        if status is None:
            self._samples.pop((kind, namespace, name), None)
        else:
            # A series that is there twice would cost Prometheus the whole scrape.
            found = {(one.metric, one.labels): one for one in samples_of(kind, status)}
            self._samples[kind, namespace, name] = tuple(found.values())

    def keep(self, kind: str, present: set[tuple[str, str]]) -> None:
        """Forget the objects of `kind` that are not among `present`, which are (namespace, name)."""
        for entry in [key for key in self._samples if key[0] == kind and key[1:] not in present]:
            del self._samples[entry]

    def collect(self) -> Iterator[Metric]:
        """Yield the metric families."""
        families = {
            name: GaugeMetricFamily(name, family.text, labels=(*_OBJECT, *family.labels))
            for name, family in _FAMILIES.items()
        }
        for (_, *of), samples in list(self._samples.items()):
            for sample in samples:
                families[sample.metric].add_metric([*of, *sample.labels], sample.value)
        yield from families.values()


def samples_of(kind: str, status: Mapping[str, Any]) -> Iterator[Sample]:
    """Give what the status of an object says in numbers."""
    for condition in _mappings(status.get("conditions")):
        value = _CONDITIONS.get(str(condition.get("status")))
        if value is not None:
            yield Sample("mooring_condition", value, (kind, _text(condition.get("type"))))
    if kind == "ModelDeployment":
        yield from _of_deployment(status)
    elif kind == "DriftMonitor":
        yield from _of_monitor(status)


def _of_deployment(status: Mapping[str, Any]) -> Iterator[Sample]:
    candidate = part(status, "candidate")
    stable = _text(part(status, "stable").get("revision"))
    labels = (_text(status.get("phase")) or "Pending", stable, _text(candidate.get("revision")))
    yield Sample("mooring_deployment_info", 1.0, labels)
    if candidate:
        yield from _number("mooring_deployment_candidate_weight", candidate.get("weight"))
        yield from _number("mooring_deployment_candidate_routed", candidate.get("routed"))


def _of_monitor(status: Mapping[str, Any]) -> Iterator[Sample]:
    evaluation, evidence = part(status, "evaluation"), part(status, "evidence")
    yield from _number("mooring_drift_evaluated_timestamp_seconds", _seconds(evaluation.get("time")))
    yield from _number("mooring_drift_window_rows", evaluation.get("windowRows"))
    yield from _number("mooring_drift_features_tested", evaluation.get("featuresTested"))
    yield from _number(
        "mooring_drift_features_drifted", evaluation.get("featuresDrifted", 0 if evaluation else None)
    )
    yield from _number("mooring_drift_evidence", evidence.get("value"))
    yield from _number("mooring_drift_evidence_limit", evidence.get("limit"))
    for one in _mappings(evaluation.get("slices")):
        yield from _number(
            "mooring_drift_slice_features_drifted", one.get("featuresDrifted", 0), _text(one.get("name"))
        )
    for feature in _mappings(evaluation.get("features")):
        if feature.get("slice"):
            continue
        name = _text(feature.get("name"))
        yield Sample("mooring_drift_feature_drifted", float(feature.get("drifted") is True), (name,))
        for statistic in _STATISTICS:
            value = part(feature, statistic).get("statistic")
            yield from _number("mooring_drift_feature_statistic", value, name, statistic)
        yield from _number("mooring_drift_feature_statistic", feature.get("missing", 0.0), name, "missing")
    yield from _of_performance(part(status, "performance"))
    yield from _of_operation(part(status, "operation"))
    arrivals = part(status, "arrivals")
    yield from _number("mooring_drift_late_rows", arrivals.get("late", 0 if arrivals else None))
    yield from _number("mooring_drift_repeated_rows", arrivals.get("repeated", 0 if arrivals else None))


def _of_performance(found: Mapping[str, Any]) -> Iterator[Sample]:
    for each in _mappings(found.get("metrics")):
        metric = _text(each.get("metric"))
        yield from _number("mooring_drift_performance", each.get("value"), metric)
        yield from _number("mooring_drift_performance_baseline", each.get("baseline"), metric)
    labels = part(found, "labels")
    coverage = _share(labels.get("labelled"), labels.get("answered"))
    yield from _number("mooring_drift_performance_label_coverage", coverage)


def _of_operation(found: Mapping[str, Any]) -> Iterator[Sample]:
    for field, quantile in _QUANTILES.items():
        yield from _number("mooring_drift_operation_latency_seconds", found.get(field), quantile)
    share = _share(found.get("errors"), found.get("requests"))
    yield from _number("mooring_drift_operation_error_ratio", share)
    yield from _number("mooring_drift_operation_requests_per_second", found.get("perSecond"))


def _share(counted: Any, total: Any) -> float | None:
    """Give the share of a total; None where either is no count, or the total is nothing."""
    if not isinstance(counted, int) or not isinstance(total, int) or total <= 0:
        return None
    return counted / total


def _mappings(found: Any) -> list[Mapping[str, Any]]:
    return [one for one in found[:_MOST] if isinstance(one, Mapping)] if isinstance(found, list) else []


def _number(metric: str, value: Any, *labels: str) -> Iterator[Sample]:
    if isinstance(value, int | float) and not isinstance(value, bool):
        yield Sample(metric, float(value), labels)


def _text(value: Any) -> str:
    return value[:200] if isinstance(value, str) else ""


def _seconds(value: Any) -> float | None:
    try:
        return datetime.fromisoformat(value).timestamp() if isinstance(value, str) else None
    except ValueError:
        return None
