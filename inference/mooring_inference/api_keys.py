"""API keys, for use without a mesh: who presents one of the keys in a file is let in."""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import Mapping
from pathlib import Path

from mooring_inference.errors import RequestError
from mooring_inference.file_watch import FileWatch

log = logging.getLogger(__name__)

_CHECK_SECONDS = 10.0

# Shorter ones can be guessed.
_MIN_LENGTH = 16


class ApiKeysError(Exception):
    """The keys cannot be read; the message is one line for an operator and holds nothing of a key."""


class ApiKeys:
    """The keys of a file, one a line, or of all files in a folder, such as a mounted Secret.

    Empty lines and lines that begin with ``#`` are skipped. Only SHA-256 digests are kept, and what is presented
    is compared with all of them in constant time.
    """

    def __init__(self, path: Path, *, interval: float = _CHECK_SECONDS) -> None:
        """Read the keys.

        Args:
            path: the file or folder.
            interval: least time between two looks at it, seconds.

        Raises:
            ApiKeysError: it cannot be read, holds no key or a short one.
        """
        self._path = path
        self._watch = FileWatch(lambda: _files(path), interval)
        self._digests = _read(path)
        if not self._digests:
            raise ApiKeysError(f"API keys: expected at least one in {path}, found none")

    def allows(self, headers: Mapping[str, str]) -> bool:
        """Whether a request may pass.

        Args:
            headers: names in lower case; ``x-api-key: KEY`` or ``authorization: Bearer KEY`` counts.
        """
        key = headers.get("x-api-key")
        if key is not None and self.knows(key):
            return True
        scheme, _, token = headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and self.knows(token)

    def knows(self, key: str) -> bool:
        """Whether this is one of the keys; takes the same time whichever it is."""
        digest = hashlib.sha256(key.strip().encode("utf-8", "surrogateescape")).digest()
        found = False
        for known in self._digests:
            found |= hmac.compare_digest(digest, known)
        return found

    def maybe_reload(self, now: float) -> bool:
        """Read the keys again if they changed; whether new ones are in use.

        Keys that cannot be read are logged and the old ones stay; an empty file lets nobody in.

        Args:
            now: of a clock that never goes back, seconds.
        """
        if not self._watch.changed(now):
            return False
        try:
            self._digests = _read(self._path)
        except ApiKeysError as exc:
            log.error(
                "new API keys are not usable, the old ones stay in use", extra={"fields": {"error": str(exc)}}
            )
            return False
        log.info("API keys read again", extra={"fields": {"keys": len(self._digests)}})
        return True


def unauthorized() -> RequestError:
    """The answer to a request without a key."""
    return RequestError(
        "expected a valid key in x-api-key or authorization: Bearer",
        status=401,
        field="authorization",
        headers=((b"www-authenticate", b"Bearer"),),
    )


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    # Kubernetes keeps what it mounts in folders that begin with two dots, behind links.
    try:
        return sorted(each for each in path.iterdir() if not each.name.startswith(".") and each.is_file())
    except OSError:
        return [path]


def _read(path: Path) -> tuple[bytes, ...]:
    digests: dict[bytes, None] = {}
    try:
        for file in _files(path):
            for number, line in enumerate(file.read_bytes().splitlines(), start=1):
                key = line.strip()
                if not key or key.startswith(b"#"):
                    continue
                if len(key) < _MIN_LENGTH:
                    raise ApiKeysError(
                        f"API keys: expected {_MIN_LENGTH} characters or more in line {number} of {file},"
                        f" got {len(key)}"
                    )
                digests[hashlib.sha256(key).digest()] = None
    except OSError as exc:
        raise ApiKeysError(f"API keys: {path} cannot be read: {exc.strerror}") from None
    return tuple(digests)
