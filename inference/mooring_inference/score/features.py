"""Names of features that come with a model."""

from __future__ import annotations

import json
from pathlib import Path

from mooring_inference.errors import ModelLoadError


def read_feature_names(model_dir: Path) -> tuple[str, ...]:
    """The names in ``features.json`` beside the model: a list, or ``{"features": [...]}``; empty without one.

    Raises:
        ModelLoadError: the file holds something else.
    """
    path = (model_dir if model_dir.is_dir() else model_dir.parent) / "features.json"
    if not path.is_file():
        return ()
    try:
        document = json.loads(path.read_bytes())
    except ValueError as exc:
        raise ModelLoadError(f"{path}: not JSON: {exc}") from None
    names = document.get("features") if isinstance(document, dict) else document
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ModelLoadError(f'{path}: expected a list of names, or {{"features": [...]}}')
    return tuple(names)
