"""Decides what is done when drift begins, performance drops or operation degrades.

A rollback is asked for once for a revision, whatever it is for; a pause or an abort once for a change.

What was done, and why, stands in `status.actions`. A command that was lost in a crash is given again: it names a
revision, and one that has been left already is dropped.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from mooring_operator.api import reasons
from mooring_operator.api.drift_actions import Action, ActionTaken, Cause
from mooring_operator.api.drift_monitor import DriftMonitorSpec
from mooring_operator.api.drift_status import DriftMonitorStatus
from mooring_operator.api.types import format_time
from mooring_operator.planning.actions import Notify
from mooring_operator.planning.drift import causes
from mooring_operator.planning.drift.evaluations import Target

State = Literal["Asked", "Rehearsed", "Skipped", "CoolingDown"]

_OF_CONDITIONS: tuple[Cause, ...] = ("Performance", "Operation")
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


@dataclass(frozen=True)
class Occasion:
    """What is acted on.

    target: the ModelDeployment that it is about. message: what was found. begins: whether it was not there before.
    """

    cause: Cause
    target: Target
    message: str
    now: datetime
    begins: bool

    @property
    def note(self) -> str:
        """What a ModelDeployment is told."""
        known = {"Drift": reasons.DRIFT_DETECTED}
        return f"{known.get(self.cause, causes.CONDITION_OF[self.cause])}: {self.message}"

    def take(self, action: Action, state: State, **about: Any) -> ActionTaken:
        """Give what an action came to."""
        return ActionTaken(action=action, cause=self.cause, state=state, at=self.now, **about)


def act_on_conditions(
    spec: DriftMonitorSpec,
    before: DriftMonitorStatus,
    status: DriftMonitorStatus,
    target: Target | None,
    now: datetime,
) -> Acted:
    """Act on performance and operation; `before` is the status that was read, and shows what begins."""
    asked: tuple[RequestRollback | RequestStop | Notify, ...] = ()
    if target is None or spec.suspend:
        return status, asked
    for cause in _OF_CONDITIONS:
        found = causes.condition_of(status, cause)
        if found is None or found.status != "True":
            continue
        begins = not causes.is_there(before, cause)
        status, more = act(spec, status, Occasion(cause, target, found.message, now, begins))
        asked = (*asked, *more)
    return status, asked


def act(spec: DriftMonitorSpec, status: DriftMonitorStatus, occasion: Occasion) -> Acted:
    """Give the status with what was done about something, and what is to be done.

    Args:
        spec: of the monitor.
        status: as it is going to be written.
        occasion: what is acted on.
    """
    actions = causes.actions_on(spec, occasion.cause)
    asked: tuple[RequestRollback | RequestStop | Notify, ...] = ()
    if "Rollback" in actions:
        status, asked = _roll_back(spec, status, occasion)
    if not occasion.begins:
        return status, asked
    for action in _STOPS:
        if action in actions:
            status, more = _stop(spec, status, occasion, action)
            asked = (*asked, *more)
    return status, asked


def _roll_back(spec: DriftMonitorSpec, status: DriftMonitorStatus, occasion: Occasion) -> Acted:
    """Roll back once for a revision: what goes wrong after that is for people to look at."""
    target, message = occasion.target, occasion.message
    revision = target.stable
    mark = f"dry-run {revision}" if spec.dry_run else revision
    if revision is None or status.acted_on == mark:
        return status, ()
    status = status.model_copy(update={"acted_on": mark})
    if target.previous is None:
        why = f"revision {revision} cannot be rolled back: no revision was promoted before it"
        taken = occasion.take("Rollback", "Skipped", revision=revision, message=why)
        return _note(status, taken), (Notify("Warning", reasons.ROLLBACK_SKIPPED, why),)
    if spec.dry_run:
        would = f"{target.name} would be asked to leave revision {revision}"
        taken = occasion.take("Rollback", "Rehearsed", revision=revision, message=message)
        return _note(status, taken), (Notify("Normal", reasons.DRY_RUN, would),)
    request = RequestRollback(target.name, revision, occasion.note)
    told = Notify(
        "Warning", reasons.ROLLBACK_REQUESTED, f"asked {target.name} to leave revision {revision}: {message}"
    )
    taken = occasion.take("Rollback", "Asked", revision=revision, asked_at=occasion.now, message=message)
    return _note(status, taken), (request, told)


def _stop(
    spec: DriftMonitorSpec,
    status: DriftMonitorStatus,
    occasion: Occasion,
    action: Literal["Pause", "Abort"],
) -> Acted:
    """Pause or abort the rollout under way, as something begins; a rollout that begins later is not stopped."""
    target, message, now = occasion.target, occasion.message, occasion.now
    known = next((each for each in status.actions if each.action == action), None)
    if known is not None and known.state in ("Asked", "Rehearsed") and known.at == now:
        # Something else has begun in the same moment.
        return status, ()
    asked_at = known.asked_at if known is not None else None
    taken = occasion.take(action, "Skipped", asked_at=asked_at)
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
    request = RequestStop(target.name, command, target.candidate, occasion.note)
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
