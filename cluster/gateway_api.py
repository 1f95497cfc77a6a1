"""The Gateway API's definitions, from the files of its published module."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from cluster.building import go_command, go_environment
from cluster.programs import MODULES, ProgramUnavailableError, cache_folder, required_version

_FAMILY = "gateway-api"
_MODULE = "sigs.k8s.io/gateway-api"


def definitions() -> list[Path]:
    """The YAML file of every stable definition, downloaded once.

    Raises:
        ProgramUnavailableError: they are not in the cache and cannot be downloaded.
    """
    folder = cache_folder() / "definitions" / f"{_FAMILY}-{required_version(_FAMILY, _MODULE)}"
    if not folder.exists():
        _copy(_download() / "config" / "crd" / "standard", folder)
    return sorted(folder.glob("gateway.networking.k8s.io_*s.yaml"))


def _download() -> Path:
    command = [go_command(), "mod", "download", "-json", _MODULE]
    done = subprocess.run(
        command, cwd=MODULES / _FAMILY, env=go_environment(), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise ProgramUnavailableError(f"{_MODULE} cannot be downloaded: {done.stdout}{done.stderr}")
    return Path(json.loads(done.stdout)["Dir"])


def _copy(source: Path, target: Path) -> None:
    """Copy whole or not at all; of two processes that do, one wins and it does not matter which."""
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(dir=target.parent, prefix=".unfinished-"))
    try:
        for file in source.glob("*.yaml"):
            shutil.copyfile(file, unfinished / file.name)
        os.rename(unfinished, target)
    except OSError:
        if not target.exists():
            raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
