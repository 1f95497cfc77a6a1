"""What kubectl makes of a folder of manifests."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import yaml


def kustomized(folder: Path, *options: str) -> list[dict[str, Any]]:
    """Give the objects of a kustomization."""
    done = subprocess.run(
        ["kubectl", "kustomize", *options, str(folder)], check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    return parsed(done.stdout)


def parsed(text: str) -> list[dict[str, Any]]:
    """Give the documents of a YAML text. Parsed in Python alone, our definitions would take seconds each time."""
    return list(yaml.load_all(text, Loader=yaml.CSafeLoader))
