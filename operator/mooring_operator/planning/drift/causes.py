"""What a DriftMonitor acts on: conditions that say that something has gone wrong."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from mooring_operator.api.drift_actions import Action, Cause
from mooring_operator.api.drift_monitor import DriftMonitorSpec
from mooring_operator.api.drift_status import DriftMonitorStatus
from mooring_operator.api.types import Condition
from mooring_operator.planning.drift import operation, performance
from mooring_operator.planning.status import conditions

CONDITION_OF: Mapping[Cause, str] = {
    "Drift": "Drifted",
    "Performance": performance.CONDITION,
    "Operation": operation.CONDITION,
}


def condition_of(status: DriftMonitorStatus, cause: Cause) -> Condition | None:
    """Give the condition that says whether a cause is there; None where nothing was said yet."""
    return conditions.find(status.conditions, CONDITION_OF[cause])


def is_there(status: DriftMonitorStatus, cause: Cause) -> bool:
    """Say whether a cause is there for certain."""
    found = condition_of(status, cause)
    return found is not None and found.status == "True"


def began(status: DriftMonitorStatus, causes: Sequence[Cause]) -> datetime | None:
    """Give when the last of these causes began that goes on; None where none does."""
    found = (condition_of(status, cause) for cause in causes)
    return max((each.last_transition_time for each in found if each and each.status == "True"), default=None)


def actions_on(spec: DriftMonitorSpec, cause: Cause) -> Sequence[Action]:
    """Give what is done about a cause."""
    if cause == "Drift":
        return spec.actions
    part = spec.performance if cause == "Performance" else spec.operation
    return part.actions if part is not None else ()
