"""What a pickle would import, read from its opcodes: nothing of it is executed.

The opcodes' arguments and effects are those of the standard library's `pickletools`. The names of imports are kept on a
stack that holds texts alone, so that a name which the pickle itself makes up stays unknown, and is told as that.
"""

from __future__ import annotations

import mmap
import pickletools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

Data = bytes | mmap.mmap

MOST_NAMES = 500
UNKNOWN = "?"
"""A name that the pickle makes up while it is loaded."""
_MOST_PICKLES = 64
_LONGEST_TEXT = 200
_LONGEST_LINE = 64 << 10
_PROTO = 0x80
_LENGTHS = {
    pickletools.TAKEN_FROM_ARGUMENT1: (1, False),
    pickletools.TAKEN_FROM_ARGUMENT4: (4, True),
    pickletools.TAKEN_FROM_ARGUMENT4U: (4, False),
    pickletools.TAKEN_FROM_ARGUMENT8U: (8, False),
}
# Imports of protocol 4 and of protocols before, for bytes that do not follow each other as opcodes do: joblib puts the
# values of arrays between them.
# Each begins with a byte that is searched for fast.
_MODULE, _NAME = rb"([A-Za-z_][\w.]{1,99})", rb"([A-Za-z_][\w.]{2,99})"
_NAMES = [
    re.compile(rb"\x8c[\x01-\xff]" + _MODULE + rb"\x94?\x8c[\x01-\xff]" + _NAME + rb"\x94?\x93"),
    re.compile(rb"c" + _MODULE + rb"\n" + _NAME + rb"\n"),
    re.compile(rb"i" + _MODULE + rb"\n" + _NAME + rb"\n"),
]
# What makes tensors and arrays, as PyTorch's weights-only reader allows it, and names of TorchScript's own.
_OF_VALUES = re.compile(
    r"torch\._utils\._rebuild_\w+|torch\.[A-Z]\w*Storage|torch\.storage\.\w*Storage|torch\.Size"
    r"|torch\.(?:b?float|u?int|complex|qu?int)\d\w*|torch\.bool|torch\.device"
    r"|torch\.nn\.parameter\.Parameter|torch\.serialization\._get_layout"
    r"|collections\.(?:OrderedDict|defaultdict|Counter)|_codecs\.encode"
    r"|numpy\.(?:_?core\.multiarray|_core\.numeric)\.(?:_reconstruct|scalar|_frombuffer)|numpy\.(?:ndarray|dtype)"
    r"|numpy\.dtypes\.\w+|builtins\.(?:bool|bytearray|bytes|complex|dict|float|frozenset|int|list|set|str|tuple)"
    r"|__torch__\.[\w.]+|torch\.jit\._pickle\.\w+"
    r"|__builtin__\.(?:bytearray|complex|frozenset|set)"
)
# Libraries of models, whose names are no news in one.
_USUAL = frozenset(
    {
        *("catboost", "collections", "copyreg", "joblib", "lightgbm", "numpy", "pandas", "scipy", "sklearn"),
        *("torch", "torchvision", "transformers", "xgboost"),
    }
)


class _Broken(Exception):
    """The bytes are no opcodes."""


class _Mark:
    """Where a part of the stack begins."""


_MARK = _Mark()


@dataclass
class Opcodes:
    """How many opcodes may still be read: reading takes time in their number."""

    left: int = 500_000


@dataclass(frozen=True)
class Pickle:
    """What some bytes would import.

    names: MODULE.NAME, those that surprise most first. complete: whether all bytes were read as opcodes.
    """

    names: tuple[str, ...]
    complete: bool

    @property
    def only_values(self) -> bool:
        """Whether it makes nothing but tensors, arrays and plain values."""
        return self.complete and all(_OF_VALUES.fullmatch(name) for name in self.names)


@dataclass(frozen=True)
class _Effect:
    """What an opcode does to the stack: takes values, down to the topmost mark and then `takes` more, and puts some."""

    name: str
    length: int
    from_mark: bool
    takes: int
    puts: int


def _effects() -> list[_Effect | None]:
    table: list[_Effect | None] = [None] * 256
    for code in pickletools.opcodes:
        before = [one.name for one in code.stack_before]
        from_mark = "mark" in before
        takes = before.index("mark") if from_mark else len(before)
        length = 0 if code.arg is None else code.arg.n
        table[ord(code.code)] = _Effect(code.name, length, from_mark, takes, len(code.stack_after))
    return table


