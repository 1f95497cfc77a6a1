"""How a pipeline's step ends."""

from __future__ import annotations

import sys
from types import TracebackType

from mooring_artifacts.errors import InputError, StoreUnavailable


def tell_errors_in_one_line() -> None:
    """Have what a person has to correct end this process with one line, and what we have to with a traceback."""
    sys.excepthook = _tell


def _tell(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if isinstance(error, (InputError, StoreUnavailable, MemoryError)):
        print(f"{kind.__name__}: {error}", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, traceback)
