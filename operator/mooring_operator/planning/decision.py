"""The decision: the next status, and the actions that follow from the way from one status to the next."""

from dataclasses import dataclass

from mooring_operator.api.rollout_status import ModelDeploymentStatus
from mooring_operator.planning import commands, conditions
from mooring_operator.planning.actions import (
    Action,
    CleanUp,
    DropCommand,
    LaunchRun,
    Notify,
    Reject,
    RemoveService,
    Serve,
    Split,
    TerminateRun,
)
from mooring_operator.planning.draft import Settled
from mooring_operator.planning.rules import RuleQuestion


@dataclass(frozen=True)
class Decision:
    """The next status, and what follows from it.

    The status is written first: it is the log that a restart resumes from. The actions may be
    repeated without harm. `recheck_after` is in seconds; None waits for a change. With the answers to
    `questions` observed, more can be decided at once.
    """

    status: ModelDeploymentStatus
    actions: tuple[Action, ...] = ()
    recheck_after: float | None = None
    questions: tuple[RuleQuestion, ...] = ()

    @property
    def phase(self) -> str:
        """Where the deployment stands."""
        return self.status.phase

    @property
    def reason(self) -> str:
        """Why, in one word."""
        return self.status.reason

    @property
    def message(self) -> str:
        """Why, in a sentence."""
        return self.status.message


def decide(draft: Settled) -> Decision:
    """Give the next status, and the actions that follow from it."""
    status = _with_conditions(draft)
    if status.model_dump() == draft.before.model_dump():
        status = draft.before
    actions = (
        *_run_actions(draft),
        *_traffic_actions(draft),
        *_dropped_commands(draft),
        *_notices(draft),
    )
    return Decision(status, actions, draft.recheck_after, draft.questions)


def _with_conditions(draft: Settled) -> ModelDeploymentStatus:
    status, service = draft.status, draft.observed.service
    wanted = {
        **conditions.for_phase(status.phase, status.reason, status.message, stalled=draft.stalled),
        **draft.conditions,
    }
    url = service.url if service is not None and service.url else status.url
    return conditions.report(status, wanted, draft.observed.owner.generation, draft.now, url=url)


def _run_actions(draft: Settled) -> tuple[Action, ...]:
    """Launch what was asked for, and stop the run that is no longer the one being waited for."""
    launches = tuple(request for request in draft.requests if isinstance(request, LaunchRun))
    old, new = draft.before.ci, draft.status.ci
    if old is None or old.verdict is not None or old.state not in ("Pending", "Running"):
        return launches
    waited_for = new is not None and new.verdict is None and draft.candidate is not None
    if waited_for and new is not None and new.run_id == old.run_id:
        return launches
    return (TerminateRun(old.run_id), *launches)


def _traffic_actions(draft: Settled) -> tuple[Action, ...]:
    others = tuple(r for r in draft.requests if not isinstance(r, LaunchRun | Notify))
    if draft.observed.name_taken is not None:
        return others
    stable, candidate = draft.stable, draft.candidate
    actions: tuple[Action, ...]
    if stable is None:
        if candidate is not None and candidate.weight > 0:
            actions = (Serve(candidate),)
        else:
            actions = (RemoveService(),) if draft.observed.service is not None else ()
    elif candidate is not None and candidate.weight > 0:
        actions = (Split(stable, candidate),)
    elif draft.status.rejected is not None:
        actions = (Reject(stable, draft.status.rejected),)
    else:
        actions = (Serve(stable),)
    ended = draft.before.phase != draft.status.phase or draft.status.phase == "Promoting"
    shared = draft.status.previous is not None or draft.before.candidate is not None
    if stable is not None and draft.before.stable is not None and candidate is None and ended and shared:
        actions = (*actions, CleanUp(stable))
    return (*actions, *others)


def _dropped_commands(draft: Settled) -> tuple[Action, ...]:
    """Remove the commands that fit nothing in the status as it was: they are done, or wrong."""
    return tuple(
        DropCommand(name, value)
        for name, value in draft.observed.commands.items()
        if not commands.still_fits(name, value, draft.before)
    )


def _notices(draft: Settled) -> tuple[Action, ...]:
    asked = tuple(request for request in draft.requests if isinstance(request, Notify))
    status = draft.status
    if (status.phase, status.reason) == (draft.before.phase, draft.before.reason):
        return asked
    warning = draft.stalled or status.phase in ("RolledBack", "Failed")
    return (*asked, Notify("Warning" if warning else "Normal", status.reason, status.message))
