"""Says which rows an evaluation compares, where the spec names no files: those that the target keeps of its requests.

Each window of them is evaluated once (`windows`). Windows are of the revision that serves, and of the time that it
serves throughout.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mooring_artifacts.uris import below

from mooring_operator.api import reasons
from mooring_operator.api.drift_monitor import DriftMonitorSpec
from mooring_operator.api.drift_rows import DEFAULT_BASELINE, Captured, Sought
from mooring_operator.api.drift_status import DriftMonitorStatus
from mooring_operator.api.types import format_duration, format_time
from mooring_operator.planning.drift.pace import EPOCH, pace_of
from mooring_operator.planning.drift.windows import choose

MOST_FAILURES = 3
"""How often a window is tried: one whose files are damaged must not hold up those that follow."""


@dataclass(frozen=True)
class KnownTest:
    """What is known of the test that a revision has passed, and of how its predictions are read.

    figures: what was measured; rows: on how many, 0 where that is not known.
    output, classes, task: as those of spec.ci.testData.
    """

    figures: Mapping[str, float] = field(default_factory=dict)
    rows: int = 0
    output: str = ""
    classes: Sequence[str] = ()
    task: str = ""


@dataclass(frozen=True)
class Kept:
    """What the revision that serves keeps of its requests.

    since: when the revision was promoted.
    store: where it keeps them; empty where it does not.
    retention: after which time they are deleted; None for never.
    tested_on: the rows that the revision was tested on, as far as those of a spec tell it.
    tested: what that test measured.
    capturing: status, reason and message of its condition on whether requests are kept; None where it has none.
    """

    since: datetime | None = None
    store: str = ""
    retention: timedelta | None = None
    tested_on: Sought | None = None
    tested: KnownTest = field(default_factory=KnownTest)
    capturing: tuple[str, str, str] | None = None


@dataclass(frozen=True)
class Sources:
    """What a run is to compare; None where the spec itself says it.

    evaluated: up to when windows of what is kept are evaluated until this one is; None where it is files.
    skipped: how many windows were left out before it.
    """

    baseline: Sought | None = None
    window: Sought | None = None
    evaluated: datetime | None = None
    skipped: int = 0


@dataclass(frozen=True)
class Later:
    """There is nothing to evaluate before `at`."""

    reason: str
    message: str
    at: datetime


@dataclass(frozen=True)
class Missing:
    """Why there is nothing to compare; `pending` where that passes without anybody's doing."""

    reason: str
    message: str
    pending: bool = False


def captured_window(spec: DriftMonitorSpec) -> Captured | None:
    """Give how what is kept is watched; None where the spec names files."""
    if spec.window is None:
        return Captured()
    return spec.window.capture


def seek(
    spec: DriftMonitorSpec,
    status: DriftMonitorStatus,
    name: str,
    revision: str | None,
    kept: Kept,
    now: datetime,
    delay: timedelta = timedelta(0),
) -> Sources | Later | Missing:
    """Give what the next evaluation compares, or when there will be anything.

    Args:
        spec, status: of the monitor.
        name: of the ModelDeployment.
        revision: the one that serves; None for none.
        kept: what it keeps.
        now: the time.
        delay: how much later than it could an evaluation of what is kept begins.
    """
    window, names_baseline = (
        captured_window(spec),
        spec.baseline is not None and spec.baseline.uri is not None,
    )
    if window is None and names_baseline:
        return Sources()
    if revision is None:
        message = f"no revision of {name} is promoted yet: there is nothing to watch"
        return Missing(reasons.TARGET_NOT_SERVED, message, pending=True)
    tested = kept.tested_on if spec.baseline is None else None
    if not kept.store and (window is not None or not (names_baseline or tested)):
        return Missing(
            reasons.NOTHING_CAPTURED,
            f"revision {revision} of {name} keeps no requests: set spec.serving.capture there (and see its condition "
            "Capturing), or name files in spec.window.uri and spec.baseline.uri",
        )
    grace = (window or Captured()).grace
    folder = below(kept.store, f"deployment={name}", f"revision={revision}") if kept.store else ""
    earliest = kept.since or EPOCH
    counted = spec.baseline is not None and spec.baseline.profile is not None
    baseline = Sought(uri=folder, counted=True) if counted else tested
    if not counted and not names_baseline and tested is None:
        found = _first(spec, folder, revision, kept, grace, now)
        if not isinstance(found, Sought):
            return found
        baseline, earliest = found, found.until or earliest
    if window is None:
        return Sources(baseline)
    return _next(spec, status, window, Sought(uri=folder), baseline, earliest, kept.retention, now, delay)


def _first(
    spec: DriftMonitorSpec, folder: str, revision: str, kept: Kept, grace: timedelta, now: datetime
) -> Sought | Later | Missing:
    """Give the first rows that a revision has kept, as a baseline."""
    span = (spec.baseline.after_promotion if spec.baseline else None) or DEFAULT_BASELINE
    since = kept.since or EPOCH
    until = since + span
    if now < until + grace:
        message = f"the baseline is what revision {revision} keeps until {format_time(until)}"
        return Later(reasons.GATHERING_BASELINE, message, until + grace)
    if kept.retention is not None and now > since + kept.retention:
        return Missing(
            reasons.BASELINE_EXPIRED,
            f"the first {format_duration(span)} of revision {revision} are older than "
            f"spec.serving.capture.retention ({format_duration(kept.retention)}), and deleted: name files in "
            "spec.baseline.uri, or keep requests longer",
        )
    return Sought(uri=folder, since=since, until=until)


def _next(
    spec: DriftMonitorSpec,
    status: DriftMonitorStatus,
    asked: Captured,
    folder: Sought,
    baseline: Sought | None,
    earliest: datetime,
    kept_for: timedelta | None,
    now: datetime,
    delay: timedelta,
) -> Sources | Later:
    """Give the window after the last one that was evaluated, once it has ended and late rows have come."""
    newest = pace_of(spec).last(now - asked.grace - delay)
    chosen = choose(spec, status, asked, earliest, kept_for, newest)
    if chosen.until > newest:
        message = f"the next window is that from {format_time(chosen.since)} to {format_time(chosen.until)}"
        return Later(reasons.AWAITING_WINDOW, message, chosen.until + asked.grace + delay)
    again = status.next_evaluation if status.captured_failures else None
    if again is not None and now < again:
        return Later(reasons.AWAITING_WINDOW, "", again)
    stretch = {"since": chosen.since, "until": chosen.until, "rows": chosen.rows}
    return Sources(baseline, folder.model_copy(update=stretch), chosen.evaluated, chosen.skipped)
