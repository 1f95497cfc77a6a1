"""Where profiles and states are: beside a model, and beside the rows that a server keeps of its requests.

::

    MODEL/profile.bin                                            of the rows that the model was trained on
    deployment=D/revision=R/HEX.profile                          the same, by its digest, as far as it is counted
    deployment=D/revision=R/date=.../hour=HH/MINUTE-ID.state     rows of one minute, of one process
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

from mooring_artifacts.errors import InputError
from mooring_artifacts.window_states.binary import LARGEST
from mooring_artifacts.window_states.profile import Profile, parse_profile

FILE = "profile.bin"
STATE_SUFFIX = ".state"
PROFILE_SUFFIX = ".profile"

_FORM = "%Y%m%dT%H%MZ"
_NAME = re.compile(r"(\d{8}T\d{4}Z)-[A-Za-z0-9-]+\.state")


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


def state_name(minute: datetime, unique: str) -> str:
    """The name of the file of a minute, in UTC; `unique` is letters, digits and dashes."""
    return f"{minute:{_FORM}}-{unique}{STATE_SUFFIX}"


def minute_of(name: str) -> datetime | None:
    """The minute of a file, in UTC; None for one of another name."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    try:
        return datetime.strptime(match[1], _FORM).replace(tzinfo=UTC)
    except ValueError:
        return None


def profile_name(digest: str) -> str:
    """The name of the file of a profile beside states."""
    return f"{digest.removeprefix('sha256:')}{PROFILE_SUFFIX}"


def profile_of(state: bytes) -> str:
    """The digest of the profile that a state says it is of; `parse_state` looks at the rest.

    Raises:
        InputError: it is too short to say one.
    """
    digest = state[22:54]
    if len(digest) < 32:
        raise InputError(f"a window state of {len(state)} bytes is cut off")
    return f"sha256:{digest.hex()}"
