"""The decision: the next status, and the actions that follow from the way from one status to the next."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from mooring_operator.api import reasons
from mooring_operator.api.rollout_status import CIStatus, ModelDeploymentStatus, RouterStatus
from mooring_operator.planning.actions import Notify, TerminateRun
from mooring_operator.planning.policies.rules import RuleQuestion
from mooring_operator.planning.rollout import (
    adoption,
    analysis,
    capturing,
    checks,
    commands,
    holds,
    measurements,
    retained,
    serving,
    under_test,
    variants,
)
from mooring_operator.planning.rollout.actions import (
    Action,
    DropCommand,
    LaunchRun,
    RemoveService,
    Route,
    StopCheck,
)
from mooring_operator.planning.rollout.draft import Settled
from mooring_operator.planning.rollout.progress import LOOK_AGAIN, ROUTER, is_being_taken_up
from mooring_operator.planning.rollout.traffic import routing_of
from mooring_operator.planning.runs import abandoned_runs
from mooring_operator.planning.status import conditions
from mooring_operator.planning.strategies.demands import why_otherwise, why_unsupported

_UNDER_WAY = ("Pending", "Running")
_FREEZES = "FreezesEnd"
_SAME_CAUSE = timedelta(minutes=1)
_ANSWERED_AT_ONCE = (reasons.CHOOSING_RUNTIME,)
"""Reasons of which people are told where they last."""


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
    draft = analysis.without_what_has_ended(retained.trim(variants.follow(_abandon_superseded(draft))))
    draft = under_test.stop_what_is_tested_no_more(draft)
    status = _with_conditions(draft)
    if status == draft.before:
        status = draft.before
    actions = (
        *_run_actions(draft),
        *_traffic_actions(draft),
        *_dropped_commands(draft),
        *_notices(draft, status),
    )
    recheck_after = draft.recheck_after
    for left in (
        retained.look_again(draft),
        analysis.look_again(draft),
        adoption.look_again(draft),
        capturing.look_again(draft),
        LOOK_AGAIN if is_being_taken_up(draft) else None,
    ):
        if left is not None:
            recheck_after = min(recheck_after or left, left)
    if any(not run.ended for run in status.abandoned_runs):
        recheck_after = min(recheck_after or abandoned_runs.LOOK_AGAIN, abandoned_runs.LOOK_AGAIN)
    return Decision(status, actions, recheck_after, draft.questions)


def _abandon_superseded(draft: Settled) -> Settled:
    """Take no answer any more of a run that is no longer the one being waited for."""
    runs = abandoned_runs.follow(draft.status.abandoned_runs, draft.observed.abandoned, draft.now)
    old = draft.before.ci
    if old is not None and _is_left_behind(old, draft) and all(run.run_id != old.run_id for run in runs):
        runs = abandoned_runs.abandon(runs, old.run_id, draft.now)
    check = checks.left_behind(draft)
    if check is not None and all(run.run_id != check for run in runs):
        runs = abandoned_runs.abandon(runs, check, draft.now, check=True)
    for measurement_id, query in measurements.left_behind(draft):
        if all(run.run_id != measurement_id for run in runs):
            runs = abandoned_runs.abandon(runs, measurement_id, draft.now, check=query.is_a_job)
    return draft.change(abandoned_runs=runs)


def _is_left_behind(old: CIStatus, draft: Settled) -> bool:
    """Whether a run goes on, for all that is known, that nobody waits for."""
    if old.verdict is not None or old.state not in _UNDER_WAY:
        return False
    new = draft.status.ci
    if new is None or new.run_id != old.run_id:
        return True
    return new.state in _UNDER_WAY and (new.verdict is not None or draft.candidate is None)


def _with_conditions(draft: Settled) -> ModelDeploymentStatus:
    status, service, choice = draft.status, draft.observed.service, draft.observed.router_choice
    if choice.why:
        router = RouterStatus(name=choice.name, message=choice.why)
        status = status.model_copy(update={"router": router})
    wanted = {
        **conditions.for_phase(status.phase, status.reason, status.message, stalled=draft.stalled),
        **_router_ready(draft),
        **_freezes_end(draft),
        **capturing.condition(draft),
        **draft.conditions,
    }
    url = service.url if service is not None and service.url else status.url
    generation = draft.observed.owner.generation
    return conditions.report(status, wanted, generation, draft.now, read=draft.before, url=url)


def _router_ready(draft: Settled) -> dict[str, tuple[str, str, str]]:
    """Say what the router says of itself: a problem, what it cannot, what it does its own way, or that it can again."""
    service, router, name = draft.observed.service, draft.observed.router, draft.observed.router_choice.name
    if service is None:
        return {}
    if service.problem:
        status = "Unknown" if is_being_taken_up(draft) else "False"
        return {ROUTER: (status, reasons.ROUTER_NOT_READY, service.problem)}
    if unsupported := why_unsupported(draft.spec.rollout, router, name):
        # Also where all is promoted: nothing will follow it.
        return {ROUTER: ("False", reasons.UNSUPPORTED_BY_ROUTER, unsupported)}
    if otherwise := why_otherwise(draft.spec, router, name):
        return {ROUTER: ("True", reasons.ROUTER_IMPRECISE, otherwise)}
    if all(known.type != ROUTER for known in draft.before.conditions):
        return {}
    return {ROUTER: ("True", reasons.ROUTER_RECOVERED, "every revision gets its part of the traffic")}


def _freezes_end(draft: Settled) -> dict[str, tuple[str, str, str]]:
    """Say that nothing will ever go forward, as soon as that is known and not only when something has to."""
    endless = holds.why_frozen_for_ever(draft)
    return {_FREEZES: ("False", reasons.FREEZE_INVALID, endless)} if endless else {}


def _run_actions(draft: Settled) -> tuple[Action, ...]:
    """Stop the runs that nobody waits for any more, and launch what was asked for."""
    abandoned = draft.status.abandoned_runs
    stops = (TerminateRun(run_id) for run_id in abandoned_runs.unended(abandoned))
    ends = (StopCheck(check_id) for check_id in abandoned_runs.unended(abandoned, checks=True))
    return (*stops, *ends, *(request for request in draft.requests if isinstance(request, LaunchRun)))


def _traffic_actions(draft: Settled) -> tuple[Action, ...]:
    others = tuple(r for r in draft.requests if not isinstance(r, LaunchRun | Notify))
    if draft.observed.name_taken is not None or serving.is_unknown(draft):
        return others
    routing = routing_of(draft)
    if routing is not None:
        return (Route(routing), *others)
    return (*((RemoveService(),) if draft.observed.service is not None else ()), *others)


def _dropped_commands(draft: Settled) -> tuple[Action, ...]:
    """Remove the commands that fit nothing in the status as it was: they are done, or wrong."""
    return tuple(
        DropCommand(name, value)
        for name, value in draft.observed.commands.items()
        if not commands.still_fits(name, value, draft.before)
    )


def _router_notice(draft: Settled, written: ModelDeploymentStatus) -> tuple[Notify, ...]:
    """Tell when the router begins to say something else of itself; nothing of a change that it takes up in a moment."""
    before, now = (conditions.find(status.conditions, ROUTER) for status in (draft.before, written))
    if now is None or (before is not None and (before.status, before.reason) == (now.status, now.reason)):
        return ()
    awaited = before is not None and before.status == "Unknown" and now.reason == reasons.ROUTER_RECOVERED
    if awaited or now.status == "Unknown":
        return ()
    return (
        Notify("Normal" if now.reason == reasons.ROUTER_RECOVERED else "Warning", now.reason, now.message),
    )


def _capture_notice(draft: Settled, written: ModelDeploymentStatus) -> tuple[Notify, ...]:
    """Tell when requests begin not to be kept as they should be."""
    before, now = (
        next((known.reason for known in status.conditions if known.type == capturing.CONDITION), None)
        for status in (draft.before, written)
    )
    if now == before:
        return ()
    return tuple(
        Notify("Warning", known.reason, known.message)
        for known in written.conditions
        if known.type == capturing.CONDITION and known.status == "False"
    )


def _freezes_notice(draft: Settled, written: ModelDeploymentStatus) -> tuple[Notify, ...]:
    """Tell when windows begin to leave no time."""
    if any(known.type == _FREEZES for known in draft.before.conditions):
        return ()
    return tuple(
        Notify("Warning", now.reason, now.message) for now in written.conditions if now.type == _FREEZES
    )


def _has_just_been_told(draft: Settled, told: Iterable[Notify]) -> bool:
    """Whether the cause of what status says is told now, or the router's condition told of it moments ago."""
    known = conditions.find(draft.before.conditions, ROUTER)
    causes = [(notice.reason, notice.message) for notice in told]
    if (
        known is not None
        and known.status != "Unknown"
        and draft.elapsed(known.last_transition_time) < _SAME_CAUSE
    ):
        causes.append((known.reason, known.message))
    status = draft.status
    return any(reason == status.reason or (why and why in status.message) for reason, why in causes)


def _notices(draft: Settled, written: ModelDeploymentStatus) -> tuple[Action, ...]:
    told = (
        *(request for request in draft.requests if isinstance(request, Notify)),
        *_router_notice(draft, written),
        *_freezes_notice(draft, written),
        *_capture_notice(draft, written),
    )
    status = draft.status
    if status.reason in _ANSWERED_AT_ONCE or _has_just_been_told(draft, told):
        return told
    if (status.phase, status.reason) == (draft.before.phase, draft.before.reason):
        return told
    if status.reason == draft.before.reason == reasons.RECREATING:
        return told
    warning = draft.stalled or status.phase in ("RolledBack", "Failed")
    return (*told, Notify("Warning" if warning else "Normal", status.reason, status.message))
