"""Copy what a registry alone can read to where whatever serves it can read it, by content."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mooring_artifacts.digests import check_digest, manifest_digest
from mooring_artifacts.run_documents import SCHEMA_VERSION, Verdict
from mooring_artifacts.staging import staged_uri
from mooring_artifacts.storage import Location, list_files, put_file, read_entry
from mooring_artifacts.uris import Address, below, parse

from mooring_components.registration.artifacts import MlflowArtifacts
from mooring_components.registration.client import named_server, open_client


@dataclass(frozen=True)
class Copy:
    """A copy: its address, the digest of its files, and their size in bytes."""

    uri: str
    digest: str
    size_bytes: int

    def verdict(self, run_id: str) -> Verdict:
        """What the operator is told: where it is, and what."""
        return Verdict(
            schema_version=SCHEMA_VERSION,
            run_id=run_id,
            model_uri=self.uri,
            model_digest=self.digest,
            passed=True,
            metrics={"modelSizeMB": self.size_bytes / 1e6},
            violations=[],
        )


def stage_model(
    uri: str,
    staging_uri: str,
    folder: Path,
    expected_digest: str = "",
    tracking_uri: str = "",
    environment: Mapping[str, str] = os.environ,
) -> Copy:
    """Download what is at ``mlflow-artifacts:/PATH`` into `folder`, and copy it below `staging_uri`.

    Copying it again writes the same files to the same place.

    Raises:
        InputError: there is nothing there, another digest, a server that says no, or a store that does.
        StoreUnavailable: the server or the store does not answer.
    """
    parse(staging_uri, "staging_uri")
    server = named_server(tracking_uri, environment)
    with open_client(environment) as client:
        MlflowArtifacts(client, server).download(uri, folder)
    location = Location(Address("file", "", folder.resolve().as_posix().strip("/")), None)
    files = list_files(location, "model_uri")
    entries = [read_entry(location, file) for file in files]
    digest = manifest_digest(entries)
    if expected_digest:
        check_digest(digest, expected_digest, uri)
    target = staged_uri(staging_uri, digest)
    for file in files:
        put_file(folder / file.path, below(target, *file.path.split("/")), "staging_uri")
    return Copy(target, digest, sum(entry.size for entry in entries))
