"""Keys of a Secret that is mounted as a folder, one file each."""

from collections.abc import Sequence
from pathlib import Path

from mooring_components.measuring.asking import NoNumberError

_LARGEST = 4096


def read_keys(folder: Path, names: Sequence[str], secret: str) -> dict[str, str]:
    """Read keys that have to be there; their values are told to nobody.

    Raises:
        NoNumberError: one is missing, or is no single line of printable ASCII.
    """
    return {name: _read(folder, name, secret) for name in names}


def read_key(folder: Path, name: str, secret: str) -> str:
    """Read a key that may be missing; empty then."""
    return _read(folder, name, secret) if (folder / name).exists() else ""


def _read(folder: Path, name: str, secret: str) -> str:
    try:
        with (folder / name).open("rb") as stream:
            raw = stream.read(_LARGEST + 1).strip()
    except OSError:
        raise NoNumberError(
            f"credentialsSecret: Secret {secret} of the namespace has no key {name}, or is not there"
        ) from None
    if not raw or len(raw) > _LARGEST or not all(33 <= byte < 127 for byte in raw):
        raise NoNumberError(
            f"credentialsSecret: key {name} of Secret {secret} is no line of printable characters"
        )
    return raw.decode("ascii")
