"""Public keys of signers, from a folder that Kubernetes keeps up to date: a mounted ConfigMap with NAME.pem in it."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from mooring_operator.api import forms
from mooring_operator.planning.policies.signers import read_keys

logger = logging.getLogger(__name__)

_SUFFIX = ".pem"
_LARGEST_BYTES = 16 << 10
_MOST_FILES = 256
_Seen = tuple[tuple[str, int, int, int], ...]


class SignersFolder:
    """Gives the keys by name, as the folder has them now; a file that cannot be read is nobody's key."""

    def __init__(self, path: Path | None) -> None:
        """Follow a folder; None has no keys."""
        self._path = path
        self._seen: _Seen = ()
        self._keys: Mapping[str, Sequence[str]] = {}

    def __call__(self) -> Mapping[str, Sequence[str]]:
        """Give the keys; files are read when one of them has changed."""
        if self._path is None:
            return self._keys
        files, seen = _list(self._path)
        if seen != self._seen:
            self._seen = seen
            self._keys = {file.name.removesuffix(_SUFFIX): keys for file in files if (keys := _read(file))}
            logger.info("keys of %d signers", len(self._keys))
        return self._keys


def _list(folder: Path) -> tuple[list[Path], _Seen]:
    try:
        names = sorted(file for file in folder.iterdir() if file.name.endswith(_SUFFIX))[:_MOST_FILES]
        files = [file for file in names if forms.LABEL.fits(file.name.removesuffix(_SUFFIX))]
        found = [(file.name, file.stat()) for file in files]
    except OSError:
        return [], ()
    return files, tuple((name, stat.st_ino, stat.st_mtime_ns, stat.st_size) for name, stat in found)


def _read(file: Path) -> list[str]:
    try:
        with file.open("rb") as opened:
            content = opened.read(_LARGEST_BYTES + 1)
        if len(content) > _LARGEST_BYTES:
            raise ValueError(f"it has more than {_LARGEST_BYTES} bytes")
        return read_keys(content.decode())
    except (OSError, ValueError) as error:
        logger.error("%s is nobody's key: %s", file, error)
        return []
