"""Says how good predictions were, in a line."""

from __future__ import annotations

from mooring_artifacts.run_documents import LabelCounts, MeasuredMetric, PerformanceEstimate, PerformanceFound

_ODD = (
    ("duplicates", "labels came again for a request, whose last one counts"),
    ("conflicting", "requests have labels that differ"),
    ("unknown", "labels are of other requests"),
    ("empty", "labels have no id or no value"),
    ("repeated", "requests have an id that was there before"),
)


def describe_counts(counts: LabelCounts) -> str:
    """Say how many requests have a label, and what was odd about labels."""
    share = f" ({counts.labelled / counts.answered:.1%})" if counts.answered else ""
    odd = [f"{count} {words}" for name, words in _ODD if (count := getattr(counts, name))]
    return "; ".join([f"{counts.labelled} of {counts.answered} requests have a label{share}", *odd])


def describe_performance(found: PerformanceFound) -> str:
    """Say what was found, or why nothing was."""
    estimated = [] if found.estimate is None else [describe_estimate(found.estimate)]
    if found.problem is not None:
        return "; ".join([found.problem.message, *estimated])
    broken = [rule.message for rule in found.broken] or ["performance holds"]
    return "; ".join([*broken, describe_counts(found.counts), *filter(None, [found.hint]), *estimated])


def describe_estimate(found: PerformanceEstimate) -> str:
    """Say what is estimated without labels, or why nothing is."""
    if found.metric is None:
        return f"no estimate without labels: {found.problem}"
    metrics = ", ".join(map(_describe_metric, [found.metric, *found.others]))
    notes = [rule.message for rule in found.broken] + ([found.hint] if found.hint else [])
    return "; ".join([f"estimated without labels, of {found.rows} requests: {metrics}", *notes])


def _describe_metric(found: MeasuredMetric) -> str:
    low, high = found.low, found.high
    bounds = "" if low is None or high is None else f" ({low:.4g} to {high:.4g})"
    return f"{found.metric} {found.value:.4g}{bounds}"
