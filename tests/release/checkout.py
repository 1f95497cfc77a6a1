"""A copy of the checkout, to install and release from."""

import shutil
import subprocess
from pathlib import Path

from tests.release.documented import ROOT


def copy_checkout(target: Path) -> Path:
    """Copy the files that git knows, as they are in the working tree."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    known = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in known.rstrip("\0").split("\0"):
        if (ROOT / name).is_file():
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
