"""Says whether a baseline is good enough to compare windows with."""

from datetime import datetime

from mooring_operator.api import reasons
from mooring_operator.api.drift_monitor import DriftMonitorSpec
from mooring_operator.api.drift_status import DriftMonitorStatus
from mooring_operator.planning.status import conditions

CONDITION = "BaselineValid"
ENOUGH = 20
"""Times the window's rows: a smaller one is itself drawn by chance, and compared with again in every window."""


def judge_baseline(
    spec: DriftMonitorSpec,
    before: DriftMonitorStatus,
    status: DriftMonitorStatus,
    generation: int,
    now: datetime,
) -> DriftMonitorStatus:
    """Give the status with the condition; `before` is the status that was read, whose condition it takes up."""
    known = conditions.find(before.conditions, CONDITION)
    others = [condition for condition in status.conditions if condition.type != CONDITION]
    found = _judge(spec, status)
    merged = conditions.merge([known] if known else [], {CONDITION: found} if found else {}, generation, now)
    return status.model_copy(update={"conditions": [*others, *merged]})


def _judge(spec: DriftMonitorSpec, status: DriftMonitorStatus) -> tuple[str, str, str] | None:
    if status.reason in (reasons.BASELINE_UNREADABLE, reasons.BASELINE_EXPIRED):
        return "False", status.reason, status.message
    evaluation = status.evaluation
    if evaluation is None or not evaluation.window_rows:
        return None
    rows, window = evaluation.baseline_rows, evaluation.window_rows
    if rows >= ENOUGH * window:
        return "True", reasons.BASELINE_SUFFICIENT, f"{rows} rows for windows of {window}"
    small = f"{rows} rows are fewer than {ENOUGH} times the window's {window}"
    way = f"take a baseline of {ENOUGH * window} rows, or a shorter window"
    if spec.sensitivity is not None:
        return "True", reasons.BASELINE_SMALL, f"{small}: alarms come later; for earlier ones {way}"
    return (
        "False",
        reasons.BASELINE_SMALL,
        f"{small}: wrong alarms may come again and again; {way}, or set sensitivity",
    )
