"""Waits on its standard input for its parent's death, then ends and removes what the parent named.

Run as a script of its own, which imports nothing of ours: it has to work whatever happens to the rest.
Lines: ``process PID``, ``folder PATH``, ``dismissed``.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys
from contextlib import suppress


def main() -> None:
    """Read until the end of the input, and act unless dismissed."""
    handles: list[int] = []
    folders: list[str] = []
    for line in sys.stdin:
        word, _, value = line.rstrip("\n").partition(" ")
        if word == "dismissed":
            return
        if word == "process":
            # A handle, because an id may belong to somebody else by the time it is needed.
            with suppress(ProcessLookupError):
                handles.append(os.pidfd_open(int(value)))
        elif word == "folder":
            folders.append(value)
    for handle in reversed(handles):
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        select.select([handle], [], [], 5)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
