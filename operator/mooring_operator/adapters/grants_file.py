"""The administrator's grants, from a file that Kubernetes keeps up to date: a mounted ConfigMap."""

import logging
from pathlib import Path

from mooring_artifacts.errors import InputError
from mooring_artifacts.grants import Grants, parse_grants

logger = logging.getLogger(__name__)

_LARGEST_BYTES = 1 << 20


class GrantsFile:
    """Gives the grants as the file has them now; a file that cannot be read, or is gone, grants nothing."""

    def __init__(self, path: Path | None, *, files: bool = False) -> None:
        """Follow a file.

        Args:
            path: the file; None grants nothing.
            files: whether `file://` is allowed, for development.
        """
        self._path = path
        self._files = files
        self._seen: tuple[int, int, int] | None = None
        self._grants = Grants(files=files)

    def __call__(self) -> Grants:
        """Give the grants; the file is read when it has changed."""
        if self._path is None:
            return self._grants
        try:
            found = self._path.stat()
        except OSError:
            found = None
        identity = (found.st_ino, found.st_mtime_ns, found.st_size) if found is not None else (0, 0, 0)
        if identity != self._seen:
            self._seen = identity
            self._grants = self._read()
        return self._grants

    def _read(self) -> Grants:
        try:
            grants = read_grants(self._path, files=self._files) if self._path else Grants(files=self._files)
        except InputError as error:
            logger.error("nothing is granted: %s", error)
            return Grants(files=self._files)
        logger.info("%d grants", len(grants.grants))
        return grants


def read_grants(path: Path, *, files: bool = False) -> Grants:
    """Read a file of grants.

    Raises:
        InputError: it cannot be read, or does not hold grants.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    if len(content) > _LARGEST_BYTES:
        raise InputError(f"{path} has {len(content)} bytes; {_LARGEST_BYTES} are allowed")
    try:
        return parse_grants(content.decode(), files=files)
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no text in UTF-8") from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
