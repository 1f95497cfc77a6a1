"""Run a command as a pod of a run would: no write outside one folder, no capabilities. Needs `unshare -m`.

python pod.py FOLDER COMMAND...
"""

import os
import subprocess
import sys
from pathlib import Path


def user():
    """The user of our images; this one, where that may not execute the Python that is tested."""
    python = Path(sys.executable).resolve()
    return 65532 if all(path.stat().st_mode & 1 for path in (python, *python.parents)) else os.getuid()


def main(folder, *command):
    """Make every mount but `folder` read-only and become the command, without rights."""
    subprocess.run(["mount", "--bind", folder, folder], check=True)
    for line in Path("/proc/self/mounts").read_text().splitlines():
        where = line.split()[1].encode().decode("unicode_escape")
        if where != folder:
            subprocess.run(["mount", "-o", "remount,bind,ro", where], check=True)
    ids = [f"--reuid={user()}", f"--regid={user()}", "--clear-groups"]
    rights = ["--no-new-privs", "--inh-caps=-all", "--bounding-set=-all"]
    os.execvp("setpriv", ["setpriv", *ids, *rights, *command])


if __name__ == "__main__":
    main(*sys.argv[1:])
