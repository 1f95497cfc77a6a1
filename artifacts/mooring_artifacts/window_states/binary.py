"""Reads and writes the parts that the binary forms are made of."""

from __future__ import annotations

import struct
import zlib
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from mooring_artifacts.errors import InputError

Ints = npt.NDArray[np.int64]

LARGEST = 64 << 20
"""Bytes of a profile or a state; more are not read."""

_WIDTHS = (1, 2, 4, 8)


class Writer:
    """Puts parts one after the other."""

    def __init__(self, magic: bytes, version: int) -> None:
        self._parts = [magic, struct.pack("<H", version)]

    def number(self, form: str, value: int) -> None:
        """Put an integer; `form` is struct's."""
        self._parts.append(struct.pack("<" + form, value))

    def raw(self, content: bytes) -> None:
        """Put bytes as they are."""
        self._parts.append(content)

    def text(self, value: str) -> None:
        """Put text of at most 65535 bytes."""
        content = value.encode()
        self.number("H", len(content))
        self._parts.append(content)

    def ints(self, values: Ints) -> None:
        """Put a vector of integers in the least width that holds them all."""
        width = _least_width(values)
        self._parts.append(struct.pack("<BI", width, len(values)))
        self._parts.append(values.astype(f"<i{width}").tobytes())

    def finish(self) -> bytes:
        """Give everything, and its checksum."""
        content = b"".join(self._parts)
        return content + struct.pack("<I", zlib.crc32(content))


class Reader:
    """Takes parts one after the other, none of which reaches beyond the end."""

    def __init__(self, content: bytes, magic: bytes, version: int, called: str) -> None:
        self._called = called
        if len(content) > LARGEST:
            self.refuse(f"it has {len(content)} bytes; {LARGEST} are allowed")
        if content[: len(magic)] != magic:
            self.refuse(f"it begins with {content[: len(magic)]!r} and not with {magic!r}")
        self._content, self._place = memoryview(content)[:-4], len(magic)
        found = self.number("H")
        if found != version:
            self.refuse(f"it has version {found}; {version} is known")
        if struct.pack("<I", zlib.crc32(self._content)) != content[-4:]:
            self.refuse("its checksum is not that of its content")

    def refuse(self, why: str) -> NoReturn:
        """Raise InputError."""
        raise InputError(f"not a {self._called}: {why}")

    def raw(self, size: int) -> memoryview:
        """Take bytes."""
        if size > len(self._content) - self._place:
            self.refuse(f"it ends at byte {len(self._content)} within {size} bytes from {self._place} on")
        self._place += size
        return self._content[self._place - size : self._place]

    def number(self, form: str) -> int:
        """Take an integer; `form` is struct's."""
        (value,) = struct.unpack("<" + form, self.raw(struct.calcsize("<" + form)))
        return int(value)

    def size(self, what: str, most: int) -> int:
        """Take a number of things."""
        found = self.number("I")
        if found > most:
            self.refuse(f"it has {found} {what}; {most} are allowed")
        return found

    def text(self, most: int) -> str:
        """Take text of at most that many bytes."""
        size = self.number("H")
        if size > most:
            self.refuse(f"it has a text of {size} bytes; {most} are allowed")
        try:
            return str(self.raw(size), "utf-8")
        except UnicodeDecodeError as error:
            self.refuse(f"it has a text that is no UTF-8: {error}")

    def array(self, form: str, size: int) -> npt.NDArray[Any]:
        """Take a vector of numbers; `form` is numpy's."""
        kind = np.dtype(form)
        return np.frombuffer(self.raw(size * kind.itemsize), kind).astype(kind.newbyteorder("="))

    def ints(self, what: str, size: int) -> Ints:
        """Take a vector of exactly that many integers."""
        width, found = self.number("B"), self.number("I")
        if width not in _WIDTHS or found != size:
            self.refuse(f"{what} are {found} integers of {width} bytes; {size} of 1, 2, 4 or 8 are wanted")
        values: Ints = self.array(f"<i{width}", size).astype(np.int64)
        if width != _least_width(values):
            self.refuse(f"{what} take {width} bytes each; {_least_width(values)} hold them")
        return values

    def finish(self) -> None:
        """Expect the end."""
        if self._place != len(self._content):
            self.refuse(f"it has {len(self._content) - self._place} bytes too many")


def _least_width(values: Ints) -> int:
    low, high = (int(values.min()), int(values.max())) if len(values) else (0, 0)
    return next(width for width in _WIDTHS if -(1 << (8 * width - 1)) <= low and high < 1 << (8 * width - 1))
