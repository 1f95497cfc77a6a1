"""Copies of models that a registry alone can read: by their content, where whatever serves them can read them."""

from __future__ import annotations

from mooring_artifacts.errors import InputError
from mooring_artifacts.uris import LONGEST, below, find_fault, find_hidden_fault, redact

PROXIED = "mlflow-artifacts:"
"""The scheme of what MLflow's tracking server reads from its store for others (its option ``--serve-artifacts``)."""


def is_proxied(uri: str) -> bool:
    """Whether only the registry's own server can read what is at `uri`."""
    return uri.startswith(PROXIED)


def path_of_proxied(uri: str) -> str:
    """The path of an address below the server's artifact root, without slashes at its ends.

    Raises:
        InputError: it is none, or names a server: credentials are for the one that is configured.
    """
    written = uri.removeprefix(PROXIED)
    if not is_proxied(uri) or (written.startswith("//") and not written.startswith("///")):
        raise InputError(f"{redact(uri)} is not allowed: write {PROXIED}/PATH, without a server")
    path = written.strip("/")
    fault = find_fault(path) or find_hidden_fault(path) if len(uri) <= LONGEST else "it is too long"
    if fault:
        raise InputError(f"{redact(uri)} is not allowed: {fault}")
    return path


def staged_uri(root: str, digest: str) -> str:
    """Where a copy of the files with this digest belongs below `root`.

    Raises:
        InputError: the digest is no name of a folder.
    """
    return below(root, digest.removeprefix("sha256:"))
