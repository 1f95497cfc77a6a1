"""Text that others wrote, where people read it: in logs, on terminals and in names."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

UNSEEN = r"\x00-\x1f\x7f-\x9f\x{061c}\x{200e}\x{200f}\x{2028}-\x{202e}\x{2066}-\x{2069}"
"""What moves a terminal's cursor, ends a line or turns the direction of writing, inside of a class of RE2."""

_CODE_POINT = re.compile(r"\\x\{([0-9a-f]{4})\}")
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def python_pattern(pattern: str) -> str:
    """A pattern of RE2's for Python's `re`: $ is the very end of the text, and classes are of ASCII."""
    ended = pattern[:-1] + r"\Z" if pattern.endswith("$") else pattern
    return "(?a)" + _CODE_POINT.sub(r"\\u\1", ended)


_HIDDEN = re.compile(python_pattern(f"[{UNSEEN}\\x{{d800}}-\\x{{dfff}}]"))


def visible(text: str, *, keep: str = "") -> str:
    """`text` with what is unseen escaped, but not the characters of `keep`."""
    return _HIDDEN.sub(lambda match: match[0] if match[0] in keep else _escaped(match[0]), text)


def _escaped(character: str) -> str:
    # As JSON, Python and Go read it.
    return _SHORT.get(character) or f"\\u{ord(character):04x}"


def in_a_line(text: object, longest: int) -> str:
    """`text` on one line of at most `longest` characters, with what is unseen escaped."""
    return visible(" ".join(str(text).split()))[:longest]


def shortened(text: str, longest: int) -> str:
    """`text`, cut with an ellipsis where it is longer."""
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


_LONGEST_WORD = 100


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The one of `known` that was probably meant by `word`, whatever its case; None where none is near."""
    by_lower = {name.lower(): name for name in known}
    # The comparison takes time in the square of the length.
    close = difflib.get_close_matches(word.lower(), by_lower, n=1) if len(word) <= _LONGEST_WORD else []
    return by_lower[close[0]] if close else None
