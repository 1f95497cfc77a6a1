"""Finds and reads the manifests that a command was given."""

import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from mooring_operator.cli.errors import CliError

_SUFFIXES = (".yaml", ".yml", ".json")
# All of a large cluster's manifests are a tenth of it; what never ends, as /dev/zero, is not read to its end.
_LARGEST = 64 << 20


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
        try:
            paths: list[Path | None] = [None] if name == "-" else [*_paths(name)]
        except CliError as error:
            yield error
            continue
        for path in paths:
            try:
                yield _read_stdin() if path is None else Manifest(str(path), _read(path))
            except CliError as error:
                yield error


def _read_stdin() -> Manifest:
    label = "<stdin>"
    return Manifest(label, _text(sys.stdin.buffer, label))


def _paths(name: str) -> list[Path]:
    # An empty name would be the folder that this runs in.
    if not name:
        raise CliError("'' is no name of a file or folder")
    path = Path(name)
    # What may not be looked at is no folder here: opening it says why.
    if not os.path.isdir(path):
        return [path]
    found = sorted(child for child in _below(path) if child.suffix in _SUFFIXES)
    if not found:
        raise CliError(f"{path}: no {', '.join(_SUFFIXES)} file in this folder")
    return found


def _below(folder: Path) -> Iterator[Path]:
    def stop(error: OSError) -> None:
        raise CliError(f"{error.filename}: {error.strerror}")

    for place, _, names in os.walk(folder, onerror=stop):
        yield from (path for name in names if os.path.isfile(path := Path(place, name)))


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return _text(file, str(path))
    except FileNotFoundError:
        raise CliError(f"{path}: no such file") from None
    except OSError as error:
        raise CliError(f"{path}: {error.strerror or error}") from None


def _text(file: IO[bytes], label: str) -> str:
    content = file.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise CliError(f"{label}: more than {_LARGEST >> 20} MiB are no manifest")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise CliError(f"{label}: is no UTF-8 text") from None
