"""A copy of the checkout, to install and release from."""

import os
import shutil
import subprocess
from pathlib import Path

from tests.release.documented import ROOT

_MADE = {".git", ".venv", ".venv-torch", "build", "dist", "local_outputs", "__pycache__", ".hypothesis"}


def sources() -> list[str]:
    """Give the names of the files that are no products, whether the checkout is a repository or an unpacked archive."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    known = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    if known.returncode == 0:
        return [name for name in known.stdout.split("\0") if name and (ROOT / name).is_file()]
    found = []
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in _MADE and not name.endswith("_cache")]
        found += [(Path(folder) / name).relative_to(ROOT).as_posix() for name in files if name not in _MADE]
    return found


def copy_checkout(target: Path) -> Path:
    """Copy the sources, as they are in the working tree."""
    for name in sources():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target / name)
    return target


def commit_checkout(target: Path) -> Path:
    """Make a repository of such a copy, with one commit."""
    copy_checkout(target)
    git(target, "init", "--quiet", "--initial-branch=main")
    commit(target)
    return target


def commit(folder: Path) -> None:
    """Commit all that there is."""
    git(folder, "add", "--all")
    who = ["-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"]
    git(folder, *who, "commit", "--quiet", "--message=test")


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder and give what it printed."""
    command = ["git", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()
