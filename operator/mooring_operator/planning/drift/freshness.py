"""Says whether rows of what a ModelDeployment keeps come to its DriftMonitor."""

from datetime import datetime

from mooring_operator.api import reasons
from mooring_operator.api.drift_monitor import DriftMonitorSpec
from mooring_operator.api.drift_status import DriftMonitorStatus
from mooring_operator.api.types import format_time
from mooring_operator.planning.actions import Notify
from mooring_operator.planning.drift import arrivals
from mooring_operator.planning.drift.evaluations import Target
from mooring_operator.planning.drift.gathering import looked_until
from mooring_operator.planning.drift.sources import captured_window
from mooring_operator.planning.status import conditions

CONDITION = "DataFresh"


def freshen(
    spec: DriftMonitorSpec,
    before: DriftMonitorStatus,
    status: DriftMonitorStatus,
    target: Target | None,
    generation: int,
    now: datetime,
) -> tuple[DriftMonitorStatus, tuple[Notify, ...]]:
    """Give the status with the condition, and an Event where rows have ceased to come.

    There is none where the spec names the files of its windows, or no revision serves yet. `before` is the status
    that was read, whose condition it takes up.
    """
    known = conditions.find(before.conditions, CONDITION)
    others = [condition for condition in status.conditions if condition.type != CONDITION]
    found = None if captured_window(spec) is None else _judge(status, target)
    if found is None:
        return status.model_copy(update={"conditions": others}), ()
    [condition] = conditions.merge([known] if known else [], {CONDITION: found}, generation, now)
    ceased = condition.status == "False" and (known is None or known.status != "False")
    # What an evaluation ended with is told already.
    told = ceased and condition.reason != status.reason
    events = (Notify("Warning", condition.reason, condition.message),) if told else ()
    return status.model_copy(update={"conditions": [*others, condition]}), events


def _judge(status: DriftMonitorStatus, target: Target | None) -> tuple[str, str, str] | None:
    if target is None or target.stable is None or not target.kept.store:
        return None
    capturing = target.kept.capturing
    if capturing is not None and capturing[0] == "False":
        return capturing
    odd = list(arrivals.remarks(status, target.stable))
    also = "".join(f"; {message}" for _, message in odd)
    if status.reason in (reasons.INSUFFICIENT_DATA, reasons.WINDOW_UNREADABLE):
        # Where nobody knows whether anything is kept, that is what to look at first.
        unsure = f"; {capturing[2]}" if capturing is not None and capturing[0] == "Unknown" else ""
        return "False", status.reason, f"{status.message}{unsure}{also}"
    gathered = status.gathering
    if (
        gathered is not None
        and gathered.revision == target.stable
        and gathered.reason == reasons.WINDOW_EMPTY
    ):
        return "False", gathered.reason, f"{gathered.message}{also}"
    until = looked_until(status, target.stable)
    if until is not None:
        reason = odd[0][0] if odd else reasons.REQUESTS_KEPT
        return "True", reason, f"the last rows that were looked at are of {format_time(until)}{also}"
    if capturing is not None and capturing[0] == "Unknown":
        return capturing
    return "Unknown", reasons.AWAITING_WINDOW, "no window of this revision was looked at yet"