_TABLE = _effects()
_PAIRS = frozenset({"GLOBAL", "INST"})
_TEXTS = frozenset({"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "SHORT_BINSTRING", "BINSTRING"})
_QUOTED = frozenset({"UNICODE", "STRING"})
_PUTS = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
_GETS = frozenset({"GET", "BINGET", "LONG_BINGET"})
_EXTENSIONS = frozenset({"EXT1", "EXT2", "EXT4"})


@dataclass
class _Machine:
    """A stack and a memo that hold texts, and None for all else."""

    data: Data
    names: set[str]
    stack: list[str | _Mark | None] = field(default_factory=list)
    memo: dict[int, str | None] = field(default_factory=dict)
    underflows: bool = False

    def run(self, place: int, opcodes: Opcodes) -> int:
        """Read opcodes from `place` to behind the next STOP, and say where that is.

        Raises:
            _Broken: they end before, or are none.
        """
        while opcodes.left > 0:
            opcodes.left -= 1
            if place >= len(self.data):
                raise _Broken
            effect = _TABLE[self.data[place]]
            if effect is None:
                raise _Broken
            start, end, place = self._argument(effect, place + 1)
            self._do(effect, start, end)
            if effect.name == "STOP":
                return place
        raise _Broken

    def _argument(self, effect: _Effect, place: int) -> tuple[int, int, int]:
        """Where the argument begins and ends, and where the next opcode is."""
        if effect.length >= 0:
            end = place + effect.length
        elif effect.length in _LENGTHS:
            size, signed = _LENGTHS[effect.length]
            length = int.from_bytes(self.data[place : place + size], "little", signed=signed)
            place += size
            end = place + length
            if length < 0:
                raise _Broken
        else:
            end = self._line_end(place)
            if effect.name in _PAIRS:
                end = self._line_end(end + 1)
            return place, end, end + 1
        if end > len(self.data):
            raise _Broken
        return place, end, end

    def _line_end(self, place: int) -> int:
        end = self.data.find(b"\n", place, place + _LONGEST_LINE)
        if end < 0:
            raise _Broken
        return end

    def _do(self, effect: _Effect, start: int, end: int) -> None:
        name = effect.name
        if name == "MEMOIZE":
            self.memo[len(self.memo)] = self._top()
        elif name in _PUTS:
            self.memo[self._number(name, start, end)] = self._top()
        elif name in _GETS:
            self.stack.append(self.memo.get(self._number(name, start, end)))
        elif name == "DUP":
            self.stack.append(self._top())
        elif name == "STACK_GLOBAL":
            *_, module, called = [None, None, *self.stack[-2:]]
            self._import(_text(module), _text(called))
            self._take(effect)
            self.stack.append(None)
        else:
            self._take(effect)
            self._put(effect, start, end)

    def _take(self, effect: _Effect) -> None:
        if effect.from_mark:
            while self.stack and self.stack[-1] is not _MARK:
                self.stack.pop()
            self.underflows |= not self.stack
            del self.stack[-1:]
        if effect.takes > len(self.stack):
            self.underflows = True
        if effect.takes:
            del self.stack[-effect.takes :]

    def _put(self, effect: _Effect, start: int, end: int) -> None:
        name = effect.name
        if name in _PAIRS:
            module, _, called = bytes(self.data[start:end]).decode(errors="replace").partition("\n")
            self._import(module, called)
        elif name in _EXTENSIONS:
            self._import("copyreg", f"extension {int.from_bytes(self.data[start:end], 'little')}")
        value: str | _Mark | None = None
        if name == "MARK":
            value = _MARK
        elif name in _TEXTS and end - start <= _LONGEST_TEXT:
            value = bytes(self.data[start:end]).decode(errors="replace")
        elif name in _QUOTED and end - start <= _LONGEST_TEXT:
            value = bytes(self.data[start:end]).strip(b"'\"").decode("unicode_escape", "replace")
        self.stack.extend([value] * effect.puts)

    def _top(self) -> str | None:
        top = self.stack[-1] if self.stack else None
        return top if isinstance(top, str) else None

    def _number(self, name: str, start: int, end: int) -> int:
        raw = bytes(self.data[start:end])
        if name in ("PUT", "GET"):
            if not raw.isdigit() or len(raw) > 9:
                raise _Broken
            return int(raw)
        return int.from_bytes(raw, "little")

    def _import(self, module: str, called: str) -> None:
        if len(self.names) < MOST_NAMES:
            self.names.add(f"{module}.{called}"[:_LONGEST_TEXT])


def read_pickle(data: Data, place: int, opcodes: Opcodes) -> Pickle:
    """Read the pickles that stand one behind the other from `place` on.

    What follows that is no opcode, such as the values of joblib's arrays, is searched for what imports look like.
    """
    names: set[str] = set()
    complete = False
    try:
        for _ in range(_MOST_PICKLES):
            place = _Machine(data, names).run(place, opcodes)
            if place >= len(data) or data[place] != _PROTO:
                complete = place >= len(data)
                break
    except _Broken:
        pass
    if not complete:
        names.update(_searched(data, place))
    return Pickle(tuple(sorted(names, key=_surprise)[:MOST_NAMES]), complete)


def is_early_pickle(data: Data, opcodes: Opcodes) -> bool:
    """Whether it is a pickle of protocol 0 or 1, which have no first bytes of their own, that imports something."""
    names: set[str] = set()
    machine = _Machine(data, names)
    try:
        machine.run(0, opcodes)
    except _Broken:
        return False
    return bool(names) and not machine.underflows


def _searched(data: Data, place: int) -> Iterator[str]:
    for form in _NAMES:
        for found in form.finditer(data, place):
            yield f"{found[1].decode()}.{found[2].decode()}"


def _text(value: str | _Mark | None) -> str:
    return value if isinstance(value, str) else UNKNOWN


def _surprise(name: str) -> tuple[int, str]:
    """Order names: what a model has no use for, then its libraries, then plain values."""
    if _OF_VALUES.fullmatch(name):
        return 2, name
    return int(name.partition(".")[0] in _USUAL), name
