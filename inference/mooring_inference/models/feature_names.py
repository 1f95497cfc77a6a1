"""Names of features, and their profile, that come with a model."""

from __future__ import annotations

from pathlib import Path

from mooring_artifacts import feature_names
from mooring_artifacts.errors import InputError
from mooring_artifacts.window_states import Profile, files

from mooring_inference.errors import ModelLoadError
from mooring_inference.tensors import Signature


def read_feature_names(model_dir: Path, signature: Signature) -> dict[str, tuple[str, ...]]:
    """Return the names in ``features.json`` beside the model, by input; without them those that it has of itself.

    Raises:
        ModelLoadError: the file holds something else, or names of an input that the model does not have.
    """
    try:
        names = feature_names.read_feature_names(model_dir, [spec.name for spec in signature.inputs])
    except InputError as exc:
        raise ModelLoadError(str(exc)) from None
    return {**signature.input_columns, **names}


def read_profile(model_dir: Path) -> Profile | None:
    """Return what is in ``profile.bin`` beside the model; None where there is none.

    Raises:
        ModelLoadError: the file holds something else.
    """
    try:
        return files.read_profile(model_dir)
    except InputError as exc:
        raise ModelLoadError(str(exc)) from None
