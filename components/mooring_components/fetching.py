"""Copy a model to where a step can read it, with the digest of what was copied."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mooring_artifacts.digests import check_digest, manifest_digest
from mooring_artifacts.storage import list_files, locate, read_entry
from mooring_artifacts.uris import SCHEMES


@dataclass(frozen=True)
class FetchedModel:
    """A copy of a model in a local folder, its digest and the size of all its files in bytes."""

    folder: Path
    digest: str
    size_bytes: int

    @property
    def facts(self) -> dict[str, str | float]:
        """What later steps are told of it."""
        return {"digest": self.digest, "modelSizeMB": self.size_bytes / 1e6}


def facts_of_served(uri: str, folder: Path, expected_digest: str = "") -> dict[str, str | float]:
    """What can be told of the files of a model that something else serves: all of it where a run can read them.

    Of addresses that are for what serves alone, such as ``hf://`` and ``pvc://``, it is the digest that is expected.

    Raises:
        InputError: as `fetch_model`.
    """
    if uri.partition("://")[0] not in SCHEMES:
        return {"digest": expected_digest}
    return fetch_model(uri, folder, expected_digest).facts


def fetch_model(uri: str, folder: Path, expected_digest: str = "") -> FetchedModel:
    """Copy the model at `uri`, a file or a folder, into `folder`.

    The digest is that of the bytes copied: what is checked is what later steps run.

    Raises:
        InputError: nothing there, or another digest.
    """
    location = locate(uri, "model_uri")
    entries = []
    for file in list_files(location, "model_uri"):
        target = folder / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as out:
            entries.append(read_entry(location, file, out.write))
    digest = manifest_digest(entries)
    if expected_digest:
        check_digest(digest, expected_digest, uri)
    return FetchedModel(folder, digest, sum(entry.size for entry in entries))
