"""Runs programs that a release is made with."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from release.errors import ReleaseError

GO_TOOLS = Path(__file__).parent / "go"
"""The Go module that pins crane and govulncheck as tools."""


def run(
    command: Sequence[str | Path],
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run a program to its end and give what it printed.

    Raises:
        ReleaseError: it is not installed, or it failed.
    """
    words = [str(word) for word in command]
    if shutil.which(words[0]) is None:
        raise ReleaseError(f"{words[0]} is not on PATH")
    done = subprocess.run(
        words,
        cwd=folder,
        env={**os.environ, **(environment or {})},
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
        shown = words[words.index("tool") + 1 :] if words[0] == "go" and "tool" in words else words
        raise ReleaseError(f"{' '.join(shown[:2])} failed: {said[-1].strip().removeprefix('Error: ')}")
    return done.stdout


def go_tool(name: str) -> list[str | Path]:
    """Give the start of a command line that runs a Go tool, built when it is first needed."""
    return ["go", "-C", GO_TOOLS, "tool", name]
