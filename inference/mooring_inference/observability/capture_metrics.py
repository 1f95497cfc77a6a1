"""What capture has done, as metrics that add up over worker processes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

# Name in a state: name of the metric, what it says.
_COUNTERS = {
    "rows_total": ("rows", "Rows of requests in complete files."),
    "labels_total": ("labels", "Labels in complete files."),
    "sampled_out_total": ("sampled_out", "Requests and labels that the sample leaves out."),
    "files_total": ("files", "Complete files."),
    "bytes_total": ("bytes", "Bytes of complete files."),
    "uploads_total": ("uploads", "Files that reached the object store."),
    "upload_errors_total": ("upload_errors", "Attempts to reach the object store that failed."),
    "deleted_total": ("deleted_files", "Files deleted because of their age."),
}
_GAUGES = {
    "pending_rows": ("pending_rows", "Rows that are not yet in a complete file."),
    "spooled_files": ("spooled_files", "Files that are not yet in the object store."),
}
_DROPPED = "dropped:"

# Counts by name; those of rows that were dropped are called ``dropped:REASON``.
CaptureState = Mapping[str, float]


def counts_only(state: CaptureState) -> dict[str, float]:
    """Return what goes on to be true when the process has ended."""
    return {name: value for name, value in state.items() if name not in _GAUGES}


def add_states(states: Iterable[CaptureState]) -> dict[str, float]:
    """Return the sum."""
    whole: dict[str, float] = {}
    for state in states:
        for name, value in state.items():
            whole[name] = whole.get(name, 0) + value
    return whole


def collect_capture(state: CaptureState) -> Iterator[Metric]:
    """Yield the metric families."""
    for attribute, (name, documentation) in _COUNTERS.items():
        value = state.get(attribute, 0)
        yield CounterMetricFamily(f"mooring_inference_capture_{name}", documentation, value=value)
    for attribute, (name, documentation) in _GAUGES.items():
        value = state.get(attribute, 0)
        yield GaugeMetricFamily(f"mooring_inference_capture_{name}", documentation, value=value)
    dropped = CounterMetricFamily(
        "mooring_inference_capture_dropped", "Rows that were not kept, by reason.", labels=("reason",)
    )
    for name, value in state.items():
        if name.startswith(_DROPPED):
            dropped.add_metric((name.removeprefix(_DROPPED),), value)
    yield dropped
