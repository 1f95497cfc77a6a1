"""When windows of time hold, by the clocks of their zones.

A window goes from the first moment at which the clock shows its start, or has passed it, to the last moment at which
it shows its end. So an hour that a zone skips is in no window, and one that it has twice is in a window both times.

Source of the zones: the IANA's time zone database, as the system or the package tzdata has it.
"""

import zoneinfo
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache

from mooring_operator.api.freezes import WEEKDAYS, Freeze

_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)
# Windows that come again every week, and leave no time in two weeks, never leave any.
_NEVER = timedelta(days=15)
_PAST = Freeze(start="2000-01-01", end="2000-01-01")


class NoThaw(Exception):
    """Windows have no end that is known: which of them, and why."""

    def __init__(self, index: int, why: str) -> None:
        super().__init__(f"[{index}]{why}")
        self.index = index
        self.why = why


@dataclass(frozen=True)
class Moment:
    """When one of some windows ends or begins: `index` says which."""

    at: datetime
    zone: str
    index: int

    def __str__(self) -> str:
        """Write it by the clocks that the window goes by."""
        return in_zone(self.at, self.zone)


def thaw_of(windows: Sequence[Freeze], now: datetime) -> Moment | None:
    """Give when what holds now, and what follows it without a gap, is over; None where nothing holds.

    Raises:
        NoThaw: never, or a zone is not known.
    """
    at, since, last = now, now, -1
    while ends := [(end, index) for index in range(len(windows)) if (end := _end(windows, index, at))]:
        at, last = max(ends)
        if windows[last].is_dated:
            since = at
        elif at - since > _NEVER:
            raise NoThaw(
                last, ": it and the other windows leave no time between them; end one of them earlier"
            )
    return Moment(at, windows[last].time_zone, last) if last >= 0 else None


def next_start(windows: Sequence[Freeze], now: datetime) -> Moment | None:
    """Give when the next window begins, of those whose zone is known; None where none comes any more."""
    starts = [
        (start, window.time_zone, index)
        for index, window in enumerate(windows)
        if is_zone(window.time_zone)
        for start, end in _occurrences(window, _zone(window.time_zone), now)
        if now < start < end
    ]
    return Moment(*min(starts)) if starts else None


def expect_some_time(windows: Sequence[Freeze], now: datetime) -> None:
    """Check that windows leave some time between them, whether or not one holds now.

    Raises:
        NoThaw: they leave none, or a zone is not known.
    """
    for index in range(len(windows)):
        _known_zone(windows, index)
    # What comes once has an end; what comes again is all the same at any time.
    thaw_of([window if not window.is_dated else _PAST for window in windows], now)


def problem_of(windows: Sequence[Freeze], now: datetime) -> str:
    """Say what is wrong with windows, behind the index in brackets of one; nothing where they leave some time."""
    try:
        expect_some_time(windows, now)
    except NoThaw as error:
        return str(error)
    return ""


def is_zone(name: str) -> bool:
    """Whether there is a time zone of this name: nothing else is looked up."""
    return name in _zones()


def in_zone(moment: datetime, name: str) -> str:
    """Write a moment by the clocks of a zone: ``Mon 2026-11-30 08:00 Europe/Berlin``."""
    return f"{moment.astimezone(_zone(name)):%a %Y-%m-%d %H:%M} {name}"


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


def _zone(name: str) -> zoneinfo.ZoneInfo:
    return zoneinfo.ZoneInfo(name)


def _end(windows: Sequence[Freeze], index: int, at: datetime) -> datetime | None:
    """Give the end of a window that holds at a time; None where it does not.

    Raises:
        NoThaw: its zone is not known.
    """
    found = _occurrences(windows[index], _known_zone(windows, index), at)
    return max((end for start, end in found if start <= at < end), default=None)


def _known_zone(windows: Sequence[Freeze], index: int) -> zoneinfo.ZoneInfo:
    name = windows[index].time_zone
    if not is_zone(name):
        why = f".timeZone {name!r} is no time zone that is known here; write an IANA name, like Europe/Berlin"
        raise NoThaw(index, why)
    return _zone(name)


def _occurrences(
    window: Freeze, zone: zoneinfo.ZoneInfo, near: datetime
) -> Iterator[tuple[datetime, datetime]]:
    """Yield the starts and ends of a window: all that hold at a time, and the next one."""
    if window.is_dated:
        first, last = window.dates
        yield _first(first, zone), _last(last, zone)
        return
    today = near.astimezone(zone).date()
    start, end = time.fromisoformat(window.start[-5:]), time.fromisoformat(window.end[-5:])
    days = window.days or WEEKDAYS
    length = 0 if end > start else 1
    if window.is_weekly:
        days = [WEEKDAYS[WEEKDAYS.index(window.start[:3])]]
        length = (WEEKDAYS.index(window.end[:3]) - WEEKDAYS.index(window.start[:3])) % 7
        length = 7 if length == 0 and end <= start else length
    # A day more on either side: clocks may go back behind midnight, and some zones have left out a whole day.
    for offset in range(-length - 1, 9):
        day = today + offset * _DAY
        if WEEKDAYS[day.weekday()] in days:
            yield _first(_at(day, start), zone), _last(_at(day + length * _DAY, end), zone)


def _at(day: date, clock: time) -> datetime:
    return datetime.combine(day, clock)


def _first(local: datetime, zone: zoneinfo.ZoneInfo) -> datetime:
    """Give the first moment at which clocks show a time or, where they leave it out, a later one."""
    found = local.replace(tzinfo=zone).astimezone(UTC)
    return found if _shows(found, zone, local) else _after_the_gap(local, zone)


def _last(local: datetime, zone: zoneinfo.ZoneInfo) -> datetime:
    """Give the last moment at which clocks show a time or, where they leave it out, the first with a later one."""
    found = local.replace(tzinfo=zone, fold=1).astimezone(UTC)
    return found if _shows(found, zone, local) else _after_the_gap(local, zone)


def _shows(moment: datetime, zone: zoneinfo.ZoneInfo, local: datetime) -> bool:
    return moment.astimezone(zone).replace(tzinfo=None, fold=0) == local


def _after_the_gap(local: datetime, zone: zoneinfo.ZoneInfo) -> datetime:
    """Give the moment at which clocks jump over a time: the offsets before and after it bound that."""
    early = local.replace(tzinfo=zone, fold=1).astimezone(UTC)
    late = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    while late - early > _SECOND:
        middle = early + timedelta(seconds=(late - early) // _SECOND // 2)
        if middle.astimezone(zone).replace(tzinfo=None) < local:
            early = middle
        else:
            late = middle
    return late
