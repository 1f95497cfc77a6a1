"""Says at which times windows end: at whole multiples of `spec.interval` since 1970, or by `spec.schedule`.

An evaluation begins a little later, each monitor's by its own time: hundreds of them have the same interval.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from cronsim import CronSim

from mooring_operator.api.drift_monitor import DriftMonitorSpec
from mooring_operator.api.schedules import in_numbers

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INSTANT = timedelta(microseconds=1)
_JITTER = timedelta(minutes=1)


class Pace(Protocol):
    """Times that follow each other without an end."""

    def last(self, moment: datetime) -> datetime:
        """Give the last one that is not after a moment."""
        ...

    def before(self, moment: datetime) -> datetime:
        """Give the last one before a moment."""
        ...

    def after(self, moment: datetime) -> datetime:
        """Give the first one after a moment."""
        ...


@dataclass(frozen=True)
class Even:
    """Whole multiples of a length of time since 1970."""

    length: timedelta

    def last(self, moment: datetime) -> datetime:
        """Give the last one that is not after a moment."""
        return EPOCH + (moment - EPOCH) // self.length * self.length

    def before(self, moment: datetime) -> datetime:
        """Give the last one before a moment."""
        last = self.last(moment)
        return last if last < moment else last - self.length

    def after(self, moment: datetime) -> datetime:
        """Give the first one after a moment."""
        return self.last(moment) + self.length


@dataclass(frozen=True)
class Scheduled:
    """Times of a schedule in cron's five fields, in numbers, of UTC."""

    fields: str

    def last(self, moment: datetime) -> datetime:
        """Give the last one that is not after a moment."""
        return self.before(moment + _INSTANT)

    def before(self, moment: datetime) -> datetime:
        """Give the last one before a moment."""
        return next(CronSim(self.fields, moment.astimezone(UTC), reverse=True))

    def after(self, moment: datetime) -> datetime:
        """Give the first one after a moment."""
        return next(CronSim(self.fields, moment.astimezone(UTC)))


def pace_of(spec: DriftMonitorSpec) -> Pace:
    """Give the times at which the windows of a monitor end."""
    return Even(spec.interval) if spec.schedule is None else Scheduled(in_numbers(spec.schedule))


def delay_of(spec: DriftMonitorSpec, uid: str) -> timedelta:
    """Give how much later the monitor of this uid begins its evaluations: always as much, less than `spec.jitter`."""
    most = spec.jitter
    if most is None:
        most = _JITTER if spec.schedule is not None else min(_JITTER, spec.interval / 10)
    part = int.from_bytes(hashlib.sha256(uid.encode()).digest()[:4]) / 2**32
    # Times in status are of whole seconds.
    return timedelta(seconds=int(part * most.total_seconds()))


def first_from(pace: Pace, moment: datetime) -> datetime:
    """Give the first one that is not before a moment."""
    last = pace.last(moment)
    return last if last == moment else pace.after(moment)


def steps_back(pace: Pace, moment: datetime, steps: int) -> datetime:
    """Give the one that is so many before one of them."""
    for _ in range(steps):
        moment = pace.before(moment)
    return moment


def count_between(pace: Pace, first: datetime, end: datetime, most: int) -> int:
    """Count those from one of them on that are before another; `most` stands for more, too."""
    count = 0
    while first < end and count < most:
        first, count = pace.after(first), count + 1
    return count
