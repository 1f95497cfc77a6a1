"""Runs what the documentation tells people to type."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

_NO_NETWORK = re.compile(
    r"dns error|[Ff]ailed to fetch|error sending request|network connectivity is disabled"
)


def uv() -> str:
    """Give the path of uv, as `make` installs it; skip the test where there is none."""
    found = shutil.which("uv") or shutil.which("uv", path=ROOT / "build" / "bootstrap" / "bin")
    if found is None:
        pytest.skip("there is no uv: make .venv/.ready brings it")
    return found


def commands(page: str, heading: str) -> list[str]:
    """Give the commands of the first console block below a heading of a page in docs/."""
    text = (ROOT / "docs" / page).read_text()
    below = text.split(f"\n## {heading}\n", 1)[1]
    block = re.search(r"```console\n(.*?)```", below, re.DOTALL)
    assert block is not None
    return [line.removeprefix("$ ") for line in block[1].splitlines() if line.startswith("$ ")]


class Terminal:
    """A shell in a folder, with a home of its own; its pip is uv's, which keeps what it has downloaded once."""

    def __init__(self, home: Path, folder: Path) -> None:
        self._folder = folder
        programs = home / "bin"
        programs.mkdir(parents=True)
        self._program(programs / "pip", [uv(), "pip"])
        self._program(programs / "python3", [getattr(sys, "_base_executable", sys.executable)])
        kept = ("PATH", "UV_CACHE_DIR", "XDG_CACHE_HOME", "SSL_CERT_FILE", "PIP_CERT", "HTTPS_PROXY")
        self._environment = {name: os.environ[name] for name in kept if name in os.environ}
        self._environment |= {"HOME": str(home), "LC_ALL": "C.UTF-8", "NO_COLOR": "1"}
        self._environment.setdefault("UV_CACHE_DIR", str(Path.home() / ".cache" / "uv"))
        self._first = programs

    @staticmethod
    def _program(path: Path, command: list[str]) -> None:
        words = " ".join(f"'{word}'" for word in command)
        path.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
        path.chmod(0o755)

    def run(self, lines: list[str]) -> subprocess.CompletedProcess[str]:
        """Run the lines up to the first that fails; without a network for it, skip the test."""
        # Activating an environment puts its own pip first: ours goes before that one each time.
        script = "\n".join(["set -e", *(f'PATH="{self._first}:$PATH"\n{line}' for line in lines)])
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self._folder,
            env=self._environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=240,
        )
        if done.returncode != 0 and _NO_NETWORK.search(done.stderr):
            pytest.skip("packages cannot be had: " + done.stderr.strip().splitlines()[-1])
        return done
