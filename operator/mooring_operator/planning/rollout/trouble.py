"""What status says when a decision could not be made or carried out."""

from datetime import datetime

from mooring_operator.api import reasons
from mooring_operator.api.rollout_status import ModelDeploymentStatus
from mooring_operator.planning.actions import Notify
from mooring_operator.planning.objects.owner import Owner
from mooring_operator.planning.rollout.decision import Decision
from mooring_operator.planning.status import conditions
from mooring_operator.planning.status.wording import keeps_serving


def invalid_spec(status: ModelDeploymentStatus, message: str, owner: Owner, now: datetime) -> Decision:
    """A spec that the CRD let through and the operator cannot read; what is served stays as it is."""
    return _noted(status, "Failed", reasons.INVALID_SPEC, message, owner, now)


def dependency_unavailable(
    status: ModelDeploymentStatus, reason: str, message: str, owner: Owner, now: datetime
) -> Decision:
    """Something that the rollout needs does not answer; it waits where it is."""
    return _noted(status, status.phase, reason, message, owner, now)


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
