"""Decides about training anew: once for each time that what spec.retrain.on names begins, and not more often than
spec.retrain allows.

Like what receivers are told it follows conditions. What goes on stands in status before
it is launched, by ids that follow from the alarm: each run is made once, also after a crash. What comes out is a
version in a registry, or an address; the ModelDeployment's own test decides about it as about any other model.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from mooring_artifacts.uris import below

from mooring_operator.api import reasons
from mooring_operator.api.drift_monitor import DriftMonitorSpec
from mooring_operator.api.drift_status import DriftMonitorStatus
from mooring_operator.api.retraining import Retrain, Retraining
from mooring_operator.api.runs import AbandonedRun
from mooring_operator.api.types import format_time
from mooring_operator.planning import identity
from mooring_operator.planning.actions import Notify
from mooring_operator.planning.drift import causes, training_rows
from mooring_operator.planning.drift.evaluations import Target
from mooring_operator.planning.runs import abandoned_runs
from mooring_operator.planning.runs.run import SURE_AFTER, RunState, pause_in_run
from mooring_operator.planning.status.wording import because, one_line

LOOK_AGAIN = 15.0
"""Seconds until something that cannot be asked, or launched, is tried again."""
_LAUNCHED_WITHIN = timedelta(minutes=10)
_DAY = timedelta(days=1)
_LONGEST = 1024


@dataclass(frozen=True)
class Trained:
    """What was found of a model: the digest of its files, its version as NAME/VERSION, and what is said of that.

    converted: whether it is what the training left as ONNX, at `converted_uri`.
    """

    digest: str
    registered: str = ""
    registration: str = ""
    problem: bool = False
    converted: bool = False


def converted_uri(training: Retraining) -> str:
    """Give where the model of a training goes as ONNX: beside it."""
    return f"{training.model_uri}-onnx"


@dataclass(frozen=True)
class TrainingSeen:
    """What was looked up of a training.

    runs: by id; None where there is no such run, and one that could not be asked about is missing.
    result: what the run that looks at the model wrote down; text where that is why there is nothing.
    launch_failed: why a run cannot be launched at all.
    """

    runs: Mapping[str, RunState | None] = field(default_factory=dict)
    result: Trained | str | None = None
    launch_failed: str | None = None


@dataclass(frozen=True)
class LaunchTraining:
    """Have the run of a training's stage made; launching a run twice makes one run."""

    training: Retraining


@dataclass(frozen=True)
class Followed:
    """What status says of the training, what to do, and in how many seconds to look again; None for no need."""

    training: Retraining | None
    abandoned: list[AbandonedRun]
    actions: tuple[LaunchTraining | Notify, ...] = ()
    recheck_after: float | None = None


@dataclass(frozen=True)
class Monitor:
    """What the training is of: the monitor's uid and generation, its target, how long any run may take, and where the
    pages of runs are.
    """

    uid: str
    generation: int
    target: Target | None
    longest: timedelta
    pages: str = ""

    def page(self, run_id: str) -> str:
        """Give the page of a run; empty where runs have none."""
        return self.pages and self.pages + run_id


def follow(
    spec: DriftMonitorSpec, status: DriftMonitorStatus, monitor: Monitor, seen: TrainingSeen, now: datetime
) -> Followed:
    """Give what becomes of the training; `status` is the one that is going to be written."""
    known, abandoned = status.retraining, status.abandoned_runs
    asked = spec.retrain
    if asked is None:
        return Followed(None, _abandon(known, abandoned, now) if known and known.current else abandoned)
    actions: tuple[LaunchTraining | Notify, ...] = ()
    if known is not None and known.current:
        step = _proceed(asked, known, monitor, seen, now)
        if step.training.current:
            return Followed(step.training, abandoned, step.actions, step.recheck_after)
        if step.abandon:
            abandoned = _abandon(known, abandoned, now)
        known, actions = step.training, step.actions
    begun = _begin(asked, spec, status, known, monitor, now)
    return Followed(begun.training, abandoned, (*actions, *begun.actions), begun.recheck_after)


@dataclass(frozen=True)
class _Step:
    training: Retraining
    actions: tuple[LaunchTraining | Notify, ...] = ()
    recheck_after: float | None = None
    abandon: bool = False


@dataclass(frozen=True)
class _Begun:
    training: Retraining | None
    actions: tuple[LaunchTraining | Notify, ...] = ()
    recheck_after: float | None = None


