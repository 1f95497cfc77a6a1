"""What status says when a decision could not be made or carried out."""

from datetime import datetime

from mooring_artifacts.text import visible
from pydantic import ValidationError

from mooring_operator.api import forms, reasons
from mooring_operator.api.drift_monitor import DriftMonitorStatus
from mooring_operator.api.rollout_status import ModelDeploymentStatus
from mooring_operator.planning import conditions
from mooring_operator.planning.actions import Notify
from mooring_operator.planning.decision import Decision
from mooring_operator.planning.situation import Owner
from mooring_operator.planning.wording import keeps_serving


def invalid_spec(status: ModelDeploymentStatus, message: str, owner: Owner, now: datetime) -> Decision:
    """A spec that the CRD let through and the operator cannot read; what is served stays as it is."""
    return _noted(status, "Failed", reasons.INVALID_SPEC, message, owner, now)


def invalid_monitor(
    status: DriftMonitorStatus, message: str, generation: int, now: datetime
) -> DriftMonitorStatus:
    """A DriftMonitor's spec that the CRD let through and the operator cannot read."""
    wanted = conditions.for_phase("Failed", reasons.INVALID_SPEC, message)
    return conditions.report(
        status, wanted, generation, now, phase="Failed", reason=reasons.INVALID_SPEC, message=message
    )


def dependency_unavailable(
    status: ModelDeploymentStatus, reason: str, message: str, owner: Owner, now: datetime
) -> Decision:
    """Something that the rollout needs does not answer; it waits where it is."""
    return _noted(status, status.phase, reason, message, owner, now)


def describe(error: ValidationError) -> str:
    """Name every field that is wrong, its value and what is allowed."""
    lines = []
    for problem in error.errors(include_url=False):
        path = "spec" + "".join(_written(part) for part in problem["loc"] if part != "[key]")
        given = "" if problem["type"] == "missing" else f", got {problem['input']!r:.80}"
        allowed = forms.allowed_by(problem.get("ctx", {}).get("pattern", ""))
        message = f"must be {allowed}" if allowed else problem["msg"].removeprefix("Value error, ")
        lines.append(f"{path}: {message}{given}")
    return "; ".join(lines)


def _written(part: str | int) -> str:
    """Write a part of a path as Kubernetes does; the key of a map may be any text."""
    if isinstance(part, str) and part.replace("_", "").isalnum():
        return f".{part}"
    return f"[{visible(str(part))}]"


def _noted(
    status: ModelDeploymentStatus, phase: str, reason: str, message: str, owner: Owner, now: datetime
) -> Decision:
    message += keeps_serving(status.stable, otherwise="nothing is served yet")
    wanted = conditions.for_phase(phase, reason, message)
    noted = conditions.report(
        status, wanted, owner.generation, now, phase=phase, reason=reason, message=message
    )
    told = () if status.reason == reason else (Notify("Warning", reason, message),)
    return Decision(noted, told)
