"""``storageUri`` to a folder with the model, as a storage initializer would fill /mnt/models."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mooring_artifacts.errors import InputError
from mooring_artifacts.uris import parse

from cluster.serving.predictors import Document
from cluster.serving.status import Failure


class UnusablePredictorError(Exception):
    """A predictor that cannot be run here; carries the failure for status."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def model_source(predictor: Document, roots: Sequence[Path]) -> Path:
    """The file or folder that ``model.storageUri`` names.

    Raises:
        UnusablePredictorError: no model, another scheme than file, or a path outside of the roots.
    """
    model: dict[str, Any] = predictor.get("model") or {}
    uri = model.get("storageUri")
    if not uri:
        raise _unusable("InvalidPredictorSpec", "predictor.model.storageUri is missing")
    try:
        address = parse(uri, "storageUri")
    except InputError as error:
        raise _unusable("ModelLoadFailed", str(error)) from error
    if address.scheme != "file":
        raise _unusable("ModelLoadFailed", f"storageUri {uri}: only file:///... can be read here")
    path = address.path.resolve()
    if not any(path.is_relative_to(root.resolve()) for root in roots):
        raise _unusable("ModelLoadFailed", f"storageUri {uri} is outside of the models folder")
    if not path.exists():
        raise _unusable("ModelLoadFailed", f"storageUri {uri}: there is nothing")
    return path


def copy_model(source: Path, target: Path) -> None:
    """Copy a model file, or what is in a model folder, to a fresh ``target`` folder."""
    shutil.rmtree(target, ignore_errors=True)
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        target.mkdir(parents=True)
        shutil.copy2(source, target)


def _unusable(reason: str, message: str) -> UnusablePredictorError:
    return UnusablePredictorError(Failure(reason, message))
