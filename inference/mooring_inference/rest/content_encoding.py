"""Compressed request bodies (RFC 9110, 8.4.1), inflated without letting a small body become a large one."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable

from mooring_inference.errors import RequestError

ENCODINGS = ("gzip", "deflate", "identity")

_CHUNK = 1 << 16

# RFC 1952 lets a file be several members; each costs a new decompressor, so a body of empty ones is refused.
_MAX_MEMBERS = 64

# Little that is worth sending compresses better, other than zeros, which may grow to 8 MiB all the same.
_MAX_RATIO, _SMALL = 100, 8 << 20

# How much more is asked for at a time, bytes.
_STEP = 1 << 20

_GZIP_BITS, _ZLIB_BITS, _RAW_BITS = 31, 15, -15


def inflate(body: bytes, encoding: str, limit: int, on_growth: Callable[[int], None] | None = None) -> bytes:
    """Return the body without its content coding.

    Memory never grows beyond ``limit``, or a hundred times the body and 8 MiB, by more than an eighth and a chunk of
    64 KiB, whatever the body says.

    Args:
        body: as received.
        encoding: the value of Content-Encoding: one of ENCODINGS, in any case; empty: none.
        limit: of the result, bytes.
        on_growth: is told how large the result may become, before it does; what it raises ends the work.

    Raises:
        RequestError: 413 beyond the limits, 415 for another or more than one coding, 400 for a body that is
            not what its coding says.
    """
    coding = encoding.strip().lower()
    if coding in ("", "identity"):
        if len(body) > limit:
            raise _too_large(limit)
        return body
    result = _Result(min(limit, max(_SMALL, _MAX_RATIO * len(body))), on_growth)
    if coding in ("gzip", "x-gzip"):
        return _inflate(body, _GZIP_BITS, coding, result)
    if coding == "deflate":
        # The standard means zlib's format; some clients send the bare stream.
        return _inflate(body, _ZLIB_BITS if _has_zlib_header(body) else _RAW_BITS, coding, result)
    raise RequestError(
        f"content-encoding: expected one of {list(ENCODINGS)}, got {encoding[:60]}",
        status=415,
        field="content-encoding",
        expected=list(ENCODINGS),
        got=encoding[:60],
    )


class _Result:
    """What was inflated so far, within its limit."""

    def __init__(self, limit: int, on_growth: Callable[[int], None] | None) -> None:
        self._limit = limit
        self._on_growth = on_growth
        self._announced = 0
        self._content = io.BytesIO()

    def add(self, content: bytes) -> None:
        size = self._content.tell() + len(content)
        if size > self._limit:
            raise _too_large(self._limit)
        if size > self._announced and self._on_growth is not None:
            self._announced = min(size + _STEP, self._limit)
            self._on_growth(self._announced)
        self._content.write(content)

    def whole(self) -> bytes:
        return self._content.getvalue()


def _inflate(body: bytes, bits: int, coding: str, result: _Result) -> bytes:
    rest = memoryview(body)
    for _ in range(_MAX_MEMBERS if bits == _GZIP_BITS else 1):
        try:
            rest = _inflate_member(rest, bits, result)
        except zlib.error:
            raise _not_encoded(coding, "other bytes") from None
        except EOFError:
            raise _not_encoded(coding, "a body that ends too early") from None
        if not rest:
            return result.whole()
    raise _not_encoded(coding, f"{len(rest)} bytes after its end")


def _inflate_member(body: memoryview, bits: int, result: _Result) -> memoryview:
    """Add one member's content to the result; what follows it in the body."""
    stream = zlib.decompressobj(bits)
    # Pieces of the body, as zlib copies what it leaves unread at every call.
    for start in range(0, len(body), _CHUNK):
        piece: bytes | memoryview = body[start : start + _CHUNK]
        while True:
            result.add(stream.decompress(piece, _CHUNK))
            if stream.eof:
                return body[min(start + _CHUNK, len(body)) - len(stream.unused_data) :]
            piece = stream.unconsumed_tail
            if not piece:
                break
    # The window may still hold content when the input is used up.
    while content := stream.decompress(b"", _CHUNK):
        result.add(content)
    if not stream.eof:
        raise EOFError
    return body[len(body) :]


def _has_zlib_header(body: bytes) -> bool:
    """Recognise RFC 1950: method 8, and the first two bytes a multiple of 31."""
    return len(body) >= 2 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0


def _too_large(limit: int) -> RequestError:
    expected = f"at most {limit} bytes after decompression"
    return RequestError(f"body: expected {expected}", status=413, field="body", expected=expected, got="more")


def _not_encoded(coding: str, got: str) -> RequestError:
    return RequestError(
        f"body: expected {coding} as content-encoding says, got {got}",
        field="body",
        expected=f"{coding} as content-encoding says",
        got=got,
    )
