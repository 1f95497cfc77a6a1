"""One setting of a command: a flag, its value, and what is said about it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Setting:
    """One flag.

    Attributes:
        name: without its dashes, in KServe's spelling.
        help: a phrase that says what it does.
        value: what stands for the value, such as ``PORT``; empty for a flag that takes none.
        parse: makes the value of text; raises ``argparse.ArgumentTypeError``.
        default: the value where the flag is not given.
        otherwise: what happens without a value, in words, where that is more than the default says.
        choices: the values that there are; empty for any.
        environment: the variable whose value counts where the flag is not given; empty for none.
        required: whether the flag or its variable must be given.
        secret: the variable that holds the content of the flag's file where no file is given; empty for none.
    """

    name: str
    help: str
    value: str = ""
    parse: Callable[[str], object] = str
    default: object = None
    otherwise: str = ""
    choices: tuple[str, ...] = ()
    environment: str = ""
    required: bool = False
    secret: str = ""

    @property
    def default_text(self) -> str:
        """The default in words; empty where there is nothing to say about it."""
        if self.required:
            return "needed"
        if self.otherwise or self.default in (None, ()) or not self.value:
            return self.otherwise
        return f"{self.default:g}" if isinstance(self.default, float) else str(self.default)

    @property
    def variable(self) -> str:
        """The environment variable that stands in for the flag; empty for none."""
        return self.environment or self.secret


@dataclass(frozen=True, slots=True)
class Group:
    """Settings of one subject."""

    title: str
    settings: tuple[Setting, ...]


def names(text: str) -> tuple[str, ...]:
    """Parse names separated by commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def path(text: str) -> Path:
    """Parse a path."""
    return Path(text)


def _number(
    convert: Callable[[str], float], allowed: Callable[[float], bool], wanted: str
) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = convert(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"expected {wanted}, got {text!r}") from None
        if not allowed(value):
            raise argparse.ArgumentTypeError(f"expected {wanted}, got {text!r}")
        return value

    return parse


positive_number = _number(float, lambda value: 0 < value < 1e9, "a number above 0")
positive = _number(int, lambda value: value > 0, "a whole number above 0")
port = _number(int, lambda value: 0 <= value < 65536, "a port from 0 to 65535")
not_negative = _number(float, lambda value: 0 <= value < 1e9, "a number, 0 or more")
