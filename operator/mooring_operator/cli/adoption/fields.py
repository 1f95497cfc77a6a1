"""Reads objects whose definition is somebody else's: what nobody has read of one is what is not carried over."""

from collections.abc import Iterator, Mapping
from typing import Any, Self

from mooring_operator.cli.errors import CliError


class Fields:
    """The fields of one object, at its place in the whole.

    Whoever reads a field answers for it; `left_out` names all others that say something.
    """

    def __init__(self, value: Any, place: str) -> None:
        """Begin with nothing read.

        Raises:
            CliError: the value is no object.
        """
        self._value: Mapping[str, Any] = _checked(
            value if value is not None else {}, dict, place, "an object"
        )
        self.place = place
        self._read: set[str] = set()
        self._told: dict[str, str] = {}
        self._parts: dict[str, list[Self]] = {}

    def __contains__(self, name: str) -> bool:
        """Whether a field says something."""
        return not _says_nothing(self._value.get(name))

    @property
    def names(self) -> list[str]:
        """The fields that are written, whether they say something or not."""
        return [str(name) for name in self._value]

    def any(self, name: str) -> Any:
        """Give a field of whatever type; None where it is missing."""
        self._read.add(name)
        return self._value.get(name)

    def part(self, name: str) -> Self:
        """Give the object in a field, an empty one where it is missing."""
        part = type(self)(self.any(name), f"{self.place}.{name}")
        self._parts[name] = [part]
        return part

    def parts(self, name: str) -> list[Self]:
        """Give the objects of a list."""
        place = f"{self.place}.{name}"
        items = _checked(self.any(name) or [], list, place, "a list")
        parts = [type(self)(item, f"{place}[{index}]") for index, item in enumerate(items)]
        self._parts[name] = parts
        return parts

    def list(self, name: str) -> list[Any]:
        """Give a list of whatever."""
        found: list[Any] = _checked(self.any(name) or [], list, f"{self.place}.{name}", "a list")
        return found

    def whole(self, name: str) -> int | None:
        """Give a whole number; None where it is missing."""
        value = self.any(name)
        if value is None:
            return None
        number: int = _checked(value, int, f"{self.place}.{name}", "a whole number")
        return number

    def number(self, name: str) -> float | None:
        """Give a number; None where it is missing."""
        value = self.any(name)
        if value is None:
            return None
        return float(_checked(value, (int, float), f"{self.place}.{name}", "a number"))

    def text(self, name: str) -> str:
        """Give a text, empty where it is missing."""
        value = self.any(name)
        found: str = _checked("" if value is None else value, str, f"{self.place}.{name}", "a text")
        return found

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Give a truth value."""
        value = self.any(name)
        found: bool = _checked(
            default if value is None else value, bool, f"{self.place}.{name}", "true or false"
        )
        return found

    def peek(self, name: str) -> Any:
        """Give a field, and leave it to others to answer for it."""
        return self._value.get(name)

    def first(self, name: str) -> Self:
        """Give the first object of a list, an empty one where there is none; the others are not carried over."""
        parts = self.parts(name)
        for index, part in enumerate(parts[1:], 1):
            self.tell(f"{name}[{index}]", str(part.peek("name") or "there is one place for it"))
        kept = parts[:1] or [type(self)({}, f"{self.place}.{name}[0]")]
        self._parts[name] = kept
        return kept[0]

    def only(self, name: str) -> Self:
        """Give the object in a field; whoever asks answers for all of it."""
        return type(self)(self.any(name), f"{self.place}.{name}")

    def answer_for_all(self) -> None:
        """Leave no field for `left_out` to name: something is told of the whole."""
        self._read.update(self.names)

    def tell(self, name: str, why: str = "") -> None:
        """Say that a field, or what stands below it, is not carried over as it is, and why."""
        self._read.add(name)
        self._told[name] = why

    def left_out(self, reasons: Mapping[str, str]) -> Iterator[str]:
        """Yield the place of each field that is not carried over, with the reason where one is known.

        reasons: by the name of a field, wherever it stands.
        """
        for name, why in self._told.items():
            yield _line(self.place, name, why)
        # What is missing may have been told of too.
        for name in dict.fromkeys((*self._value, *self._parts)):
            if name not in self._read and name in self:
                yield _line(self.place, name, reasons.get(name, ""))
            for part in self._parts.get(name, ()):
                yield from part.left_out(reasons)


def _line(place: str, name: str, why: str) -> str:
    whole = f"{place}.{name}" if name else place
    return f"{whole}: {why}" if why else whole


def _says_nothing(value: Any) -> bool:
    return value is None or value is False or value in ({}, [], "")


def _checked(value: Any, kind: type | tuple[type, ...], place: str, allowed: str) -> Any:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise CliError(f"{place}: {value!r:.80} is not {allowed}")
    return value
