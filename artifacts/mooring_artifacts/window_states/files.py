"""Where profiles and states are: beside a model, and beside the rows that a server keeps of its requests.

::

    MODEL/profile.bin                                            of the rows that the model was trained on
    deployment=D/revision=R/HEX.profile                          the same, by its digest, as far as it is counted
    deployment=D/revision=R/date=.../hour=HH/MINUTE-ID-N.state   rows of one minute, of one counter
    deployment=D/revision=R/date=.../hour=HH/HOUR-ID-N.state     the sum of what it has counted of the hour

A counter numbers its files of minutes from 0 on. The sum of an hour holds those of its minutes with a smaller number
than its own: what came later stands beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mooring_artifacts.errors import InputError
from mooring_artifacts.window_states.binary import LARGEST
from mooring_artifacts.window_states.profile import Profile, parse_profile

FILE = "profile.bin"
STATE_SUFFIX = ".state"
PROFILE_SUFFIX = ".profile"

_MINUTE, _HOUR = "%Y%m%dT%H%MZ", "%Y%m%dT%HZ"
_NAME = re.compile(r"(\d{8}T(?:[01]\d|2[0-3]))([0-5]\d)?Z-([A-Za-z0-9-]{1,100})-(\d{1,9})\.state")


def read_profile(model: Path) -> Profile | None:
    """The profile in a model's folder, or in the folder around its file; None where there is none.

    Raises:
        InputError: the file is something else.
    """
    path = (model if model.is_dir() else model.parent) / FILE
    if not path.is_file():
        return None
    try:
        if path.stat().st_size > LARGEST:
            raise InputError(f"{path}: more than {LARGEST} bytes are too many for a profile")
        return parse_profile(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def minute_name(minute: datetime, counter: str, number: int) -> str:
    """The name of the file of a minute, in UTC; `counter` is letters, digits and dashes."""
    return f"{minute:{_MINUTE}}-{counter}-{number}{STATE_SUFFIX}"


def hour_name(hour: datetime, counter: str, number: int) -> str:
    """The name of the sum of an hour, in UTC, up to the counter's file with this number, which is not in it."""
    return f"{hour:{_HOUR}}-{counter}-{number}{STATE_SUFFIX}"


def choose_states(names: Iterable[str], since: datetime, until: datetime) -> list[str]:
    """The names, among those of states, that hold each minute from `since` and before `until` once: the fewest.

    Args:
        names: of files; others are left out.
        since, until: whole minutes, with a zone.
    """
    first, end = (f"{moment.astimezone(UTC):{_MINUTE}}" for moment in (since, until))
    whole = _whole_hours(since, until)
    minutes: list[tuple[tuple[str, str], int, str]] = []
    sums: dict[tuple[str, str], tuple[int, str]] = {}
    for name in names:
        match = _NAME.fullmatch(name)
        if match is None:
            continue
        hour, minute, counter, number = match.groups()
        if minute is None:
            if hour in whole:
                sums[hour, counter] = max(sums.get((hour, counter), (-1, "")), (int(number), name))
        elif hour in whole or first <= f"{hour}{minute}Z" < end:
            minutes.append(((hour, counter), int(number), name))
    nothing = (0, "")
    alone = [name for part, number, name in minutes if number >= sums.get(part, nothing)[0]]
    return [*(name for _, name in sums.values()), *alone]


def _whole_hours(since: datetime, until: datetime) -> set[str]:
    """Hours that lie within a time, as names begin with them."""
    hour = since.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    if hour < since:
        hour += timedelta(hours=1)
    found = set()
    while hour + timedelta(hours=1) <= until:
        found.add(f"{hour:{_HOUR}}".removesuffix("Z"))
        hour += timedelta(hours=1)
    return found


def minute_of(name: str) -> datetime | None:
    """The minute, in UTC, whose rows the file of this name counts; None for sums of hours, and for other files."""
    match = _NAME.fullmatch(name)
    if match is None or match[2] is None:
        return None
    try:
        return datetime.strptime(f"{match[1]}{match[2]}Z", _MINUTE).replace(tzinfo=UTC)
    except ValueError:  # digits that are no date
        return None


def profile_name(digest: str) -> str:
    """The name of the file of a profile beside states."""
    return f"{digest.removeprefix('sha256:')}{PROFILE_SUFFIX}"


def profile_of(state: bytes | bytearray) -> str:
    """The digest of the profile that a state says it is of; `parse_state` looks at the rest.

    Raises:
        InputError: it is too short to say one.
    """
    digest = state[22:54]
    if len(digest) < 32:
        raise InputError(f"a window state of {len(state)} bytes is cut off")
    return f"sha256:{digest.hex()}"
