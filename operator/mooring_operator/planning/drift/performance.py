"""Says which requests an evaluation judges by labels, and what the labels have said.

Labels come later: at the end of each window the requests are judged that ended `spec.performance.grace` before.
"""

from datetime import datetime, timedelta
from typing import Any

from mooring_artifacts.uris import below

from mooring_operator.api import reasons
from mooring_operator.api.drift_monitor import DriftMonitorSpec
from mooring_operator.api.drift_performance import Performance, PerformanceStatus, SoughtPerformance
from mooring_operator.api.drift_rows import DEFAULT_GRACE, Sought
from mooring_operator.api.drift_status import DriftMonitorStatus, EvaluationRun
from mooring_operator.api.types import Condition, format_duration, format_time
from mooring_operator.planning.actions import Notify
from mooring_operator.planning.drift.evaluations import Target
from mooring_operator.planning.drift.pace import pace_of
from mooring_operator.planning.drift.sources import Kept
from mooring_operator.planning.status import conditions

CONDITION = "PerformanceDropped"
ESTIMATED = "EstimatedDrop"

_QUIET = (reasons.AWAITING_LABELS, reasons.AWAITING_WINDOW, reasons.INSUFFICIENT_LABELS)


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
    if asked is None or revision is None:
        return None
    since, until = _time(spec, asked, kept, window, now)
    known = SoughtPerformance(
        figures=dict(kept.tested.figures),
        figure_rows=kept.tested.rows,
        output=asked.output or kept.tested.output,
        classes=asked.classes or list(kept.tested.classes),
        task=asked.task or kept.tested.task,
    )
    if not kept.store or since >= until:
        # Rows of a baseline are enough for an estimate of the window itself.
        return known if asked.estimate and asked.baseline is not None else None
    labels = None
    if asked.labels is None:
        folder = below(kept.store, "labels", f"deployment={target.name}")
        labels = Sought(uri=folder, since=since, until=until + asked.grace)
    folder = below(kept.store, f"deployment={target.name}", f"revision={revision}")
    requests = Sought(uri=folder, since=since, until=until)
    return known.model_copy(update={"requests": requests, "labels": labels})


def _time(
    spec: DriftMonitorSpec, asked: Performance, kept: Kept, window: Sought | None, now: datetime
) -> tuple[datetime, datetime]:
    """Give from when to when requests are old enough, of the revision that serves."""
    if window is not None and window.until is not None:
        until = window.until - asked.grace
    else:
        until = pace_of(spec).last(now - max(asked.grace, DEFAULT_GRACE))
    since = until - (asked.span or spec.interval)
    if kept.since is not None:
        since = max(since, kept.since)
    return since, until


def take(
    status: DriftMonitorStatus, run: EvaluationRun, found: PerformanceStatus | None, now: datetime
) -> DriftMonitorStatus:
    """Keep what labels have said of the requests of a run."""
    if run.performance is None or found is None:
        return status
    requests = run.performance.requests
    about: dict[str, Any] = {"time": now, "revision": run.revision}
    if requests is not None:
        about |= {"since": requests.since, "until": requests.until}
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
    """Give the status with both conditions, and an Event where performance has dropped or is up again.

    `before` is the status that was read, whose conditions it takes up.
    """
    known = [each for each in before.conditions if each.type in (CONDITION, ESTIMATED)]
    others = [each for each in status.conditions if each.type not in (CONDITION, ESTIMATED)]
    asked = spec.performance
    if asked is None:
        return status.model_copy(update={"conditions": others, "performance": None}), ()
    if target is None or spec.suspend:
        return status.model_copy(update={"conditions": [*others, *known]}), ()
    found = status.performance
    if found is not None and found.revision != target.stable:
        found = None
    wanted = {CONDITION: _judge(found, target, asked.grace)}
    if asked.estimate:
        wanted[ESTIMATED] = _judge_estimate(found)
    merged = conditions.merge(known, wanted, generation, now)
    events = tuple(
        event for each in merged if (event := _event(conditions.find(known, each.type), each)) is not None
    )
    return status.model_copy(update={"conditions": [*others, *merged]}), events


def _event(known: Condition | None, found: Condition) -> Notify | None:
    """Tell that performance has dropped, is up again, or cannot be told for a reason that does not pass."""
    old, new = (known.status, known.reason) if known else ("Unknown", ""), (found.status, found.reason)
    if old[0] == "True" and new[0] == "False":
        return Notify("Normal", found.reason, found.message)
    if new == old or new[0] == "False" or new[1] in _QUIET:
        return None
    return Notify("Warning", found.reason, found.message)


def _judge(found: PerformanceStatus | None, target: Target, grace: timedelta) -> tuple[str, str, str]:
    if not target.kept.store:
        message = f"{target.name} keeps no requests: set spec.serving.capture there"
        return "Unknown", reasons.NOTHING_CAPTURED, message
    if found is None or found.reason == reasons.AWAITING_LABELS:
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


def _judge_estimate(found: PerformanceStatus | None) -> tuple[str, str, str]:
    estimate = found.estimate if found is not None else None
    if estimate is None:
        return "Unknown", reasons.AWAITING_WINDOW, "no window of this revision was looked at yet"
    if estimate.metric is None:
        return "Unknown", reasons.ESTIMATE_UNAVAILABLE, estimate.message
    metrics = ", ".join(f"{each.metric} {each.value:.4g}" for each in (estimate.metric, *estimate.others))
    said = f"an estimate without labels, of {estimate.rows} requests: {metrics}"
    notes = [*estimate.broken, *([estimate.message] if estimate.message else [])]
    if estimate.broken:
        return "True", reasons.RULE_BROKEN, "; ".join([said, *notes])
    return "False", reasons.RULES_HOLD, "; ".join([said, *notes])
