"""What an ONNX file asks for beside itself, such as files with its weights, and how many weights it has.

The message `ModelProto` is read field by field, by the wire format of protocol buffers; tensors are stepped over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from mooring_components.scanning.pickles import Data

_Kind = Literal[
    "model", "graph", "function", "training", "node", "attribute", "tensor", "weights", "sparse", "entry"
]
# Field numbers of onnx.proto3, of the messages that lead to tensors and nodes.
_PARTS: Mapping[_Kind, Mapping[int, _Kind]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "weights", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "weights", 2: "tensor"},
    "tensor": {13: "entry"},
    "weights": {13: "entry"},
    "entry": {},
}
_TEXTS: Mapping[tuple[_Kind, int], str] = {
    ("node", 7): "operators",
    ("function", 10): "functions",
    ("entry", 1): "key",
    ("entry", 2): "value",
}
_DIMENSION, _TYPE = 1, 2
"""Of a tensor: one of its sizes, or several of them packed, and of which type it is."""
_TRAINED = frozenset({1, 2, 3, 10, 11, *range(16, 24)})
"""Types of weights: numbers of floating point, and of 4 or 8 bits, as which they are quantized. Others are shapes,
indices and texts."""
_STANDARD = frozenset({"", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview.training"})
_RUNTIME = "com.microsoft"
"""ONNX Runtime's own operators, which it always has."""
_LOCATION = "location"
_LONGEST_TEXT = 1024
_MOST_TEXTS = 1000
_DEEPEST = 24
_MOST_NUMBERS = 1 << 62
"""In one tensor."""
_MOST_FIELDS = 1_000_000
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class _Unreadable(Exception):
    """The bytes are no message."""


@dataclass
class OnnxFile:
    """locations: files with weights, as it names them. domains: of its operators, but for those that are there anyway
    or that it defines itself. weights: how many numbers its initializers have. complete: whether all of it was read.
    """

    locations: set[str] = field(default_factory=set)
    domains: set[str] = field(default_factory=set)
    weights: int = 0
    complete: bool = True


def read_onnx(data: Data) -> OnnxFile:
    """Read the file as far as it is a message."""
    reader = _Reader(data)
    try:
        reader.read("model", 0, len(data), 0)
        complete = True
    except _Unreadable:
        complete = False
    asked = {name for name in reader.domains["operators"] if name != _RUNTIME}
    domains = asked - reader.domains["functions"] - _STANDARD
    return OnnxFile(reader.locations, domains, reader.weights, complete)


class _Reader:
    def __init__(self, data: Data) -> None:
        self._data = data
        self._left = _MOST_FIELDS
        self.locations: set[str] = set()
        self.weights = 0
        self.domains: dict[str, set[str]] = {"operators": set(), "functions": set()}

    def read(self, kind: _Kind, place: int, end: int, depth: int) -> None:
        """Read a message of a kind, from `place` to `end`."""
        if depth > _DEEPEST:
            raise _Unreadable
        texts: dict[str, str] = {}
        size, type_ = 1, 0
        while place < end:
            number, start, value, place = self._field(place, end)
            if kind == "weights" and number == _DIMENSION:
                size = self._times(size, value, start, place)
            elif kind == "weights" and number == _TYPE:
                type_ = value
            elif start is None:
                continue
            elif (part := _PARTS[kind].get(number)) is not None:
                self.read(part, start, place, depth + 1)
            elif (called := _TEXTS.get((kind, number))) is not None:
                texts[called] = bytes(self._data[start : min(place, start + _LONGEST_TEXT)]).decode(
                    errors="replace"
                )
        self._note(texts)
        if type_ in _TRAINED:
            self.weights += size

    def _times(self, size: int, value: int, start: int | None, end: int) -> int:
        """The size times one that stands for itself, or times those that are packed from `start` to `end`."""
        place = end if start is None else start
        size *= value if start is None else 1
        while place < end and size <= _MOST_NUMBERS:
            value, place = self._varint(place, end)
            size *= value
        if size > _MOST_NUMBERS:
            raise _Unreadable
        return size

    def _note(self, texts: Mapping[str, str]) -> None:
        for called, found in self.domains.items():
            if called in texts and len(found) < _MOST_TEXTS:
                found.add(texts[called])
        if texts.get("key") == _LOCATION and len(self.locations) < _MOST_TEXTS:
            self.locations.add(texts.get("value", ""))

    def _field(self, place: int, end: int) -> tuple[int, int | None, int, int]:
        """The number of a field, where its bytes begin where it has some, else its value, and where the next one is."""
        self._left -= 1
        if self._left < 0:
            raise _Unreadable
        tag, place = self._varint(place, end)
        start, value = None, 0
        match tag & 7:
            case wire if wire == _VARINT:
                value, place = self._varint(place, end)
            case wire if wire == _FIXED64:
                place += 8
            case wire if wire == _FIXED32:
                place += 4
            case wire if wire == _BYTES:
                length, start = self._varint(place, end)
                place = start + length
            case _:
                raise _Unreadable
        if place > end:
            raise _Unreadable
        return tag >> 3, start, value, place

    def _varint(self, place: int, end: int) -> tuple[int, int]:
        value = 0
        for shift in range(0, 70, 7):
            if place >= end:
                break
            byte = self._data[place]
            place += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, place
        raise _Unreadable
