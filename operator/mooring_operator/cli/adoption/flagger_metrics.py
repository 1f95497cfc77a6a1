"""Metrics of a Canary of Flagger's, as ``spec.rollout.analysis``."""

from mooring_operator.api.analysis import MetricLimit
from mooring_operator.cli.adoption.adopted import Object
from mooring_operator.cli.adoption.fields import Fields
from mooring_operator.cli.adoption.forms import takes

_QUERY = "a query of your own: write a step webhook or job that asks it"
_PREVIEW = "a preview answers nobody, so that there is nothing to compare"


def analysis_of(analysis: Fields, *, answers: bool) -> Object:
    """Give ``spec.rollout.analysis``, empty where no metric can be said.

    answers: whether the new revision answers requests, or copies of them, before it is promoted.
    """
    if not answers:
        if "metrics" in analysis:
            analysis.tell("metrics", _PREVIEW)
        return {}
    found: dict[str, Object] = {}
    for metric in analysis.parts("metrics"):
        limit = _limit(metric)
        if limit is None:
            continue
        if limit["metric"] in found:
            metric.tell("", f"{limit['metric']} is compared already")
        found.setdefault(limit["metric"], limit)
    return {"metrics": list(found.values())} if found else {}


def _limit(metric: Fields) -> Object | None:
    name = metric.text("name")
    if "templateRef" in metric or "query" in metric or name not in _TAKEN:
        # All of its fields belong to the query.
        metric.answer_for_all()
        metric.tell("", f"{name or 'it'} is {_QUERY}")
        return None
    bounds = metric.part("thresholdRange")
    return _TAKEN[name](metric, bounds)


def _errors(metric: Fields, bounds: Fields) -> Object | None:
    """Give the limit by which so many percent of the answers are no 5xx, whatever the stable revision does."""
    least = bounds.number("min")
    if least is None:
        least = metric.number("threshold")
    if least is None:
        metric.tell("", "it has no thresholdRange.min")
        return None
    limit = {"metric": "errorRate", "ratio": 0, "points": _plain(100 - least)}
    if not takes(MetricLimit, limit):
        metric.tell("", f"a success rate of at least {least:g}% is no limit that can be kept and broken")
        return None
    return limit


def _latency(metric: Fields, bounds: Fields) -> Object | None:
    """Give the limit for latency, which is the stable revision's: milliseconds are none."""
    most = bounds.number("max")
    if most is None:
        most = metric.number("threshold")
    said = f"at most {most:g} ms" if most is not None else "it has no thresholdRange.max, and"
    metric.tell("", f"{said} becomes at most 20% slower than the stable revision, at the 99th percentile")
    return {"metric": "latency"}


_TAKEN = {"request-success-rate": _errors, "request-duration": _latency}


def _plain(number: float) -> float | int:
    rounded = round(number, 6)
    return int(rounded) if rounded == int(rounded) else rounded
