"""Says which requests an evaluation judges by labels, and what the labels have said.

Labels come later: at the end of each window the requests are judged that ended `spec.performance.grace` before.
"""

from datetime import datetime, timedelta

from mooring_artifacts.uris import below

from mooring_operator.api import reasons
from mooring_operator.api.drift_monitor import DriftMonitorSpec, DriftMonitorStatus, EvaluationRun
from mooring_operator.api.drift_performance import PerformanceStatus, SoughtPerformance
from mooring_operator.api.drift_rows import DEFAULT_GRACE, Sought
from mooring_operator.api.types import format_duration, format_time
from mooring_operator.planning.actions import Notify
from mooring_operator.planning.drift.evaluations import Target
from mooring_operator.planning.drift.sources import floor
from mooring_operator.planning.status import conditions

CONDITION = "PerformanceDropped"

_QUIET = (reasons.AWAITING_LABELS, reasons.INSUFFICIENT_LABELS)


def requests_of(
    spec: DriftMonitorSpec, target: Target, window: Sought | None, now: datetime
) -> SoughtPerformance | None:
    """Give the requests whose labels have had their time to come; None where there are none yet.

    Args:
        spec: of the monitor.
        target: what it watches.
        window: what is compared, of what is kept; None where that is files, and time is that of `now`.
        now: the time.
    """
    asked, kept, revision = spec.performance, target.kept, target.stable
    if asked is None or revision is None or not kept.store:
        return None
    if window is not None and window.until is not None:
        until = window.until - asked.grace
    else:
        until = floor(now - max(asked.grace, DEFAULT_GRACE), spec.interval)
    since = until - (asked.span or spec.interval)
    if kept.since is not None:
        since = max(since, kept.since)
    if since >= until:
        return None
    labels = None
    if asked.labels is None:
        folder = below(kept.store, "labels", f"deployment={target.name}")
        labels = Sought(uri=folder, since=since, until=until + asked.grace)
    folder = below(kept.store, f"deployment={target.name}", f"revision={revision}")
    return SoughtPerformance(
        requests=Sought(uri=folder, since=since, until=until),
        labels=labels,
        figures=dict(kept.tested.figures),
        figure_rows=kept.tested.rows,
        output=asked.output or kept.tested.output,
        classes=asked.classes or list(kept.tested.classes),
        task=asked.task or kept.tested.task,
    )


def take(
    status: DriftMonitorStatus, run: EvaluationRun, found: PerformanceStatus | None, now: datetime
) -> DriftMonitorStatus:
    """Keep what labels have said of the requests of a run."""
    if run.performance is None or found is None:
        return status
    requests = run.performance.requests
    about = {"time": now, "revision": run.revision, "since": requests.since, "until": requests.until}
    known = found.model_copy(update=about)
    return status.model_copy(update={"performance": known})


def judge_performance(
    spec: DriftMonitorSpec,
    before: DriftMonitorStatus,
    status: DriftMonitorStatus,
    target: Target | None,
    generation: int,
    now: datetime,
) -> tuple[DriftMonitorStatus, tuple[Notify, ...]]:
    """Give the status with the condition, and an Event where performance has dropped or is up again.

    `before` is the status that was read, whose condition it takes up.
    """
    known = conditions.find(before.conditions, CONDITION)
    others = [condition for condition in status.conditions if condition.type != CONDITION]
    if spec.performance is None:
        return status.model_copy(update={"conditions": others, "performance": None}), ()
    if target is None or spec.suspend:
        kept = [*others, *([known] if known else [])]
        return status.model_copy(update={"conditions": kept}), ()
    found = _judge(status.performance, target, spec.performance.grace)
    [condition] = conditions.merge([known] if known else [], {CONDITION: found}, generation, now)
    old, new = (
        (known.status, known.reason) if known else ("Unknown", ""),
        (condition.status, condition.reason),
    )
    recovered = old[0] == "True" and new[0] == "False"
    told = recovered or (new != old and new[0] != "False" and new[1] not in _QUIET)
    event = Notify("Normal" if recovered else "Warning", condition.reason, condition.message)
    events = (event,) if told else ()
    return status.model_copy(update={"conditions": [*others, condition]}), events


def _judge(found: PerformanceStatus | None, target: Target, grace: timedelta) -> tuple[str, str, str]:
    if not target.kept.store:
        message = f"{target.name} keeps no requests: set spec.serving.capture there"
        return "Unknown", reasons.NOTHING_CAPTURED, message
    if found is None or found.revision != target.stable:
        message = f"labels may come for {format_duration(grace)}: no request of this revision was judged yet"
        return "Unknown", reasons.AWAITING_LABELS, message
    if found.reason:
        return "Unknown", found.reason, found.message
    counts = found.labels
    until = f" until {format_time(found.until)}" if found.until else ""
    said = f"{counts.labelled} of {counts.answered} requests{until} have a label"
    if found.broken:
        return "True", reasons.RULE_BROKEN, f"{'; '.join(found.broken)}; {said}"
    return "False", reasons.RULES_HOLD, "; ".join(filter(None, [said, found.message]))
