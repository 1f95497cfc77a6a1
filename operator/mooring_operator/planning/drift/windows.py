"""Says which stretch of what is kept is evaluated next.

A window ends where the monitor's pace says. It begins where the one before it ended; or, where windows overlap, a
length of time before its end; or, where it needs a number of rows, where the last one that had them ended. Each is
evaluated once: status says how far that has come.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from mooring_operator.api.drift_monitor import DriftMonitorSpec
from mooring_operator.api.drift_rows import LONGEST_WINDOW, Captured
from mooring_operator.api.drift_status import DriftMonitorStatus
from mooring_operator.planning.drift.pace import Pace, count_between, first_from, pace_of, steps_back

MOST_BEHIND = 24
"""How many windows are made up for after a pause; older ones are left."""
MOST_COUNTED = 1000
"""How many windows that are left are told by number."""


@dataclass(frozen=True)
class Chosen:
    """A window, which may not have ended yet.

    since, until: its first and its last moment.
    evaluated: up to when everything is evaluated until this one is.
    rows: below which it goes on; None where it is evaluated whatever it has.
    skipped: how many before it were left.
    """

    since: datetime
    until: datetime
    evaluated: datetime
    rows: int | None = None
    skipped: int = 0


def choose(
    spec: DriftMonitorSpec,
    status: DriftMonitorStatus,
    asked: Captured,
    earliest: datetime,
    kept_for: timedelta | None,
    newest: datetime,
) -> Chosen:
    """Give the window after the last one that was evaluated.

    Args:
        spec, status: of the monitor.
        asked: how windows are cut.
        earliest: no row before it is in a window.
        kept_for: how long rows are kept; None for ever.
        newest: when the last window ended for which all rows have come.
    """
    pace = pace_of(spec)
    evaluated = pace.before(newest) if status.captured_until is None else status.captured_until
    if asked.rows is not None:
        return _gather(pace, status, asked.rows, max(evaluated, earliest), kept_for, newest)
    if asked.length is None:
        begin = first_from(pace, max(evaluated, earliest))
        until = pace.after(begin)
    else:
        next_one = pace.after(first_from(pace, evaluated))
        until = max(next_one, first_from(pace, earliest + asked.length))
    until, skipped = _catch_up(pace, until, newest)
    evaluated = pace.before(until)
    since = evaluated if asked.length is None else until - asked.length
    return Chosen(max(since, until - LONGEST_WINDOW), until, evaluated, skipped=skipped)


def _gather(
    pace: Pace,
    status: DriftMonitorStatus,
    rows: int,
    earliest: datetime,
    kept_for: timedelta | None,
    newest: datetime,
) -> Chosen:
    """Give the window that has not had its rows yet, a stretch longer than at the last look."""
    since = first_from(pace, earliest)
    looked = since if status.gathering is None else max(since, status.gathering.until)
    next_one = pace.after(first_from(pace, looked))
    until, skipped = _catch_up(pace, next_one, newest)
    if skipped:
        since = pace.before(until)
    longest = LONGEST_WINDOW if kept_for is None else min(LONGEST_WINDOW, kept_for)
    # What it has by then is all that it will ever have.
    is_last = pace.after(until) - since > longest
    return Chosen(max(since, until - LONGEST_WINDOW), until, since, None if is_last else rows, skipped)


def _catch_up(pace: Pace, until: datetime, newest: datetime) -> tuple[datetime, int]:
    """Give the end of the next window, and how many are left so that no more than the last ones are made up for."""
    oldest = steps_back(pace, newest, MOST_BEHIND - 1)
    if until >= oldest:
        return until, 0
    return oldest, count_between(pace, until, oldest, MOST_COUNTED)
