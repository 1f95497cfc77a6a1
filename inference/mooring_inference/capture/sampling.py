"""Secret keys, and the sample of requests that is drawn by one.

A caller chooses the id of a request, and without the key cannot tell which ids are in the sample.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path

from mooring_inference.capture.settings import CaptureSettingsError

_SHORTEST = 16


def read_key(flag: str, path: Path | None, variable: str, environ: Mapping[str, str]) -> bytes | None:
    """Return the file's content without white space at its ends, else the environment's; None where neither is given.

    Args:
        flag: that names the file, for messages.
        path: the file; None for the environment.
        variable: the environment's name for the key.
        environ: the environment.

    Raises:
        CaptureSettingsError: the file cannot be read, or the key is shorter than 16 bytes.
    """
    if path is not None:
        source = f"--{flag}: {path}"
        try:
            key = path.read_bytes().strip()
        except OSError as error:
            raise CaptureSettingsError(f"{source} cannot be read: {error.strerror}") from None
    else:
        source = f"${variable}"
        key = environ.get(variable, "").strip().encode()
        if not key:
            return None
    if len(key) < _SHORTEST:
        raise CaptureSettingsError(f"{source} holds {len(key)} bytes; a key needs {_SHORTEST} or more")
    return key


_SPACE = 1 << 64


class Sample:
    """A share of all ids, the same one in all processes that have the same key.

    Attributes:
        keeps_all: whether every id is in it.
        is_shared: whether others can draw the same: not where the key was made up for this process.
    """

    def __init__(self, share: float, key: bytes | None) -> None:
        """``share`` is 0 to 1; without a key, one is made up."""
        self.keeps_all = share >= 1
        self.is_shared = key is not None
        self._below = round(share * _SPACE)
        # Of any length, and of use for nothing else that the same key may be given for.
        self._key = blake2b(key or os.urandom(32), person=b"mooring sample").digest()

    def has(self, request_id: str) -> bool:
        """Return whether the request of this id is kept."""
        if self.keeps_all:
            return True
        digest = blake2b(request_id.encode("utf-8", "replace"), digest_size=8, key=self._key).digest()
        return int.from_bytes(digest, "little") < self._below
