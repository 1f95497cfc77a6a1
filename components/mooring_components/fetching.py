"""Copy a model to where a step can read it, with the digest of what was copied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mooring_artifacts.digests import ManifestEntry, check_digest, manifest_digest
from mooring_artifacts.loaded_files import digest_of_brought
from mooring_artifacts.run_documents import Brought
from mooring_artifacts.storage import list_files, locate, read_entry
from mooring_artifacts.uris import SCHEMES


@dataclass(frozen=True)
class FetchedModel:
    """A copy of a model in a local folder, its digest and the size of all its files in bytes.

    is_file: whether it is one file at its address, and no folder of one.
    """

    folder: Path
    digest: str
    size_bytes: int
    entries: Sequence[ManifestEntry] = ()
    is_file: bool = False

    @property
    def facts(self) -> dict[str, Any]:
        """What later steps are told of it."""
        brought = Brought(digest=digest_of_brought(self.entries), is_folder=not self.is_file)
        return {
            "digest": self.digest,
            "modelSizeMB": self.size_bytes / 1e6,
            "brought": brought.model_dump(mode="json", by_alias=True, exclude_none=True),
        }


def fetch_served(uri: str, folder: Path, expected_digest: str = "") -> FetchedModel | None:
    """The files of a model that something else serves; None where no run can read them.

    Addresses such as ``hf://`` and ``pvc://`` are for what serves alone.

    Raises:
        InputError: as `fetch_model`.
    """
    return fetch_model(uri, folder, expected_digest) if uri.partition("://")[0] in SCHEMES else None


def facts_of_served(fetched: FetchedModel | None, expected_digest: str = "") -> dict[str, Any]:
    """What later steps are told of it: of files that no run can read, the digest that is expected."""
    return {"digest": expected_digest} if fetched is None else fetched.facts


def fetch_model(uri: str, folder: Path, expected_digest: str = "", field: str = "model_uri") -> FetchedModel:
    """Copy the model at `uri`, a file or a folder, into `folder`.

    The digest is that of the bytes copied: what is checked is what later steps run. `field` is the parameter that an
    error message names.

    Raises:
        InputError: nothing there, or another digest.
    """
    location = locate(uri, field)
    entries, files = [], list_files(location, field)
    for file in files:
        target = folder / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as out:
            entries.append(read_entry(location, file, out.write))
    digest = manifest_digest(entries)
    if expected_digest:
        check_digest(digest, expected_digest, uri)
    size = sum(entry.size for entry in entries)
    return FetchedModel(folder, digest, size, entries, location.is_file(files))
