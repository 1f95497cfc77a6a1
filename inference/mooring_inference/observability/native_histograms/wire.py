"""Protobuf's wire format, as much of it as metrics need (protobuf.dev, Encoding)."""

from __future__ import annotations

import struct
from collections.abc import Iterable

_DOUBLE = struct.Struct("<d")

_VARINT, _FIXED64, _BYTES = 0, 1, 2


def varint(number: int) -> bytes:
    """An unsigned number, seven bits a byte, the lowest first."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def unsigned(field: int, value: int) -> bytes:
    """A field of uint32, uint64, int64 that is not negative, or an enumeration."""
    return varint(field << 3 | _VARINT) + varint(value)


def signed(field: int, value: int) -> bytes:
    """A field of sint32 or sint64: zigzag, so that small negative numbers stay short."""
    return unsigned(field, (value << 1) if value >= 0 else (-value << 1) - 1)


def double(field: int, value: float) -> bytes:
    """A field of double."""
    return varint(field << 3 | _FIXED64) + _DOUBLE.pack(value)


def text(field: int, value: str) -> bytes:
    """A field of string."""
    return message(field, (value.encode(),))


def message(field: int, parts: Iterable[bytes]) -> bytes:
    """A field that holds a message of these fields."""
    return varint(field << 3 | _BYTES) + delimited(parts)


def delimited(parts: Iterable[bytes]) -> bytes:
    """A message of these fields, with its length before it."""
    body = b"".join(parts)
    return varint(len(body)) + body
