"""Writes to the terminal: for people with rich, for machines as JSON or YAML."""

import json
import re
import sys
from enum import StrEnum
from typing import IO, TYPE_CHECKING, Any, cast

from mooring_artifacts.text import visible

if TYPE_CHECKING:
    from rich.console import Console

_WIDTH_WITHOUT_TERMINAL = 100_000


class Format(StrEnum):
    """What a command writes."""

    TEXT = "text"
    JSON = "json"
    YAML = "yaml"


def console(*, stderr: bool = False) -> "Console":
    """Give a console that colours a terminal's text only, and that wraps at the terminal's width.

    What it prints comes from anybody's specs and servers: nothing of it moves the cursor.
    """
    from mooring_operator.cli.console import Console

    made = Console(stderr=stderr, highlight=False, soft_wrap=False, emoji=False)
    if not made.is_terminal and "COLUMNS" not in made._environ:
        # A file or a pipe has no width: a row of a table is a line there, for programs that read lines.
        made = Console(stderr=stderr, highlight=False, emoji=False, width=_WIDTH_WITHOUT_TERMINAL)
    if not made.is_terminal:
        made.file = cast("IO[str]", _WithoutPadding(made.file))
    return made


class _WithoutPadding:
    """A file or a pipe, without the blanks with which tables are filled up to their width."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write whole lines, as a console does."""
        return self._stream.write(re.sub(r" +$", "", text, flags=re.MULTILINE))


def say(text: str, *, style: str | None = None, stderr: bool = False) -> None:
    """Write a line as it is: no markup, no wrapping, so that it can be searched and copied."""
    console(stderr=stderr).print(text, style=style, markup=False, soft_wrap=True)


def dump(value: Any, form: Format) -> None:
    """Write `value` for a machine."""
    if form is Format.YAML:
        import yaml

        text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=110)
        if visible(text, keep="\n") != text:
            text = yaml.safe_dump(value, sort_keys=False, allow_unicode=False, width=110)
        sys.stdout.write(text)
    else:
        sys.stdout.write(visible(json.dumps(value, indent=2, ensure_ascii=False), keep="\n") + "\n")
