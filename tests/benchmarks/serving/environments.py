"""An environment of its own for each peer, from the pinned requirements beside its program."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PEER_PROGRAMS = Path(__file__).parent / "peers"
_ENVIRONMENTS = ROOT / "build" / "peers"


class EnvironmentFailedError(Exception):
    """A peer's packages could not be installed."""


def prepare(peer: str, say: Callable[[str], None]) -> Path:
    """The folder of the peer's programs (`bin`), made anew when its requirements have changed.

    Raises:
        EnvironmentFailedError: uv is missing or failed; the message ends with what it said.
    """
    requirements = PEER_PROGRAMS / f"{peer}.txt"
    folder = _ENVIRONMENTS / peer
    made_from = folder / ".made-from"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()
    if not made_from.exists() or made_from.read_text() != digest:
        say(f"{peer}: installing {requirements.relative_to(ROOT)}")
        uv = _find_uv()
        _run([uv, "venv", "--quiet", "--clear", "--python", "3.11", str(folder)])
        python = str(folder / "bin" / "python")
        _run([uv, "pip", "install", "--quiet", "--python", python, "--requirement", str(requirements)])
        made_from.write_text(digest)
    return folder / "bin"


def pinned_version(peer: str) -> str:
    """The version of the peer's own package that its requirements pin."""
    for line in (PEER_PROGRAMS / f"{peer}.txt").read_text().splitlines():
        name, _, version = line.partition("==")
        if name == peer:
            return version
    raise EnvironmentFailedError(f"{peer}.txt does not pin {peer}")


def _find_uv() -> str:
    bundled = ROOT / "build" / "bootstrap" / "bin" / "uv"
    found = str(bundled) if bundled.exists() else shutil.which("uv")
    if found is None:
        raise EnvironmentFailedError(
            "uv is neither in build/bootstrap (run `make requirements`) nor on the path"
        )
    return found


def _run(command: list[str]) -> None:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise EnvironmentFailedError(f"{' '.join(command)} failed: {result.stderr.strip()[-800:]}")
