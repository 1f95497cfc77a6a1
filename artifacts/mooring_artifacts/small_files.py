"""Files of a model's folder that are small, or are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mooring_artifacts.errors import InputError


def read_small(path: Path, limit: int) -> bytes:
    """A file's content.

    Raises:
        InputError: it cannot be read, or holds more than ``limit`` bytes; the message names the file.
    """
    try:
        with path.open("rb") as file:
            # One more than allowed: what is no regular file does not tell its size.
            content = file.read(limit + 1)
    except OSError as error:
        raise InputError(f"{path.name} cannot be read: {error.strerror}") from None
    if len(content) > limit:
        raise InputError(f"{path.name}: expected at most {limit} bytes, got more")
    return content


def read_json(path: Path, limit: int = 1 << 20) -> Any:
    """What a JSON file of at most ``limit`` bytes holds.

    Raises:
        InputError: it cannot be read, is larger or no JSON; the message names the file.
    """
    content = read_small(path, limit)
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path.name} is not JSON: {str(error)[:200]}") from None
