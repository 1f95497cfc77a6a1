"""Reads and writes the parts that the binary forms are made of."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from mooring_artifacts.errors import InputError

Ints = npt.NDArray[np.int64]

LARGEST = 64 << 20
"""Bytes of a profile or a state; more are not read."""

_WIDTHS = (1, 2, 4, 8)
_IS_WIDTH = np.isin(np.arange(256), _WIDTHS)
_HIGHEST = 1 << 48


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
        width = _width_of(int(values.min()), int(values.max())) if len(values) else 1
        self._parts.append(struct.pack("<BI", width, len(values)))
        self._parts.append(values.astype(f"<i{width}").tobytes())

    def counts(self, values: Ints, starts: Ints) -> None:
        """Put numbers that are not negative, part by part: the width of each part, then all of them."""
        highest = np.maximum.reduceat(values, starts[:-1]) if len(starts) > 1 else values
        widths = _least_widths(highest)
        self._parts.append(widths.astype(np.uint8).tobytes())
        for first, last, width in _runs(widths):
            self._parts.append(values[starts[first] : starts[last]].astype(f"<u{width}").tobytes())

    def finish(self) -> bytes:
        """Give everything, and its checksum."""
        content = b"".join(self._parts)
        return content + struct.pack("<I", zlib.crc32(content))


class Reader:
    """Takes parts one after the other, none of which reaches beyond the end."""

    def __init__(self, content: bytes | bytearray, magic: bytes, version: int, called: str) -> None:
        self._called = called
        if len(content) > LARGEST:
            self.refuse(f"it has {len(content)} bytes; {LARGEST} are allowed")
        if content[: len(magic)] != magic:
            self.refuse(f"it begins with {bytes(content[: len(magic)])!r} and not with {magic!r}")
        self._content, self._place = memoryview(content)[:-4], len(magic)
        found = self.number("H")
        if found != version:
            self.refuse(f"it has version {found}; {version} is known")
        if struct.pack("<I", zlib.crc32(self._content)) != bytes(content[-4:]):
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
        return np.frombuffer(self.raw(size * np.dtype(form).itemsize), form)

    def ints(self, what: str, size: int, low: int, high: int) -> npt.NDArray[np.signedinteger]:
        """Take a vector of exactly that many integers, which are from `low` to `high`; they are as wide as stored."""
        width, found = self.number("B"), self.number("I")
        if width not in _WIDTHS or found != size:
            self.refuse(f"{what} are {found} integers of {width} bytes; {size} of 1, 2, 4 or 8 are wanted")
        values = self.array(f"<i{width}", size)
        least, most = (int(values.min()), int(values.max())) if size else (0, 0)
        if width != _width_of(least, most):
            self.refuse(f"{what} take {width} bytes each; {_width_of(least, most)} hold them")
        if size and (least < low or most > high):
            self.refuse(f"{what} are not from {low} to {high}")
        return values

    def counts(self, what: str, starts: Ints) -> tuple[Ints, Ints]:
        """Take numbers that are not negative, in parts that begin and end at `starts`; and the sum of each part."""
        widths = self.array("u1", len(starts) - 1)
        if not _IS_WIDTH[widths].all():
            self.refuse(f"{what} take {widths.tolist()} bytes each; 1, 2, 4 or 8 are wanted")
        values, highest = np.empty(int(starts[-1]), np.int64), np.empty(len(widths), np.int64)
        for first, last, width in _runs(widths):
            low, high = int(starts[first]), int(starts[last])
            part = self.array(f"<u{width}", high - low)
            values[low:high] = part
            highest[first:last] = np.maximum.reduceat(part, starts[first:last] - low)
        if (highest < 0).any() or (highest > _HIGHEST).any():
            self.refuse(f"{what} are beyond {_HIGHEST}")
        if (_least_widths(highest) != widths).any():
            self.refuse(f"{what} take other widths than the least that hold them")
        return values, np.add.reduceat(values, starts[:-1]) if len(widths) else highest

    def finish(self) -> None:
        """Expect the end."""
        if self._place != len(self._content):
            self.refuse(f"it has {len(self._content) - self._place} bytes too many")


def _width_of(low: int, high: int) -> int:
    """How many bytes hold the integers between two."""
    return next(width for width in _WIDTHS if -(1 << (8 * width - 1)) <= low and high < 1 << (8 * width - 1))


def _least_widths(highest: Ints) -> Ints:
    """How many bytes hold each number that is not negative."""
    return np.array(_WIDTHS)[np.searchsorted([1 << 8, 1 << 16, 1 << 32], highest, "right")]


def _runs(widths: Ints) -> Iterator[tuple[int, int, int]]:
    """Yield from where to where neighbours have the same width, and which."""
    ends = [*(np.flatnonzero(widths[1:] != widths[:-1]) + 1).tolist(), len(widths)]
    for first, last in pairwise([0, *ends]):
        if first < last:
            yield first, last, int(widths[first])
