"""Which requests are kept: by a hash of the id, so that all that belongs to one request stays together."""

from __future__ import annotations

from zlib import crc32

SPACE = 1 << 32
_MASK = SPACE - 1
# Knuth, The Art of Computer Programming 3, 6.4: multiplying by 2**32 / golden ratio spreads keys. CRC-32 is linear
# over GF(2), and ids that differ in few bits would fill the space unevenly without it.
_SPREAD = 2654435761


def threshold(share: float) -> int:
    """Ids whose hash is below it are in a sample of ``share``, 0 to 1."""
    return round(share * SPACE)


def place(request_id: str) -> int:
    """Where an id falls, 0 to 2**32 - 1: the same in every process, replica and release."""
    return crc32(request_id.encode("utf-8", "replace")) * _SPREAD & _MASK
