"""The kubeconfig of a cluster: self-contained, so that it can be copied anywhere on this machine."""

from __future__ import annotations

import base64
from pathlib import Path

import yaml

from cluster.certificates import write_private

_MARK = "# Written by `python -m cluster`, and removed when that cluster goes down.\n"


def write_kubeconfig(path: Path, *, name: str, server: str, token: str, authority: bytes) -> None:
    """Write it, for this user's eyes only.

    Raises:
        FileExistsError: there is a file that this function did not write.
    """
    if path.exists() and not _ours(path):
        raise FileExistsError(f"{path} exists and is not a kubeconfig of ours: name another file")
    context = f"mooring-{name}"
    cluster = {"server": server, "certificate-authority-data": base64.b64encode(authority).decode()}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": context, "cluster": cluster}],
        "users": [{"name": context, "user": {"token": token}}],
        "contexts": [{"name": context, "context": {"cluster": context, "user": context}}],
        "current-context": context,
    }
    write_private(path, (_MARK + yaml.safe_dump(content, sort_keys=False)).encode())


def remove_kubeconfig(path: Path) -> None:
    """Remove it, if it is one of ours."""
    if path.exists() and _ours(path):
        path.unlink()


def _ours(path: Path) -> bool:
    with path.open(errors="replace") as file:
        return file.readline() == _MARK
