"""Plays a DriftMonitor over windows of the past: the operator's own planner decides about each."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from mooring_operator.api.drift_monitor import DriftMonitorSpec
from mooring_operator.api.drift_rows import Baseline, Window
from mooring_operator.api.drift_status import DriftMonitorStatus
from mooring_operator.cli.styles import phase_style
from mooring_operator.cli.tables import plain_table
from mooring_operator.planning.drift import evidence
from mooring_operator.planning.drift.acting import RequestRollback
from mooring_operator.planning.drift.evaluations import DriftObserved, Findings, NoFindings, Target
from mooring_operator.planning.drift.plan import plan_drift
from mooring_operator.planning.objects.owner import Owner
from mooring_operator.planning.runs.run import RunState

_BASELINE, _WINDOW = Baseline(uri="file:///baseline"), Window(uri="file:///window")
_BEGIN = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_NAMED = 3


@dataclass(frozen=True)
class Judged:
    """A window, and what a monitor would have said after it.

    Attributes:
        window: what it is called.
        rows: how many it has.
        found: what its comparison with the baseline found.
        status: what the monitor's status would have been.
        begins: whether drift began with it.
        asks: why a rollback would have been asked for; None where none would have been.
    """

    window: str
    rows: int
    found: Findings | NoFindings
    status: DriftMonitorStatus
    begins: bool
    asks: str | None

    @property
    def drifted(self) -> bool:
        """Whether traffic counted as drifted after it."""
        return self.status.phase == "Drifted"

    @property
    def has_findings(self) -> bool:
        """Whether anything could be compared."""
        return isinstance(self.found, Findings) and bool(self.found.features)

    def to_plain(self) -> dict[str, Any]:
        """The same for programs."""
        found, weighed = self.found, self.status.evidence
        features = found.drifted if isinstance(found, Findings) else ()
        return {
            "window": self.window,
            "rows": self.rows,
            "phase": self.status.phase,
            "reason": self.status.reason,
            "message": self.status.message,
            "driftedFeatures": [feature.title for feature in features],
            "evidence": None if weighed is None else {"value": weighed.value, "limit": weighed.limit},
            "begins": self.begins,
            "rollback": self.asks,
        }


def replay(
    spec: DriftMonitorSpec, windows: Iterable[tuple[str, int, Findings | NoFindings]]
) -> Iterator[Judged]:
    """Judge each window after those before it.

    Args:
        spec: the monitor's.
        windows: name, rows, and what was found for each, in the order in which they came. One comes after
            `spec.interval` after another.
    """
    owner, target = Owner("", "replay", "replay", 1), Target(spec.deployment or "", "current", "previous")
    status, now = DriftMonitorStatus(), _BEGIN
    # Which rows are compared is settled, whatever the monitor watches, and nothing is trained.
    changes = {"suspend": False, "baseline": _BASELINE, "window": _WINDOW, "schedule": None, "retrain": None}
    spec = spec.model_copy(update=changes)
    for name, rows, found in windows:
        before = status.phase
        launched = plan_drift(spec, status, _observe(owner, target), now)
        run = launched.status.run
        assert run is not None, launched.status.message
        ended = _observe(owner, target, RunState(run.run_id, "Succeeded"), found)
        decision = plan_drift(spec, launched.status, ended, now)
        status = decision.status
        asks = next((one.note for one in decision.actions if isinstance(one, RequestRollback)), None)
        begins = status.phase == "Drifted" and before != "Drifted"
        yield Judged(name, rows, found, status, begins, asks)
        now += spec.interval


def _observe(
    owner: Owner, target: Target, run: RunState | None = None, found: Findings | NoFindings | None = None
) -> DriftObserved:
    return DriftObserved(owner, target, run, found, file_addresses=True)


class ReplayView:
    """A table with a line for each window, and a sentence."""

    def __init__(self, judged: list[Judged]) -> None:
        self._judged = judged

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Write the table, what would have been done, and the sentence."""
        yield plain_table(
            ["WINDOW", "ROWS", "DRIFTED", "EVIDENCE", "PHASE", "FEATURES"],
            [_line(one) for one in self._judged],
            indent=0,
        )
        yield Text()
        for one in self._judged:
            if one.asks is not None:
                yield Text(f"after {one.window} a rollback is asked for: {one.asks}")
        yield Text(summary(self._judged), style="bold")


def summary(judged: list[Judged]) -> str:
    """Say in one sentence when the monitor would have alarmed."""
    count = f"{len(judged)} windows" if len(judged) != 1 else "1 window"
    begun = [one.window for one in judged if one.begins]
    if not begun:
        unknown = sum(isinstance(one.found, NoFindings) for one in judged)
        return f"no alarm in {count}" + (f", of which {unknown} said nothing" if unknown else "")
    drifted = sum(one.drifted for one in judged)
    times = "1 alarm" if len(begun) == 1 else f"{len(begun)} alarms"
    shown = ", ".join(begun[:_MOST_NAMED]) + (", ..." if len(begun) > _MOST_NAMED else "")
    return f"{times} in {count}, after {shown}; {drifted} of {count} count as drifted"


def _line(one: Judged) -> list[str | Text]:
    found, weighed = one.found, one.status.evidence
    phase = Text(one.status.phase, style=phase_style(one.status.phase))
    if isinstance(found, NoFindings):
        return [one.window, str(one.rows), "-", "-", phase, found.message]
    if not found.features:
        return [one.window, str(one.rows), "-", "-", phase, one.status.message]
    named = [feature.title for feature in found.drifted]
    if weighed is not None and one.drifted:
        named = evidence.names(weighed) or named
    more = f" and {len(named) - _MOST_NAMED} more" if len(named) > _MOST_NAMED else ""
    return [
        one.window,
        str(one.rows),
        "{} of {}".format(*found.columns),
        "-" if weighed is None else evidence.amount(weighed),
        phase,
        ", ".join(named[:_MOST_NAMED]) + more,
    ]
