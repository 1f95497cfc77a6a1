"""Decides about the run that evaluates a DriftMonitor: when it begins, whether to wait, and what it came to.

The run stands in status before it is launched, and its id follows from the time at which it was due: so it is made
once, and one that brings its process down is not made again before the next interval.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mooring_operator.api import reasons
from mooring_operator.api.drift_arrivals import Arrivals
from mooring_operator.api.drift_findings import FeatureDrift, SchemaChange
from mooring_operator.api.drift_monitor import DriftMonitorSpec
from mooring_operator.api.drift_operation import OperationStatus
from mooring_operator.api.drift_performance import PerformanceStatus, SoughtPerformance
from mooring_operator.api.drift_slices import SliceFound
from mooring_operator.api.drift_status import DriftMonitorStatus, EvaluationRun
from mooring_operator.planning import identity
from mooring_operator.planning.checks import CheckState
from mooring_operator.planning.drift.sources import Kept, Sources
from mooring_operator.planning.drift.targets import Unwatchable
from mooring_operator.planning.objects.owner import Owner
from mooring_operator.planning.runs.run import SURE_AFTER, RunState, pause_in_run
from mooring_operator.planning.status.wording import because

_AGAIN = "; trying again after spec.interval"


@dataclass(frozen=True)
class Target:
    """What is watched: of a ModelDeployment its revisions, of anything else its name alone, empty for two data sets.

    stable, previous, candidate: revisions: the one that serves, the one before it, and the one on its way.
    model_uri: what its spec names.
    """

    name: str
    stable: str | None
    previous: str | None
    kept: Kept = field(default_factory=Kept)
    model_uri: str = ""
    candidate: str | None = None


@dataclass(frozen=True)
class Findings:
    """What an evaluation found, the features that moved most first; `schema_changes` are none of the features.

    slices: parts of the rows of which features are, too.
    page: address of the page for people; empty where there is none.
    performance: what labels have said, where that was asked.
    operation: how requests were answered, likewise.
    arrivals: how rows have come, of what is kept.
    """

    baseline_rows: int
    window_rows: int
    window_digest: str
    features: tuple[FeatureDrift, ...]
    schema_changes: tuple[SchemaChange, ...] = ()
    slices: tuple[SliceFound, ...] = ()
    page: str = ""
    performance: PerformanceStatus | None = None
    operation: OperationStatus | None = None
    arrivals: Arrivals | None = None

    @property
    def drifted(self) -> tuple[FeatureDrift, ...]:
        """The features that count as drifted."""
        return tuple(feature for feature in self.features if feature.drifted)

    @property
    def columns(self) -> tuple[int, int]:
        """How many columns drifted, in all rows or in a slice, and how many were compared."""
        drifted, compared = ({each.name for each in some} for some in (self.drifted, self.features))
        return len(drifted), len(compared)


@dataclass(frozen=True)
class NoFindings:
    """Why an evaluation found nothing out; `quiet` where that is no fault, as with too few rows.

    over: whether the run has ended, for all that is known.
    performance, arrivals: what labels have said, and how rows have come, all the same.
    """

    reason: str
    message: str
    quiet: bool = False
    over: bool = True
    performance: PerformanceStatus | None = None
    arrivals: Arrivals | None = None


@dataclass(frozen=True)
class Waiting:
    """The run goes on, as far as `run` says; it has to be launched where nobody has seen it yet."""

    run: EvaluationRun
    recheck_after: float
    launch: bool = False


@dataclass(frozen=True)
class DriftObserved:
    """All that was looked up for one decision.

    unwatchable: why there is no target.
    run: the run in status as the backend has it.
    result: what it wrote down.
    launch_failed: why it could not be launched.
    name_taken: whether that is because of an object of somebody else's.
    narrow_runs: whether runs take no characters beyond U+FFFF.
    file_addresses: whether file:// addresses are allowed: for development.
    abandoned: the abandoned runs that had not ended; one that could not be asked about is missing.
    notices: what is known of the receivers that are being told, by id; None where there is no Job.
    """

    owner: Owner
    target: Target | None
    run: RunState | None = None
    result: Findings | NoFindings | None = None
    launch_failed: str | None = None
    name_taken: bool = False
    abandoned: Mapping[str, RunState | None] = field(default_factory=dict)
    notices: Mapping[str, CheckState | None] = field(default_factory=dict)
    longest_run: timedelta = timedelta(hours=4)
    run_pages: str = ""
    narrow_runs: bool = False
    file_addresses: bool = False
    unwatchable: Unwatchable | None = None


def due(spec: DriftMonitorSpec, status: DriftMonitorStatus, generation: int, now: datetime) -> bool:
    """Whether an evaluation has to begin: by the interval, or because the spec has changed."""
    if spec.suspend:
        return False
    if status.next_evaluation is None or status.observed_generation != generation:
        return True
    return now >= status.next_evaluation


def begin(
    status: DriftMonitorStatus,
    observed: DriftObserved,
    target: Target,
    sources: Sources,
    judged: SoughtPerformance | None,
    now: datetime,
) -> EvaluationRun:
    """Give the run of an evaluation that is due; `judged` are the requests that labels have come for."""
    owner, window = observed.owner, sources.window
    if window is None or window.until is None:
        run_id = identity.evaluation_id_of(owner.uid, owner.generation, status.next_evaluation or now)
    else:
        run_id = identity.captured_evaluation_id_of(
            owner.uid, owner.generation, target.stable or "", window.until, status.captured_failures
        )
    return EvaluationRun(
        run_id=run_id,
        baseline=sources.baseline,
        window=window,
        performance=judged,
        url=observed.run_pages and observed.run_pages + run_id,
        generation=owner.generation,
        revision=target.stable or "",
        started_at=now,
    )


def outcome_of(
    run: EvaluationRun, spec: DriftMonitorSpec, observed: DriftObserved, now: datetime
) -> Waiting | Findings | NoFindings:
    """Say what a run has come to."""
    if observed.launch_failed is not None:
        message = f"run {run.run_id}: {observed.launch_failed}{_AGAIN}"
        reason = reasons.NAME_TAKEN if observed.name_taken else reasons.EVALUATION_UNAVAILABLE
        return NoFindings(reason, message, over=False)
    seen = observed.run
    if seen is None:
        if run.seen_at is None:
            return Waiting(run, 1.0, launch=True)
        message = f"run {run.run_id} is gone: somebody deleted it{_AGAIN}"
        return NoFindings(reasons.EVALUATION_UNAVAILABLE, message)
    run = run.model_copy(update={"state": seen.phase, "seen_at": run.seen_at or now})
    if seen.phase in ("Pending", "Running"):
        return _under_way(run.model_copy(update={"ended_at": None}), spec, observed, seen, now)
    return _ended(run.model_copy(update={"ended_at": run.ended_at or now}), observed, seen, now)


def _under_way(
    run: EvaluationRun, spec: DriftMonitorSpec, observed: DriftObserved, seen: RunState, now: datetime
) -> Waiting | NoFindings:
    if seen.queued:
        return Waiting(run, 5.0)
    elapsed, allowed = now - (seen.started_at or run.started_at), min(spec.timeout, observed.longest_run)
    if elapsed <= allowed:
        return Waiting(run, pause_in_run(elapsed, allowed))
    which = "spec.timeout allows" if spec.timeout <= allowed else "the administrator lets any run take"
    message = f"run {run.run_id} took longer than {which}{because(seen.message)}{_AGAIN}"
    return NoFindings(reasons.EVALUATION_TIMEOUT, message, over=False)


def _ended(
    run: EvaluationRun, observed: DriftObserved, seen: RunState, now: datetime
) -> Waiting | Findings | NoFindings:
    if seen.timed_out:
        message = f"run {run.run_id} took longer than it may{because(seen.message)}{_AGAIN}"
        return NoFindings(reasons.EVALUATION_TIMEOUT, message)
    result = observed.result
    if result is not None and (seen.phase == "Succeeded" or isinstance(result, NoFindings)):
        return result
    if run.ended_at is not None and now - run.ended_at < SURE_AFTER:
        return Waiting(run, SURE_AFTER.total_seconds())
    why = seen.message or ("it left no report" if seen.phase == "Succeeded" else "")
    message = f"run {run.run_id} ended as {seen.phase}{because(why)}{_AGAIN}"
    return NoFindings(reasons.EVALUATION_FAILED, message)