def _abandon(known: Retraining, runs: list[AbandonedRun], now: datetime) -> list[AbandonedRun]:
    return abandoned_runs.abandon(runs, known.current, now)


def _begin(
    asked: Retrain,
    spec: DriftMonitorSpec,
    status: DriftMonitorStatus,
    known: Retraining | None,
    monitor: Monitor,
    now: datetime,
) -> _Begun:
    """Begin a training for drift that none was for, or say until when that waits."""
    target, alarm = monitor.target, _alarm(spec, status)
    if known is not None and known.held_until is not None:
        known = known.model_copy(update={"held_until": None})
    if (
        alarm is None
        or target is None
        or status.evaluation is None
        or _is_answered(asked, spec, known, alarm)
    ):
        return _Begun(known)
    if status.evaluation.revision != (target.stable or ""):
        # Another revision has taken over since: what its traffic is like, the next window says.
        return _Begun(known)
    starts = [] if known is None else [start for start in known.starts if start > now - _DAY]
    held = _held_until(asked, starts)
    if known is not None and held is not None and now < held:
        waits = known.model_copy(update={"held_until": held, "starts": starts})
        return _Begun(waits, (), (held - now).total_seconds())
    baseline, window = training_rows.rows_of(asked, spec, status.evaluation, target.name, target.kept)
    labels = training_rows.labels_of(spec, window, target.name, target.kept)
    run_id = identity.training_id_of(monitor.uid, monitor.generation, alarm)
    training = Retraining(
        alarm=alarm,
        asked=identity.fingerprint_of(asked),
        stage="Training",
        run_id=run_id,
        url=monitor.page(run_id),
        baseline=baseline,
        window=window,
        labels=labels,
        model_uri=below(asked.output, run_id),
        started_at=now,
        stage_at=now,
        starts=[*starts, now],
    )
    if baseline is None and window is None:
        why = "there are no rows to train on: name files in spec.baseline.uri or spec.window.uri, or keep requests"
        failed = _failed(training.model_copy(update={"starts": starts, "model_uri": ""}), why)
        return _Begun(failed.training, failed.actions)
    if spec.dry_run:
        would = f"{asked.title} would train for {target.name}"
        changes = {"stage": "Rehearsed", "starts": starts, "message": "spec.dryRun is true", "model_uri": ""}
        return _Begun(training.model_copy(update=changes), (Notify("Normal", reasons.DRY_RUN, would),))
    told = Notify(
        "Normal", reasons.RETRAINING_STARTED, f"run {run_id}: {asked.title} trains for {target.name}"
    )
    return _Begun(training, (LaunchTraining(training), told), 1.0)


def _alarm(spec: DriftMonitorSpec, status: DriftMonitorStatus) -> datetime | None:
    """Give when the last of what it begins on began that goes on; None for none, or where nobody looks."""
    if spec.suspend or spec.retrain is None:
        return None
    return causes.began(status, spec.retrain.causes)


def _is_answered(asked: Retrain, spec: DriftMonitorSpec, known: Retraining | None, alarm: datetime) -> bool:
    if known is None or alarm > known.alarm:
        return False
    if alarm < known.alarm:
        # What began first goes on, and what a training was for is over.
        return True
    if known.stage == "Rehearsed":
        return spec.dry_run
    return known.stage != "Failed" or known.asked == identity.fingerprint_of(asked)


def _held_until(asked: Retrain, starts: list[datetime]) -> datetime | None:
    if not starts:
        return None
    cooled = starts[-1] + asked.cooldown
    return max(cooled, starts[-asked.per_day] + _DAY) if len(starts) >= asked.per_day else cooled


def _proceed(asked: Retrain, known: Retraining, monitor: Monitor, seen: TrainingSeen, now: datetime) -> _Step:
    """Say what has become of a training that goes on."""
    run_id = known.current
    if seen.launch_failed is not None:
        return _failed(known, f"run {run_id}: {seen.launch_failed}", abandon=True)
    if run_id not in seen.runs:
        return _Step(known, recheck_after=LOOK_AGAIN)
    state = seen.runs[run_id]
    if state is None:
        return _unseen(known, now)
    known = known.model_copy(update={"state": state.phase, "seen_at": known.seen_at or now})
    if state.phase in ("Pending", "Running"):
        return _under_way(asked, known.model_copy(update={"ended_at": None}), monitor, state, now)
    return _ended(
        asked, known.model_copy(update={"ended_at": known.ended_at or now}), monitor, seen, state, now
    )


