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
