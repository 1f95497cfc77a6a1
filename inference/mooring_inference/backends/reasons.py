"""Why something could not be loaded, in the words of the library that refused it."""

from __future__ import annotations


def first_line(error: BaseException) -> str:
    """The first line of an exception's message; its type's name where it has none."""
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__
