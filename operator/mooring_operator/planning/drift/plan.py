"""Decides what happens next to a DriftMonitor."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from mooring_operator.api import reasons
from mooring_operator.api.drift_findings import Evaluation, SchemaChange
from mooring_operator.api.drift_monitor import DriftMonitorSpec
from mooring_operator.api.drift_status import DriftMonitorStatus, EvaluationRun
from mooring_operator.api.types import format_time
from mooring_operator.planning import addresses
from mooring_operator.planning.actions import Notify, TerminateRun
from mooring_operator.planning.drift import (
    acting,
    arrivals,
    baselines,
    evaluations,
    evidence,
    freshness,
    gathering,
    notices,
    operation,
    pace,
    performance,
    retraining,
    schema_changes,
    sources,
    suggestions,
    targets,
)
from mooring_operator.planning.drift.acting import RequestRollback, RequestStop
from mooring_operator.planning.drift.evaluations import DriftObserved, Findings, NoFindings, Target, Waiting
from mooring_operator.planning.drift.notices import SendNotice
from mooring_operator.planning.drift.retraining import LaunchTraining, TrainingSeen
from mooring_operator.planning.drift.sources import Later, Missing
from mooring_operator.planning.drift.windows import MOST_COUNTED
from mooring_operator.planning.runs import abandoned_runs, texts
from mooring_operator.planning.status import conditions

_SHOWN_FEATURES = 20
_SAID = frozenset({*reasons.OF_EVALUATIONS, *reasons.FROM_EVALUATIONS, reasons.AWAITING_WINDOW})
"""What stays said until the next window is evaluated."""
_FOUND = frozenset({reasons.NO_DRIFT, reasons.DRIFT_DETECTED, reasons.SCHEMA_CHANGED})


@dataclass(frozen=True)
class LaunchEvaluation:
    """Have a window compared with the baseline; launching a run twice makes one run."""

    run: EvaluationRun


DriftAction = (
    RequestRollback | RequestStop | Notify | LaunchEvaluation | LaunchTraining | TerminateRun | SendNotice
)


@dataclass(frozen=True)
class DriftDecision:
    """The next status, and what to do. `recheck_after` is in seconds; None waits for a change.

    A ModelDeployment is asked for something before the status is written, which says that it was; runs are launched
    and stopped, and receivers told, after it, which says which.
    """

    status: DriftMonitorStatus
    actions: tuple[DriftAction, ...] = ()
    recheck_after: float | None = None


def plan_drift(
    spec: DriftMonitorSpec,
    status: DriftMonitorStatus,
    observed: DriftObserved,
    now: datetime,
    trained: TrainingSeen | None = None,
) -> DriftDecision:
    """Give the next status and the actions: Events when something begins or ends, a rollback once for a revision."""
    followed = abandoned_runs.follow(status.abandoned_runs, observed.abandoned, now)
    status = status.model_copy(update={"abandoned_runs": followed})
    decision, generation = _decide(spec, status, observed, now), observed.owner.generation
    fresh, told = freshness.freshen(spec, status, decision.status, observed.target, generation, now)
    fresh = baselines.judge_baseline(spec, status, fresh, generation, now)
    fresh, judged = performance.judge_performance(spec, status, fresh, observed.target, generation, now)
    fresh, answered = operation.judge_operation(spec, status, fresh, observed.target, generation, now)
    fresh, asked = acting.act_on_conditions(spec, status, fresh, observed.target, now)
    fresh = suggestions.suggest(spec, fresh, observed.target)
    decision = replace(decision, status=fresh, actions=(*decision.actions, *told, *judged, *answered, *asked))
    decision = notice(spec, decision, observed, now)
    decision = train(spec, decision, observed, trained or TrainingSeen(), now)
    unended = abandoned_runs.unended(decision.status.abandoned_runs)
    if not unended:
        return decision
    again = min(decision.recheck_after or abandoned_runs.LOOK_AGAIN, abandoned_runs.LOOK_AGAIN)
    stops = (TerminateRun(run_id) for run_id in unended)
    return replace(decision, actions=(*stops, *decision.actions), recheck_after=again)


def notice(
    spec: DriftMonitorSpec, decision: DriftDecision, observed: DriftObserved, now: datetime
) -> DriftDecision:
    """Tell the receivers of `spec.notify` what they have not been told."""
    noticed = notices.follow(spec, decision.status, observed.owner.uid, observed.notices, now)
    pauses = [pause for pause in (decision.recheck_after, noticed.recheck_after) if pause is not None]
    return DriftDecision(
        decision.status.model_copy(update={"notices": noticed.notices}),
        (*decision.actions, *noticed.actions),
        min(pauses, default=None),
    )


def train(
    spec: DriftMonitorSpec,
    decision: DriftDecision,
    observed: DriftObserved,
    seen: TrainingSeen,
    now: datetime,
) -> DriftDecision:
    """Begin what `spec.retrain` asks for, or go on with it."""
    owner = observed.owner
    monitor = retraining.Monitor(
        owner.uid, owner.generation, observed.target, observed.longest_run, observed.run_pages
    )
    followed = retraining.follow(spec, decision.status, monitor, seen, now)
    pauses = [pause for pause in (decision.recheck_after, followed.recheck_after) if pause is not None]
    changes = {"retraining": followed.training, "abandoned_runs": followed.abandoned}
    return DriftDecision(
        decision.status.model_copy(update=changes),
        (*decision.actions, *followed.actions),
        min(pauses, default=None),
    )


def unavailable(
    status: DriftMonitorStatus,
    observed: DriftObserved,
    message: str,
    now: datetime,
    reason: str = reasons.EVALUATION_UNAVAILABLE,
) -> DriftDecision:
    """What the evaluation needs does not answer; its run is waited for all the same."""
    return _settle(status, observed, now, "Failed", reason, message)


def invalid_monitor(
    status: DriftMonitorStatus, message: str, generation: int, now: datetime
) -> DriftMonitorStatus:
    """A DriftMonitor's spec that the CRD let through and the operator cannot read."""
    wanted = conditions.for_phase("Failed", reasons.INVALID_SPEC, message)
    return conditions.report(
        status, wanted, generation, now, phase="Failed", reason=reasons.INVALID_SPEC, message=message
    )