def _unseen(known: Retraining, now: datetime) -> _Step:
    if known.seen_at is not None:
        return _failed(known, f"run {known.current} is gone: somebody deleted it")
    if now - known.stage_at > _LAUNCHED_WITHIN:
        return _failed(known, f"run {known.current} could not be launched for 10 minutes", abandon=True)
    return _Step(known, (LaunchTraining(known),), 1.0 if now - known.stage_at < SURE_AFTER else LOOK_AGAIN)


def _under_way(asked: Retrain, known: Retraining, monitor: Monitor, state: RunState, now: datetime) -> _Step:
    if state.queued:
        return _Step(known, recheck_after=5.0)
    elapsed = now - (state.started_at or known.stage_at)
    allowed = min(asked.timeout, monitor.longest)
    if elapsed <= allowed:
        return _Step(known, recheck_after=pause_in_run(elapsed, allowed))
    which = (
        "spec.retrain.timeout allows" if asked.timeout <= allowed else "the administrator lets any run take"
    )
    return _failed(
        known, f"run {known.current} took longer than {which}{because(state.message)}", abandon=True
    )


def _ended(
    asked: Retrain, known: Retraining, monitor: Monitor, seen: TrainingSeen, state: RunState, now: datetime
) -> _Step:
    done = state.phase == "Succeeded"
    if done and known.stage == "Training":
        return _register(known, monitor, now)
    if done and isinstance(seen.result, Trained):
        return _done(asked, known, monitor.target, seen.result)
    if known.stage == "Registering" and isinstance(seen.result, str):
        return _failed(known, f"run {known.current}: {seen.result}")
    if not state.timed_out and known.ended_at is not None and now - known.ended_at < SURE_AFTER:
        # A state may be taken back.
        return _Step(known, recheck_after=SURE_AFTER.total_seconds())
    why = state.message or ("it left no verdict" if done else "")
    return _failed(known, f"run {known.current} ended as {state.phase}{because(why)}")


def _register(known: Retraining, monitor: Monitor, now: datetime) -> _Step:
    """Have what a training made looked at, and registered."""
    run_id = identity.registration_id_of(known.run_id)
    changes: dict[str, Any] = {
        "stage": "Registering",
        "registration_id": run_id,
        "url": monitor.page(run_id),
        "state": "Pending",
        "stage_at": now,
        "seen_at": None,
        "ended_at": None,
    }
    registering = known.model_copy(update=changes)
    return _Step(registering, (LaunchTraining(registering),), 1.0)


def _done(asked: Retrain, known: Retraining, target: Target | None, found: Trained) -> _Step:
    name = target.name if target is not None else "the target"
    if found.converted:
        known = known.model_copy(update={"model_uri": converted_uri(known)})
    message = one_line(_what_to_do(asked, known, name, target.model_uri if target else "", found), _LONGEST)
    changes = {"stage": "Done", "digest": found.digest, "registered": found.registered, "message": message}
    told = Notify("Normal", reasons.RETRAINED, message)
    return _Step(known.model_copy(update=changes), (told,))


def _what_to_do(asked: Retrain, known: Retraining, name: str, follows: str, found: Trained) -> str:
    """Say how the new model comes to be tested; nobody but its author changes a spec."""
    form = ", format: onnx" if found.converted else ""
    by_address = f"spec.model: {{uri: {known.model_uri}, digest: {found.digest}{form}}}"
    if not found.registered:
        why = f"{found.registration}; " if found.registration else ""
        return (
            f"{why}to have the new model tested and rolled out, write in ModelDeployment {name}: {by_address}"
        )
    registered, _, version = found.registered.rpartition("/")
    alias = f"models:/{registered}@{asked.alias}"
    if found.problem:
        return f"{found.registration}; ModelDeployment {name} may name models:/{registered}/{version} in spec.model.uri"
    if follows == alias:
        return f"{found.registration}; ModelDeployment {name} follows {alias}: it is tested next"
    return (
        f"{found.registration}; to have it tested, write in ModelDeployment {name}: spec.model.uri: {alias}"
    )


def _failed(known: Retraining, why: str, *, abandon: bool = False) -> _Step:
    message = one_line(why, _LONGEST)
    told = Notify("Warning", reasons.RETRAINING_FAILED, message)
    return _Step(known.model_copy(update={"stage": "Failed", "message": message}), (told,), abandon=abandon)


def describe_wait(training: Retraining) -> str:
    """Say until when drift that lasts starts no other training; empty where none waits."""
    return "" if training.held_until is None else f"the next not before {format_time(training.held_until)}"
