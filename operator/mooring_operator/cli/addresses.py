"""Paths that people type, as addresses."""

import os
from pathlib import Path

from mooring_artifacts.data_versions.references import is_reference


def as_address(text: str) -> str:
    """Give a path as an address, also that of a version in a local store, NAME@VERSION; an address as it is."""
    # An empty text would be the folder that this runs in.
    if not text or "://" in text:
        return text
    path = Path(text).absolute()
    dataset, _, selector = text.rpartition("@")
    reference = f"{Path(dataset).absolute().as_uri()}@{selector}" if dataset else ""
    # A file that is called so is that file; of one that may not be looked at, os.path says that there is none.
    return reference if is_reference(reference) and not os.path.exists(path) else path.as_uri()
