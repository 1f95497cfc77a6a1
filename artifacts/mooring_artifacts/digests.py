"""The digest of a file or folder: what `spec.model.digest` and a verdict's `modelDigest` hold.

It is the sha256 over a canonical JSON manifest `[{"path", "sha256", "size"}, ...]` sorted by path,
without white space, keys sorted. A single file is a folder of one, under its base name, so that
renaming the folder around it changes nothing. `storage.content_digest` makes it of what lies in a store.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from mooring_artifacts.errors import InputError

DIGEST_PATTERN = r"^sha256:[0-9a-f]{64}$"
_FORMAT = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class ManifestEntry:
    """One file: its path relative to the folder, its size in bytes, its sha256 as 64 hex digits."""

    path: str
    size: int
    sha256: str


def manifest_digest(entries: Iterable[ManifestEntry]) -> str:
    """The digest, `sha256:<64 hex digits>`, of the folder that holds exactly `entries`."""
    manifest = [asdict(entry) for entry in sorted(entries, key=lambda entry: entry.path)]
    canonical = json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(canonical.encode()).hexdigest()


def check_digest(actual: str, expected: str, uri: str, field: str = "model_digest") -> None:
    """Do nothing when the digests agree; `field` is the parameter that an error message names.

    Raises:
        InputError: `expected` is not a digest, or it is another one.
    """
    if not _FORMAT.fullmatch(expected):
        raise InputError(f"{field} {expected!r} is not allowed: write sha256: and 64 hex digits")
    if actual != expected:
        raise InputError(f"{field} {expected!r} does not match the content of {uri!r}, which is {actual!r}")
