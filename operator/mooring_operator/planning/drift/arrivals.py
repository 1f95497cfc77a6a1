"""Says how rows of what is kept come: which are late, which come twice, and which have times that cannot be."""

from collections.abc import Iterator

from mooring_operator.api import reasons
from mooring_operator.api.drift_arrivals import Arrivals
from mooring_operator.api.drift_status import DriftMonitorStatus, EvaluationRun
from mooring_operator.planning.actions import Notify

_FAR_AHEAD = 60.0
"""Seconds; clocks differ a little, and a file is written some time after its rows."""


def take(
    status: DriftMonitorStatus, run: EvaluationRun, found: Arrivals | None
) -> tuple[DriftMonitorStatus, tuple[Notify, ...]]:
    """Keep what a run saw of rows that came, and give an Event where some came late.

    `status` says already how far windows were looked at: those that are tried again are not among them.
    """
    if run.window is None or found is None:
        return status, ()
    known = last_look(status, run.revision)
    late = found.came_late + (known.late if known is not None else 0)
    about = {"revision": run.revision, "until": status.captured_until, "late": late}
    arrivals = found.model_copy(update=about)
    events = (Notify("Warning", reasons.ROWS_LATE, _say_late(arrivals)),) if found.came_late else ()
    return status.model_copy(update={"arrivals": arrivals}), events


def last_look(status: DriftMonitorStatus, revision: str) -> Arrivals | None:
    """Give what is known of the rows of a revision; None where nothing is."""
    known = status.arrivals
    return known if known is not None and known.revision == revision else None


def remarks(status: DriftMonitorStatus, revision: str) -> Iterator[tuple[str, str]]:
    """Yield reason and message of what is odd about the rows of the last window, the worst first."""
    found = last_look(status, revision)
    if found is None:
        return
    if found.ahead >= _FAR_AHEAD:
        yield (
            reasons.CLOCK_AHEAD,
            f"rows have times up to {found.ahead:.0f} s after their files were written: the clock of a server is "
            "ahead, set it",
        )
    if found.came_late:
        yield reasons.ROWS_LATE, _say_late(found)
    if found.repeated:
        yield reasons.ROWS_REPEATED, f"{found.repeated} rows were kept twice, and count once"


def _say_late(found: Arrivals) -> str:
    return (
        f"{found.came_late} rows came after their window was evaluated, and are in none ({found.late} of this "
        "revision so far): give spec.window.capture.grace more time, and see whether the store answers and clocks of "
        "servers are behind"
    )
