"""Paths that people type, as addresses."""

import os
import re
from pathlib import Path

from mooring_artifacts.data_versions.references import is_reference
from mooring_artifacts.text import visible

from mooring_operator.cli.errors import CliError

# What begins like an address of a place that rows and models are read from.
_ONE_SLASH = re.compile(r"(file|s3|gs|az|https?|hf|oci|pvc):(?!//)")


def as_address(text: str) -> str:
    """Give a path as an address, also that of a version in a local store, NAME@VERSION; an address as it is.

    Raises:
        CliError: it begins as an address does, without its two slashes, and no such file is there.
    """
    if (typo := _ONE_SLASH.match(text)) and not os.path.lexists(text.partition("/")[0]):
        raise CliError(
            f"{visible(text)} is neither an address nor a file: addresses begin with {typo[1]}://",
            hint=f"./{visible(text)} is a path",
        )
    # An empty text would be the folder that this runs in.
    if not text or "://" in text:
        return text
    path = Path(text).absolute()
    dataset, _, selector = text.rpartition("@")
    reference = f"{Path(dataset).absolute().as_uri()}@{selector}" if dataset else ""
    # A file that is called so is that file; of one that may not be looked at, os.path says that there is none.
    return reference if is_reference(reference) and not os.path.exists(path) else path.as_uri()
