"""Builds what pip installs; the same sources give the same bytes."""

import sys
from pathlib import Path

from release.programs import run
from release.sources import Sources


def build_wheel(sources: Sources, target: Path) -> Path:
    """Build the wheel into a folder, and give its path."""
    return _build(sources, target, "wheel", "*.whl")


def build_sdist(sources: Sources, target: Path) -> Path:
    """Build the source distribution into a folder, and give its path."""
    return _build(sources, target, "sdist", "*.tar.gz")


def _build(sources: Sources, target: Path, kind: str, pattern: str) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(target), "-t", kind]
    run(command, folder=sources.folder, environment=sources.environment)
    return next(target.glob(pattern))
