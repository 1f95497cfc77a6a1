"""Durations as Go writes them, which Argo Rollouts and Flagger take.

Source: Go, time.ParseDuration.
"""

import math
import re
from datetime import timedelta

from mooring_operator.api.types import format_duration

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"([0-9]{1,12}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_LONGEST = timedelta(hours=99_999)


def seconds_of(value: object) -> timedelta | None:
    """Give a duration in whole seconds, rounded up; None for what is none. A bare number is one of seconds."""
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if re.fullmatch("[0-9]{1,9}", text, re.ASCII):
        return _bounded(float(text))
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    # Whole nanoseconds: binary fractions would make a second more of some.
    return _bounded(round(sum(float(number) * _UNITS[unit] for number, unit in parts), 9))


def duration_text(duration: timedelta) -> str:
    """Write a duration as specs have it, within their bounds."""
    return format_duration(min(max(duration, timedelta(seconds=1)), _LONGEST))


def _bounded(seconds: float) -> timedelta:
    return min(timedelta(seconds=math.ceil(min(seconds, 1e9))), _LONGEST)