def _decide(
    spec: DriftMonitorSpec, status: DriftMonitorStatus, observed: DriftObserved, now: datetime
) -> DriftDecision:
    if spec.suspend:
        message = "spec.suspend is true: nothing is evaluated"
        return _settle(_leave(status, now), observed, now, "Suspended", reasons.SUSPENDED, message)
    refusal = addresses.refuse_files(addresses.rows_of(spec), files=observed.file_addresses)
    if refusal is not None:
        return _settle(_leave(status, now), observed, now, "Failed", reasons.ADDRESS_NOT_ALLOWED, refusal)
    refusal = texts.refuse_wide(texts.texts_of_evaluation(spec), narrow=observed.narrow_runs)
    if refusal is not None:
        return _settle(_leave(status, now), observed, now, "Failed", reasons.CHARACTERS_NOT_ALLOWED, refusal)
    target = observed.target
    if target is None:
        status = _next(_leave(status, now), spec, observed, now)
        found = observed.unwatchable or targets.missing("ModelDeployment", spec.deployment or "")
        return _settle(status, observed, now, "Failed", found.reason, found.message, spec=spec)
    if status.run is not None and status.run.generation != observed.owner.generation:
        status = _leave(status, now)
    run = status.run
    if run is None:
        return _begin(spec, status, observed, target, now)
    outcome = evaluations.outcome_of(run, spec, observed, now)
    match outcome:
        case Waiting():
            return _await(status, observed, outcome, now)
        case NoFindings(reason, message, quiet, over, judged, arrived):
            status = performance.take(status, run, judged, now)
            if gathering.goes_on(run, reason):
                status = gathering.go_on(
                    _next(_leave(status, now, over=over), spec, observed, now), run, reason, message
                )
                status, told = arrivals.take(status, run, arrived)
                return _tell(told, _gather(status, observed, reason, message, spec, now))
            phase: Literal["Watching", "Failed"] = "Watching" if quiet else "Failed"
            status, left = _pass(_next(_leave(status, now, over=over), spec, observed, now), run, found=quiet)
            status, told = arrivals.take(status, run, arrived)
            return _tell(told, _settle(status, observed, now, phase, reason, message + left, spec=spec))
        case Findings():
            status = performance.take(status, run, outcome.performance, now)
            status = operation.take(spec, status, run, outcome.operation)
            status, _ = _pass(_next(_leave(status, now, over=True), spec, observed, now), run, found=True)
            status, told = arrivals.take(status, run, outcome.arrivals)
            return _tell(told, _judge(spec, status, observed, target, outcome, run, now))


def _tell(events: tuple[Notify, ...], decision: DriftDecision) -> DriftDecision:
    return replace(decision, actions=(*events, *decision.actions))


