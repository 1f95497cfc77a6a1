"""API keys, for use without a mesh: who presents one of the keys in a file is let in, and may do what its line says."""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
from collections.abc import Mapping
from pathlib import Path

from mooring_inference.access.file_watch import FileWatch
from mooring_inference.errors import RequestError

log = logging.getLogger(__name__)

_CHECK_SECONDS = 10.0

# Shorter ones can be guessed.
_MIN_LENGTH = 16

# What a key may allow: to ask models; to say later what was true; to load and unload models; to read the metrics.
RIGHTS = ("predict", "labels", "admin", "metrics")
Rights = frozenset[str]
_DEFAULT_RIGHTS: Rights = frozenset(("predict",))
_RIGHTS_OF_LINE = re.compile(rb"(.*\S)\s+rights=(\S*)")


class ApiKeysError(Exception):
    """The keys cannot be read; the message is one line for an operator and holds nothing of a key."""


class ApiKeys:
    """The keys of a file, one a line, or of all files in a folder, such as a mounted Secret.

    A line is ``KEY`` or ``KEY rights=RIGHT,RIGHT`` with rights out of ``RIGHTS``; a key alone may ``predict``. Any
    key may read what the server says of its models. Empty lines and lines that begin with ``#`` are skipped. Only
    SHA-256 digests are kept, and what is presented is compared with all of them in constant time.
    """

    def __init__(self, path: Path, *, interval: float = _CHECK_SECONDS) -> None:
        """Read the keys.

        Args:
            path: the file or folder.
            interval: least time between two looks at it, seconds.

        Raises:
            ApiKeysError: it cannot be read, holds no key, a short one or a right that there is not.
        """
        self._path = path
        self._watch = FileWatch(lambda: _files(path), interval)
        self._rights = _read(path)
        if not self._rights:
            raise ApiKeysError(f"API keys: expected at least one in {path}, found none")

    @property
    def protect_metrics(self) -> bool:
        """Whether metrics are for some keys only: where a line names that right."""
        return any("metrics" in rights for rights in self._rights.values())

    def rights(self, headers: Mapping[str, str]) -> Rights | None:
        """Return what a request may do; None where it carries no key that is known.

        Args:
            headers: names in lower case; ``x-api-key: KEY`` or ``authorization: Bearer KEY`` counts.
        """
        key = headers.get("x-api-key")
        if key is not None and (rights := self._rights_of(key)) is not None:
            return rights
        scheme, _, token = headers.get("authorization", "").partition(" ")
        return self._rights_of(token) if scheme.lower() == "bearer" else None

    def check(self, headers: Mapping[str, str], right: str | None) -> RequestError | None:
        """Return why a request is not let in; None where it is.

        Args:
            headers: as for ``rights``.
            right: that it needs; None where any key will do.
        """
        rights = self.rights(headers)
        if rights is None:
            return unauthorized()
        return None if right is None or right in rights else forbidden(right)

    def knows(self, key: str) -> bool:
        """Return whether this is one of the keys; takes the same time whichever it is."""
        return self._rights_of(key) is not None

    def maybe_reload(self, now: float) -> bool:
        """Read the keys again if they changed; whether new ones are in use.

        Keys that cannot be read are logged and the old ones stay; an empty file lets nobody in.

        Args:
            now: of a clock that never goes back, seconds.
        """
        if not self._watch.changed(now):
            return False
        try:
            self._rights = _read(self._path)
        except ApiKeysError as exc:
            log.error(
                "new API keys are not usable, the old ones stay in use", extra={"fields": {"error": str(exc)}}
            )
            return False
        log.info("API keys read again", extra={"fields": {"keys": len(self._rights)}})
        return True

    def _rights_of(self, key: str) -> Rights | None:
        digest = hashlib.sha256(key.strip().encode("utf-8", "surrogateescape")).digest()
        found: Rights | None = None
        for known, rights in self._rights.items():
            if hmac.compare_digest(digest, known):
                found = rights
        return found


def unauthorized() -> RequestError:
    """Return the answer to a request without a key."""
    return RequestError(
        "expected a valid key in x-api-key or authorization: Bearer",
        status=401,
        field="authorization",
        headers=((b"www-authenticate", b"Bearer"),),
    )


def forbidden(right: str) -> RequestError:
    """Return the answer to a request whose key does not allow it."""
    return RequestError(
        f"the key does not have the right {right}: its line in the file of keys needs rights={right}",
        status=403,
        field="authorization",
        expected=right,
    )


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    # Kubernetes keeps what it mounts in folders that begin with two dots, behind links.
    try:
        return sorted(each for each in path.iterdir() if not each.name.startswith(".") and each.is_file())
    except OSError:
        return [path]


def _read(path: Path) -> dict[bytes, Rights]:
    found: dict[bytes, Rights] = {}
    try:
        for file in _files(path):
            for number, line in enumerate(file.read_bytes().splitlines(), start=1):
                text = line.strip()
                if not text or text.startswith(b"#"):
                    continue
                key, rights = _parse(text, f"line {number} of {file}")
                digest = hashlib.sha256(key).digest()
                found[digest] = found.get(digest, frozenset()) | rights
    except OSError as exc:
        raise ApiKeysError(f"API keys: {path} cannot be read: {exc.strerror}") from None
    return found


def _parse(line: bytes, place: str) -> tuple[bytes, Rights]:
    match = _RIGHTS_OF_LINE.fullmatch(line)
    key, rights = (
        (match[1], frozenset(match[2].decode("utf-8", "replace").split(","))) if match else (line, None)
    )
    if len(key) < _MIN_LENGTH:
        raise ApiKeysError(f"API keys: expected {_MIN_LENGTH} characters or more in {place}, got {len(key)}")
    if rights is not None and not rights <= set(RIGHTS):
        # Not what is there instead: it may be a part of a key.
        raise ApiKeysError(f"API keys: expected rights={'|'.join(RIGHTS)}, with commas between, in {place}")
    return key, rights or _DEFAULT_RIGHTS
