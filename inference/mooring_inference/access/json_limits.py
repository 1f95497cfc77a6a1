"""Limits on a JSON body, checked on its bytes before any object is made of it.

What parsing with orjson 3.13 costs in memory, in bytes at the peak for each byte of the body (measured at
16 MiB): real floats 6, short numbers 13 to 15, short strings 19, objects with one key 32, empty arrays and
objects 30, arrays nested a hundred deep 49. So a body of 64 MiB that a proxy lets through may take 3 GB.
Nesting alone is harmless: orjson refuses level 1025 at once, at 1 ns a byte, without making objects. Code that
walks what was parsed by recursion meets Python's own limit before that, so callers who do set ``max_depth``.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

from mooring_inference.errors import RequestError

# Peak memory of parsing, bytes: of any byte of the body, and of each array and object besides.
_PER_BYTE = 30
_PER_ARRAY = 120
_PER_OBJECT = 320

# No JSON text takes more than this for each of its bytes; two bytes make an array or an object.
_WORST_PER_BYTE = _PER_BYTE + _PER_OBJECT // 2

# A string, or what would be one but for its end: a pattern that can fail would look at every quote to the end.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)

# The four brackets share their bits under this mask, and with them only Y, y, _ and DEL.
_BRACKET_MASK, _BRACKET_BITS = 0xD9, 0x59
_CHUNK = 1 << 16
_STEP = np.zeros(256, np.int8)
_STEP[list(b"[{")], _STEP[list(b"]}")] = 1, -1


class JsonLimits(NamedTuple):
    """What a JSON body may cost.

    Attributes:
        max_bytes: length of the body.
        max_parsed_bytes: memory that its parsed form may take at the peak, by ``bound_parsed_bytes``.
        max_depth: levels of arrays and objects; None: the parser's 1024, at no cost.
    """

    max_bytes: int = 64 << 20
    max_parsed_bytes: int = 1 << 30
    max_depth: int | None = None

    def check(self, body: bytes) -> None:
        """Refuse a body that is over a limit; it need not be JSON.

        Raises:
            RequestError: 413 for size, 400 for depth.
        """
        size = len(body)
        if size > self.max_bytes:
            raise _too_large(f"at most {self.max_bytes} bytes", f"{size} bytes")
        if size * _WORST_PER_BYTE > self.max_parsed_bytes:
            parsed = bound_parsed_bytes(body)
            if parsed > self.max_parsed_bytes:
                raise _too_large(
                    f"JSON that takes at most {self.max_parsed_bytes} bytes when parsed",
                    f"up to {parsed} bytes",
                )
        if self.max_depth is not None and exceeds_depth(body, self.max_depth):
            raise RequestError(
                f"body: expected at most {self.max_depth} levels of arrays and objects, got more",
                field="body",
                expected=f"at most {self.max_depth} levels",
                got="more",
            )


def bound_parsed_bytes(body: bytes) -> int:
    """Return an upper bound of the memory that parsing takes at its peak, bytes; 0.6 ns for each byte of the body.

    Brackets within strings count as well, and make the bound higher than it need be.
    """
    return len(body) * _PER_BYTE + body.count(b"[") * _PER_ARRAY + body.count(b"{") * _PER_OBJECT


def exceeds_depth(body: bytes, limit: int) -> bool:
    """Return whether arrays and objects are nested deeper than ``limit``; right for all that is JSON.

    About 2 ns for each byte, 0.6 where there are few brackets, 56 where there are only empty strings.
    """
    if len(body) <= limit or body.count(b"[") + body.count(b"{") <= limit:
        return False
    # Without its strings, as brackets there are no levels.
    codes = np.frombuffer(_STRING.sub(b"", body), np.uint8)
    depth = 0
    for start in range(0, len(codes), _CHUNK):
        chunk = codes[start : start + _CHUNK]
        brackets = chunk[np.flatnonzero((chunk & _BRACKET_MASK) == _BRACKET_BITS)]
        if brackets.size:
            depths = _STEP[brackets].cumsum(dtype=np.int32)
            if depth + int(depths.max()) > limit:
                return True
            depth += int(depths[-1])
    return False


def _too_large(expected: str, got: str) -> RequestError:
    return RequestError(
        f"body: expected {expected}, got {got}", status=413, field="body", expected=expected, got=got
    )