def _begin(
    spec: DriftMonitorSpec, status: DriftMonitorStatus, observed: DriftObserved, target: Target, now: datetime
) -> DriftDecision:
    """Begin the next evaluation, or wait until there is something to evaluate."""
    generation = observed.owner.generation
    delay = pace.delay_of(spec, observed.owner.uid)
    sought = sources.seek(spec, status, target.name, target.stable, target.kept, now, delay)
    match sought:
        case Missing(reason, message, pending):
            phase: Literal["Pending", "Failed"] = "Pending" if pending else "Failed"
            return _settle(
                _next(status, spec, observed, now), observed, now, phase, reason, message, spec=spec
            )
        case Later(reason, message, at):
            left = max((at - now).total_seconds(), 0.1)
            status = status.model_copy(update={"next_evaluation": at})
            if status.reason in _SAID and status.observed_generation == generation:
                return DriftDecision(status, (), left)
            return replace(_settle(status, observed, now, "Watching", reason, message), recheck_after=left)
    if sought.window is None and not evaluations.due(spec, status, generation, now):
        left = (status.next_evaluation - now).total_seconds() if status.next_evaluation else 0.0
        return DriftDecision(status, (), max(left, 0.1))
    judged = performance.requests_of(spec, target, sought.window, now)
    run = evaluations.begin(status, observed, target, sought, judged, now)
    if sought.window is not None:
        # The first one, too, stays the next one until it was evaluated.
        status = status.model_copy(update={"captured_until": sought.evaluated})
    decision = _await(status, observed, Waiting(run, 1.0, launch=True), now)
    if not sought.skipped:
        return decision
    more = " or more" if sought.skipped == MOST_COUNTED else ""
    message = f"{sought.skipped} windows{more} are left out: nothing was evaluated for longer than the last ones take"
    told_of = Notify("Warning", reasons.WINDOWS_SKIPPED, message)
    return replace(decision, actions=(told_of, *decision.actions))


def _pass(status: DriftMonitorStatus, run: EvaluationRun, *, found: bool) -> tuple[DriftMonitorStatus, str]:
    """Go on behind the window of a run, where it was evaluated or cannot be, and say that it is left."""
    if run.window is None:
        return status, ""
    failures = 0 if found else status.captured_failures + 1
    if not found and failures < sources.MOST_FAILURES:
        return status.model_copy(update={"captured_failures": failures}), ""
    left = "" if found else f"; the window until {format_time(run.window.until or run.started_at)} is left"
    passed = {"captured_until": run.window.until, "captured_failures": 0, "gathering": None}
    return status.model_copy(update=passed), left


def _gather(
    status: DriftMonitorStatus,
    observed: DriftObserved,
    reason: str,
    message: str,
    spec: DriftMonitorSpec,
    now: datetime,
) -> DriftDecision:
    """Wait for more rows; what the last window said stays said meanwhile."""
    if status.reason in _FOUND and status.observed_generation == observed.owner.generation:
        return DriftDecision(status, (), spec.interval.total_seconds())
    return _settle(status, observed, now, "Watching", reason, message, spec=spec)


def _await(
    status: DriftMonitorStatus, observed: DriftObserved, waiting: Waiting, now: datetime
) -> DriftDecision:
    """Go on waiting; what was found before stays said meanwhile."""
    status = status.model_copy(update={"run": waiting.run})
    if status.phase == "Pending":
        message = f"run {waiting.run.run_id} makes the first evaluation"
        status = _settle(status, observed, now, "Pending", reasons.EVALUATING, message).status
    actions = (LaunchEvaluation(waiting.run),) if waiting.launch else ()
    return DriftDecision(status, actions, waiting.recheck_after)


def _leave(status: DriftMonitorStatus, now: datetime, *, over: bool = False) -> DriftMonitorStatus:
    """Take no answer of the run any more, if there is one; it is stopped unless it is over."""
    if status.run is None:
        return status
    changes: dict[str, Any] = {"run": None}
    if not over:
        changes["abandoned_runs"] = abandoned_runs.abandon(status.abandoned_runs, status.run.run_id, now)
    return status.model_copy(update=changes)


