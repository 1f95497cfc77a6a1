"""Secret keys of capture, from a file or the environment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mooring_inference.capture.settings import CaptureSettingsError

_SHORTEST = 16


def read_key(flag: str, path: Path | None, variable: str, environ: Mapping[str, str]) -> bytes | None:
    """The file's content without white space at its ends, else the environment's; None where neither is given.

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
