"""Finds and reads the manifests that a command was given."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mooring_operator.cli.errors import CliError

_SUFFIXES = (".yaml", ".yml", ".json")


@dataclass(frozen=True)
class Manifest:
    """The text of a file; `label` is how messages call it."""

    label: str
    text: str


def read_manifests(names: Iterable[str]) -> Iterator[Manifest]:
    """Read files, the manifests below folders, and standard input for ``-``.

    Raises:
        CliError: something cannot be read, or a folder holds no manifest.
    """
    for found in read_each(names):
        if isinstance(found, CliError):
            raise found
        yield found


def read_each(names: Iterable[str]) -> Iterator[Manifest | CliError]:
    """Read what can be read, as `read_manifests` does; an error stands in the place of what cannot."""
    for name in names:
        if name == "-":
            yield Manifest("<stdin>", sys.stdin.read())
            continue
        try:
            paths = _paths(Path(name))
        except CliError as error:
            yield error
            continue
        for path in paths:
            try:
                yield Manifest(str(path), _read(path))
            except CliError as error:
                yield error


def _paths(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(child for child in path.rglob("*") if child.suffix in _SUFFIXES and child.is_file())
    if not found:
        raise CliError(f"{path}: no {', '.join(_SUFFIXES)} file in this folder")
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise CliError(f"{path}: no such file") from None
    except UnicodeDecodeError:
        raise CliError(f"{path}: is no UTF-8 text") from None
    except OSError as error:
        raise CliError(f"{path}: {error.strerror or error}") from None