def _judge(
    spec: DriftMonitorSpec,
    status: DriftMonitorStatus,
    observed: DriftObserved,
    target: Target,
    findings: Findings,
    run: EvaluationRun,
    now: datetime,
) -> DriftDecision:
    drifted, evaluation = findings.drifted, _evaluation(findings, run, now)
    weighed = evidence.weigh(
        spec,
        status,
        findings.features,
        findings.window_digest,
        observed.owner.generation,
        now,
        run.revision if run.window else "",
    )
    past = evidence.remember(status.past, evaluation, weighed)
    status = status.model_copy(update={"evaluation": evaluation, "evidence": weighed, "past": past})
    changes = findings.schema_changes
    schema = f"; the schema changed: {schema_changes.describe(changes)}" if changes else ""
    if not findings.features:
        message = f"no column could be compared{schema}"
        return _settle(
            status, observed, now, "Watching", reasons.SCHEMA_CHANGED, message, spec=spec, changes=changes
        )
    number, compared = findings.columns
    counted = f"{number} of {compared} features drifted over {findings.window_rows} rows"
    if weighed is not None:
        counted = f"{evidence.describe(weighed)}; {counted}"
    left = ", ".join(one.name for one in findings.slices if one.message)
    untold = f"{f'; slices not compared: {left}' if left else ''}{schema}"
    calm = number < spec.drifted_features if weighed is None else weighed.value < weighed.limit
    if calm:
        message = f"{counted}{untold}"
        return _settle(
            status, observed, now, "Watching", reasons.NO_DRIFT, message, spec=spec, changes=changes
        )
    named = [each.title for each in drifted] if weighed is None else evidence.names(weighed)
    names = ", ".join(named[:5]) + (", ..." if len(named) > 5 else "")
    message = f"{counted}: {names}{untold}"
    decision = _settle(
        status, observed, now, "Drifted", reasons.DRIFT_DETECTED, message, spec=spec, changes=changes
    )
    if run.revision != (target.stable or ""):
        # Another revision has taken over since: what its predecessor's traffic was like is not its fault.
        return decision
    known = conditions.find(status.conditions, "Drifted")
    begins = known is None or known.status != "True"
    occasion = acting.Occasion("Drift", target, message, now, begins)
    acted, asked = acting.act(spec, decision.status, occasion)
    return replace(decision, status=acted, actions=(*decision.actions, *asked))


def _evaluation(findings: Findings, run: EvaluationRun, now: datetime) -> Evaluation:
    drifted, compared = findings.columns
    return Evaluation(
        time=now,
        revision=run.revision,
        baseline_rows=findings.baseline_rows,
        window_rows=findings.window_rows,
        window_digest=findings.window_digest,
        report_url=run.url or findings.page,
        window_since=run.window.since if run.window else None,
        window_until=run.window.until if run.window else None,
        features_tested=compared,
        features_drifted=drifted,
        features=list(findings.features[:_SHOWN_FEATURES]),
        slices=list(findings.slices),
        schema_changed=len(findings.schema_changes),
        schema_changes=list(findings.schema_changes[:_SHOWN_FEATURES]),
    )


def _next(
    status: DriftMonitorStatus, spec: DriftMonitorSpec, observed: DriftObserved, now: datetime
) -> DriftMonitorStatus:
    """Say when the next evaluation of files is due, or that of a window of what is kept tried again."""
    if spec.schedule is None or sources.captured_window(spec) is not None:
        return status.model_copy(update={"next_evaluation": now + spec.interval})
    at = pace.pace_of(spec).after(now) + pace.delay_of(spec, observed.owner.uid)
    return status.model_copy(update={"next_evaluation": at})


def _settle(
    status: DriftMonitorStatus,
    observed: DriftObserved,
    now: datetime,
    phase: Literal["Pending", "Watching", "Drifted", "Suspended", "Failed"],
    reason: str,
    message: str,
    *,
    spec: DriftMonitorSpec | None = None,
    changes: Sequence[SchemaChange] | None = None,
) -> DriftDecision:
    working = {"Pending": "Unknown", "Failed": "False"}.get(phase, "True")
    wanted = {"Ready": (working, reason, message)}
    if phase in ("Pending", "Failed"):
        wanted["Reconciling" if phase == "Pending" else "Stalled"] = ("True", reason, message)
    known = conditions.find(status.conditions, "Drifted")
    if phase in ("Watching", "Drifted") and reason in (reasons.NO_DRIFT, reasons.DRIFT_DETECTED):
        wanted["Drifted"] = ("True" if phase == "Drifted" else "False", reason, message)
    elif known is not None:
        wanted["Drifted"] = (known.status, known.reason, known.message)
    wanted |= schema_changes.condition(status, changes)
    moved = (status.phase, status.reason) != (phase, reason)
    settled = conditions.report(
        status, wanted, observed.owner.generation, now, phase=phase, reason=reason, message=message
    )
    warning = phase in ("Drifted", "Failed")
    told: tuple[Notify, ...] = ()
    if moved and phase != "Pending":
        told = (Notify("Warning" if warning else "Normal", reason, message),)
    changed = schema_changes.told(status, settled)
    told = changed if changed and reason == reasons.SCHEMA_CHANGED else told + changed
    return DriftDecision(settled, told, spec.interval.total_seconds() if spec else None)
