"""Which of a model's files lie in a server's folder once KServe has brought them there, and their digest.

Source: KServe 0.21's storage initializer. It leaves out files of no bytes, and unpacks an archive that is all there is.
"""

from __future__ import annotations

import hashlib
import mimetypes
from collections.abc import Iterable
from pathlib import Path

from mooring_artifacts.digests import ManifestEntry, check_digest, manifest_digest
from mooring_artifacts.errors import InputError
from mooring_artifacts.local_files import MOST_FILES, files_below

_UNPACKED = ("application/x-tar", "application/zip")


def digest_of_brought(entries: Iterable[ManifestEntry]) -> str | None:
    """The digest of what will lie there of these files; None where that is not known from them."""
    brought = [entry for entry in entries if entry.size]
    if not brought or (len(brought) == 1 and mimetypes.guess_type(brought[0].path)[0] in _UNPACKED):
        return None
    return manifest_digest(brought)


def check_loaded(root: Path, expected: str, field: str = "model_digest") -> None:
    """Do nothing when the file at `root`, or all files of that folder, have the digest of `digest_of_brought`.

    Raises:
        InputError: they have another, or cannot be read; `field` is what the message calls `expected`.
    """
    entries: list[ManifestEntry] = []
    try:
        for file in files_below(root):
            if len(entries) == MOST_FILES:
                raise InputError(f"{str(root)!r} holds more than {MOST_FILES} files, which is the limit")
            if file.size:
                with Path("/", file.key).open("rb") as content:
                    sha256 = hashlib.file_digest(content, "sha256").hexdigest()
                entries.append(ManifestEntry(file.path, file.size, sha256))
    except OSError as error:
        raise InputError(f"{str(root)!r} cannot be read: {error}") from error
    check_digest(manifest_digest(entries), expected, str(root), field)
