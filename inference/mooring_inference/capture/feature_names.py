"""Names of features, from a file beside the model."""

from __future__ import annotations

from pathlib import Path

import orjson

from mooring_inference.capture.settings import CaptureSettingsError

FILE = "features.json"


def read_feature_names(model_dir: Path) -> dict[str, list[str]] | None:
    """``features.json`` of a model's folder, ``{"INPUT": ["NAME", ...]}``; None where there is none.

    Raises:
        CaptureSettingsError: it is something else.
    """
    path = (model_dir if model_dir.is_dir() else model_dir.parent) / FILE
    try:
        document = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, orjson.JSONDecodeError) as error:
        raise CaptureSettingsError(f"{path} cannot be read: {error}") from None
    if not isinstance(document, dict) or not all(map(_is_names, document.values())):
        raise CaptureSettingsError(f'{path}: expected {{"INPUT": ["NAME", ...]}}')
    return document


def _is_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)
