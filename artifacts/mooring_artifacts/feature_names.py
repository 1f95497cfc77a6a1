"""`features.json` beside a model: the names of the features that its inputs take.

{"x": ["age", "income"], "t": ["hour"]}    names by input
["age", "income"]                          for a model with one input
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from mooring_artifacts.errors import InputError

FILE = "features.json"
_LARGEST_BYTES = 4 << 20


def read_feature_names(model: Path, inputs: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The names by input, from the model's folder or the folder around its file; empty without `features.json`.

    Args:
        model: the model's file or folder.
        inputs: the names of the model's inputs.

    Raises:
        InputError: the file is something else, or names an input that the model does not have.
    """
    path = (model if model.is_dir() else model.parent) / FILE
    if not path.is_file():
        return {}
    document = _read(path)
    if isinstance(document, list):
        if len(inputs) != 1:
            raise InputError(
                f"{path}: a list of names is for a model with one input, and this one has "
                f'{", ".join(inputs)}: write {{"INPUT": ["NAME", ...]}}'
            )
        document = {inputs[0]: document}
    if not isinstance(document, dict) or not all(map(_is_names, document.values())):
        raise InputError(f'{path}: expected {{"INPUT": ["NAME", ...]}}')
    for name, features in document.items():
        if name not in inputs:
            raise InputError(f"{path}: the model has no input {name!r:.100}; it has {', '.join(inputs)}")
        if len(set(features)) < len(features):
            raise InputError(f"{path}: a name of input {name} is there twice")
    return {name: tuple(features) for name, features in document.items()}


def _read(path: Path) -> object:
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise InputError(f"{path}: more than {_LARGEST_BYTES >> 20} MiB are too many for names")
        return json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON: {error}") from error


def _is_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) and name for name in value)
