"""What status says when a decision could not be made or carried out, and what is done all the same."""

from dataclasses import replace
from datetime import datetime

from mooring_operator.api import reasons
from mooring_operator.api.model_deployment import ModelDeploymentSpec
from mooring_operator.api.rollout_status import ModelDeploymentStatus
from mooring_operator.planning.actions import Notify
from mooring_operator.planning.objects.owner import Owner
from mooring_operator.planning.rollout import serving
from mooring_operator.planning.rollout.actions import Route
from mooring_operator.planning.rollout.decision import Decision
from mooring_operator.planning.rollout.draft import Draft
from mooring_operator.planning.rollout.plan import note_what_the_candidate_has
from mooring_operator.planning.rollout.situation import Observed
from mooring_operator.planning.rollout.traffic import routing_of
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


def undecided(
    spec: ModelDeploymentSpec,
    status: ModelDeploymentStatus,
    observed: Observed,
    reason: str,
    message: str,
    now: datetime,
) -> Decision:
    """Nothing is decided, for something that this needs does not answer: traffic still goes where there are pods."""
    draft = note_what_the_candidate_has(Draft.begin(spec, status, observed, now))
    noted = dependency_unavailable(draft.status, reason, message, observed.owner, now)
    candidate = draft.candidate
    if candidate is None or not candidate.runs or draft.stable is None or observed.service is None:
        return noted
    if observed.name_taken is not None or serving.is_unknown(draft) or (routing := routing_of(draft)) is None:
        return noted
    return replace(noted, actions=(Route(routing), *noted.actions))


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
