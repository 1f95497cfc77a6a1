"""How the commands say that they cannot do what they were asked for."""

from __future__ import annotations

import sys


def complain(prog: str, error: Exception | str, code: int) -> int:
    """Say it in one line on stderr; return the exit code."""
    said = f"{error.filename or ''} {error.strerror or error}" if isinstance(error, OSError) else str(error)
    sys.stderr.write(f"{prog}: {' '.join(said.split())}\n")
    return code
