"""Decides what is done when drift begins: a rollback once for a revision, a pause or an abort once for a change.

What was done, and why, stands in `status.actions`. A command that was lost in a crash is given again: it names a
revision, and one that has been left already is dropped.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from mooring_operator.api import reasons
from mooring_operator.api.drift_actions import Action, ActionTaken
from mooring_operator.api.drift_monitor import DriftMonitorSpec, DriftMonitorStatus
from mooring_operator.api.types import format_time
from mooring_operator.planning.actions import Notify
from mooring_operator.planning.drift.evaluations import Target

_STOPS: tuple[Literal["Pause"], Literal["Abort"]] = ("Pause", "Abort")


@dataclass(frozen=True)
class RequestRollback:
    """Ask a ModelDeployment to leave a revision."""

    name: str
    revision: str
    note: str


@dataclass(frozen=True)
class RequestStop:
    """Ask a ModelDeployment to pause or abort the rollout of a revision."""

    name: str
    command: Literal["pause", "abort"]
    revision: str
    note: str


Acted = tuple[DriftMonitorStatus, tuple[RequestRollback | RequestStop | Notify, ...]]


def act(
    spec: DriftMonitorSpec,
    status: DriftMonitorStatus,
    target: Target,
    message: str,
    now: datetime,
    *,
    begins: bool,
) -> Acted:
    """Give the status with what was done, and what is to be done.

    Args:
        spec: of the monitor.
        status: as it is going to be written.
        target: what drifts.
        message: what was found.
        now: the time.
        begins: whether the traffic had not drifted before.
    """
    status, asked = _roll_back(spec, status, target, message, now)
    if not begins:
        return status, asked
    for action in _STOPS:
        if action in spec.actions:
            status, more = _stop(spec, status, target, action, message, now)
            asked = (*asked, *more)
    return status, asked


def _roll_back(
    spec: DriftMonitorSpec, status: DriftMonitorStatus, target: Target, message: str, now: datetime
) -> Acted:
    """Roll back once for a revision: what drifts after that is for people to look at."""
    revision = target.stable
    mark = f"dry-run {revision}" if spec.dry_run else revision
    if "Rollback" not in spec.actions or revision is None or status.acted_on == mark:
        return status, ()
    status = status.model_copy(update={"acted_on": mark})
    if target.previous is None:
        why = f"revision {revision} cannot be rolled back: no revision was promoted before it"
        taken = ActionTaken(action="Rollback", state="Skipped", revision=revision, at=now, message=why)
        return _note(status, taken), (Notify("Warning", reasons.ROLLBACK_SKIPPED, why),)
    if spec.dry_run:
        would = f"{target.name} would be asked to leave revision {revision}"
        taken = ActionTaken(action="Rollback", state="Rehearsed", revision=revision, at=now, message=message)
        return _note(status, taken), (Notify("Normal", reasons.DRY_RUN, would),)
    request = RequestRollback(target.name, revision, f"{reasons.DRIFT_DETECTED}: {message}")
    told = Notify(
        "Warning", reasons.ROLLBACK_REQUESTED, f"asked {target.name} to leave revision {revision}: {message}"
    )
    taken = ActionTaken(
        action="Rollback", state="Asked", revision=revision, at=now, asked_at=now, message=message
    )
    return _note(status, taken), (request, told)


def _stop(
    spec: DriftMonitorSpec,
    status: DriftMonitorStatus,
    target: Target,
    action: Literal["Pause", "Abort"],
    message: str,
    now: datetime,
) -> Acted:
    """Pause or abort the rollout under way, as drift begins; a rollout that begins later is not stopped."""
    known = next((each for each in status.actions if each.action == action), None)
    asked_at = known.asked_at if known is not None else None
    taken = ActionTaken(action=action, state="Skipped", at=now, asked_at=asked_at)
    if target.candidate is None:
        return _note(status, taken.model_copy(update={"message": "no rollout was under way"})), ()
    taken = taken.model_copy(update={"revision": target.candidate, "message": message})
    if asked_at is not None and now < asked_at + spec.action_cooldown:
        until = f"asked for at {format_time(asked_at)}, and not again until "
        until += format_time(asked_at + spec.action_cooldown)
        return _note(status, taken.model_copy(update={"state": "CoolingDown", "message": until})), ()
    command: Literal["pause", "abort"] = "pause" if action == "Pause" else "abort"
    if spec.dry_run:
        would = f"{target.name} would be asked to {command} revision {target.candidate}"
        return _note(status, taken.model_copy(update={"state": "Rehearsed"})), (
            Notify("Normal", reasons.DRY_RUN, would),
        )
    request = RequestStop(target.name, command, target.candidate, f"{reasons.DRIFT_DETECTED}: {message}")
    told = f"asked {target.name} to {command} revision {target.candidate}: {message}"
    taken = taken.model_copy(update={"state": "Asked", "asked_at": now})
    return _note(status, taken), (request, Notify("Warning", reasons.STOP_REQUESTED, told))


def _note(status: DriftMonitorStatus, taken: ActionTaken) -> DriftMonitorStatus:
    """Keep the last of each action."""
    others = [each for each in status.actions if each.action != taken.action]
    actions: list[ActionTaken] = sorted([*others, taken], key=lambda each: _place(each.action))
    return status.model_copy(update={"actions": actions})


def _place(action: Action) -> int:
    return ("Rollback", *_STOPS).index(action)
