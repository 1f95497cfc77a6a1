"""Which of a model's files lie in a server's folder once KServe has brought them there, and their digest.

Source: KServe 0.21's storage initializer. It leaves out files of no bytes, and unpacks an archive that is all there is.
"""

from __future__ import annotations

import hashlib
import mimetypes
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class HashedFiles:
    """The files of a folder as they were when they were hashed.

    Attributes:
        digest: of all of them, by `digest_of_brought`.
        stamps: by path, their size and when content and entry last changed, in nanoseconds. The last one is the
            system's own, which nobody sets.
    """

    digest: str
    stamps: Mapping[str, tuple[int, int, int]]

    def changed(self, root: Path) -> str | None:
        """The path of a file that is another one by now, or gone; None where all are as they were."""
        for path, stamp in self.stamps.items():
            # A file that is all there is has its own name as its path.
            place = root / path if root.is_dir() else root
            try:
                if _stamp(place) != stamp:
                    return path
            except OSError:
                return path
        return None


def hash_loaded(root: Path) -> HashedFiles:
    """Hash the file at `root`, or all files of that folder; those of no bytes are left out.

    Raises:
        InputError: they cannot be read, or are too many.
    """
    entries: list[ManifestEntry] = []
    stamps: dict[str, tuple[int, int, int]] = {}
    try:
        for file in files_below(root.absolute()):
            if len(entries) == MOST_FILES:
                raise InputError(f"{str(root)!r} holds more than {MOST_FILES} files, which is the limit")
            if file.size:
                place = Path("/", file.key)
                # Before it is read: what is written meanwhile shows.
                stamps[file.path] = _stamp(place)
                with place.open("rb") as content:
                    sha256 = hashlib.file_digest(content, "sha256").hexdigest()
                entries.append(ManifestEntry(file.path, file.size, sha256))
    except OSError as error:
        raise InputError(f"{str(root)!r} cannot be read: {error}") from error
    return HashedFiles(manifest_digest(entries), stamps)


def check_loaded(root: Path, expected: str, field: str = "model_digest") -> HashedFiles:
    """Return the files at `root` where they have the digest that is expected.

    Raises:
        InputError: they have another, or cannot be read; `field` is what the message calls `expected`.
    """
    found = hash_loaded(root)
    check_digest(found.digest, expected, str(root), field)
    return found


def _stamp(place: Path) -> tuple[int, int, int]:
    told = place.stat()
    return told.st_size, told.st_mtime_ns, told.st_ctime_ns
