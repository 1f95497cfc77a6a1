"""Decides what happens next to a DriftMonitor."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from mooring_operator.api import reasons
from mooring_operator.api.drift_monitor import (
    DriftMonitorSpec,
    DriftMonitorStatus,
    Evaluation,
    FeatureDrift,
)
from mooring_operator.planning import conditions
from mooring_operator.planning.actions import Notify

_SHOWN_FEATURES = 20


@dataclass(frozen=True)
class Target:
    """The ModelDeployment that is watched."""

    name: str
    stable: str | None
    previous: str | None


@dataclass(frozen=True)
class Findings:
    """What an evaluation found, the features that moved most first."""

    baseline_rows: int
    window_rows: int
    window_digest: str
    features: tuple[FeatureDrift, ...]

    @property
    def drifted(self) -> tuple[FeatureDrift, ...]:
        """The features that count as drifted."""
        return tuple(feature for feature in self.features if feature.drifted)


@dataclass(frozen=True)
class NoFindings:
    """Why an evaluation found nothing out; `quiet` where that is no fault, as with too few rows."""

    reason: str
    message: str
    quiet: bool = False


@dataclass(frozen=True)
class DriftObserved:
    """All that was looked up for one decision; no result where no evaluation was due."""

    generation: int
    target: Target | None
    result: Findings | NoFindings | None = None


@dataclass(frozen=True)
class RequestRollback:
    """Ask a ModelDeployment to leave a revision."""

    name: str
    revision: str
    note: str


@dataclass(frozen=True)
class DriftDecision:
    """The next status, and what to do. `recheck_after` is in seconds; None waits for a change."""

    status: DriftMonitorStatus
    actions: tuple[RequestRollback | Notify, ...] = ()
    recheck_after: float | None = None


def due(spec: DriftMonitorSpec, status: DriftMonitorStatus, generation: int, now: datetime) -> bool:
    """Whether an evaluation has to be made now: by the interval, or because the spec has changed."""
    if spec.suspend:
        return False
    if status.next_evaluation is None or status.observed_generation != generation:
        return True
    return now >= status.next_evaluation


def plan_drift(
    spec: DriftMonitorSpec, status: DriftMonitorStatus, observed: DriftObserved, now: datetime
) -> DriftDecision:
    """Give the next status and the actions: an Event when drift begins or ends, a rollback once for a revision."""
    if spec.suspend:
        return _settle(
            status,
            observed,
            now,
            "Suspended",
            reasons.SUSPENDED,
            "spec.suspend is true: nothing is evaluated",
        )
    if observed.target is None:
        message = (
            f"spec.target.name: there is no ModelDeployment {spec.target.name!r} in this namespace; make it"
        )
        return _settle(
            _next(status, spec, now), observed, now, "Failed", reasons.TARGET_NOT_FOUND, message, spec=spec
        )
    match observed.result:
        case None:
            left = (status.next_evaluation - now).total_seconds() if status.next_evaluation else 0.0
            return DriftDecision(status, (), max(left, 0.1))
        case NoFindings(reason, message, quiet):
            phase: Literal["Watching", "Failed"] = "Watching" if quiet else "Failed"
            return _settle(_next(status, spec, now), observed, now, phase, reason, message, spec=spec)
        case Findings() as findings:
            return _judge(spec, status, observed, observed.target, findings, now)


def _judge(
    spec: DriftMonitorSpec,
    status: DriftMonitorStatus,
    observed: DriftObserved,
    target: Target,
    findings: Findings,
    now: datetime,
) -> DriftDecision:
    drifted = findings.drifted
    evaluation = Evaluation(
        time=now,
        revision=target.stable or "",
        baseline_rows=findings.baseline_rows,
        window_rows=findings.window_rows,
        window_digest=findings.window_digest,
        features_tested=len(findings.features),
        features_drifted=len(drifted),
        features=list(findings.features[:_SHOWN_FEATURES]),
    )
    status = _next(status, spec, now).model_copy(update={"evaluation": evaluation})
    if len(drifted) < spec.drifted_features:
        message = (
            f"{len(drifted)} of {len(findings.features)} features drifted over {findings.window_rows} rows"
        )
        return _settle(status, observed, now, "Watching", reasons.NO_DRIFT, message, spec=spec)
    names = ", ".join(feature.name for feature in drifted[:5]) + (", ..." if len(drifted) > 5 else "")
    message = f"{len(drifted)} of {len(findings.features)} features drifted over {findings.window_rows} rows: {names}"
    decision = _settle(status, observed, now, "Drifted", reasons.DRIFT_DETECTED, message, spec=spec)
    return _act(spec, decision, target, message)


def _act(spec: DriftMonitorSpec, decision: DriftDecision, target: Target, message: str) -> DriftDecision:
    """Roll back once for a revision: what drifts after that is for people to look at."""
    revision = target.stable
    if "Rollback" not in spec.actions or revision is None or decision.status.acted_on == revision:
        return decision
    acted = decision.status.model_copy(update={"acted_on": revision})
    if target.previous is None:
        why = f"revision {revision} cannot be rolled back: no revision was promoted before it"
        return replace(
            decision,
            status=acted,
            actions=(*decision.actions, Notify("Warning", reasons.ROLLBACK_SKIPPED, why)),
        )
    request = RequestRollback(target.name, revision, f"{reasons.DRIFT_DETECTED}: {message}")
    told = Notify(
        "Warning", reasons.ROLLBACK_REQUESTED, f"asked {target.name} to leave revision {revision}: {message}"
    )
    return replace(decision, status=acted, actions=(*decision.actions, request, told))


def _next(status: DriftMonitorStatus, spec: DriftMonitorSpec, now: datetime) -> DriftMonitorStatus:
    return status.model_copy(update={"next_evaluation": now + spec.interval})


def _settle(
    status: DriftMonitorStatus,
    observed: DriftObserved,
    now: datetime,
    phase: Literal["Watching", "Drifted", "Suspended", "Failed"],
    reason: str,
    message: str,
    *,
    spec: DriftMonitorSpec | None = None,
) -> DriftDecision:
    working = phase != "Failed"
    wanted = {"Ready": ("True" if working else "False", reason, message)}
    if not working:
        wanted["Stalled"] = ("True", reason, message)
    known = next((c for c in status.conditions if c.type == "Drifted"), None)
    if phase in ("Watching", "Drifted") and reason in (reasons.NO_DRIFT, reasons.DRIFT_DETECTED):
        wanted["Drifted"] = ("True" if phase == "Drifted" else "False", reason, message)
    elif known is not None:
        wanted["Drifted"] = (known.status, known.reason, known.message)
    moved = (status.phase, status.reason) != (phase, reason)
    settled = conditions.report(
        status, wanted, observed.generation, now, phase=phase, reason=reason, message=message
    )
    warning = phase in ("Drifted", "Failed")
    told = (Notify("Warning" if warning else "Normal", reason, message),) if moved else ()
    return DriftDecision(settled, told, spec.interval.total_seconds() if spec else None)
