"""A real Kubernetes control plane on one machine, for tests and the demo. See README.md.

``ControlPlane`` runs one, ``build`` builds the programs that it needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cluster.building import build
    from cluster.control_plane import ControlPlane
    from cluster.processes import StartError
    from cluster.programs import ProgramUnavailableError

__all__ = ["ControlPlane", "ProgramUnavailableError", "StartError", "build"]

_HOMES = {
    "ControlPlane": "cluster.control_plane",
    "ProgramUnavailableError": "cluster.programs",
    "StartError": "cluster.processes",
    "build": "cluster.building",
}


def __getattr__(name: str) -> object:
    # Imported on first use: `cluster.serving` lives in this package too, and needs none of it.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
