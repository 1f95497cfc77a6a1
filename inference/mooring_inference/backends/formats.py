"""Which format a model has, told by its content."""

from __future__ import annotations

import zipfile
from pathlib import Path

from mooring_inference.backends.contents import (
    LOADED,
    OLD_EXPORTED,
    TORCH_SAVE,
    ZIP,
    Content,
    identify,
    identify_archive,
)
from mooring_inference.errors import ModelLoadError

MLMODEL = "MLmodel"
# Where files with such names are, others are not looked at: notes, label lists, weights outside of an ONNX file.
MODEL_SUFFIXES = frozenset({".onnx", ".ort", ".pt2", ".pt", ".pth", ".ts", ".torchscript", ".safetensors"})
_SERVED = "ONNX, torch.export (.pt2), TorchScript or safetensors"
_INSTEAD = {
    OLD_EXPORTED: "; export it again with a newer torch",
    TORCH_SAVE: ": use torch.export.save, ONNX or safetensors",
}


def find_model(model_dir: Path) -> Path:
    """Return the one model file, or ``MLmodel`` file, in a folder, searched below it where the top holds none.

    Raises:
        ModelLoadError: there is no such path, no model or more than one.
    """
    if model_dir.is_file():
        return model_dir
    if not model_dir.is_dir():
        raise ModelLoadError(f"{model_dir} does not exist")
    found = _find_in(sorted(model_dir.iterdir())) or _find_in(sorted(model_dir.rglob("*")))
    if not found:
        raise ModelLoadError(f"no model in {model_dir}: expected one file of {_SERVED}, or {MLMODEL}")
    if len(found) > 1:
        names = ", ".join(str(path.relative_to(model_dir)) for path in found)
        raise ModelLoadError(f"{len(found)} models in {model_dir}, expected one: {names}")
    return found[0]


def detect_format(path: Path) -> str:
    """Return the format of a file: ``onnx``, ``exported``, ``torchscript`` or ``safetensors``.

    Raises:
        ModelLoadError: it has none of these; the message says what it is instead, where that is plain.
    """
    found = _sniff(path)
    if found is None:
        # ONNX has no signature of its own; ONNX Runtime says what is wrong with a file that is called so.
        if path.suffix in (".onnx", ".ort"):
            return "onnx"
        raise ModelLoadError(f"{path.name} is not a model that can be served: expected {_SERVED}")
    return found


def _find_in(paths: list[Path]) -> list[Path]:
    files = [path for path in paths if not _is_hidden(path) and path.is_file()]
    folders = [path for path in files if path.name == MLMODEL]
    if folders:
        return folders
    named = [path for path in files if path.suffix in MODEL_SUFFIXES]
    return named or [path for path in files if not path.suffix and _is_model(path)]


def _is_hidden(path: Path) -> bool:
    return path.name.startswith(".")


def _is_model(path: Path) -> bool:
    try:
        return _sniff(path) is not None
    except ModelLoadError:
        return False


def _sniff(path: Path) -> str | None:
    """Return the format by content; None where it is unknown."""
    try:
        with path.open("rb") as file:
            head = file.read(64)
            size = path.stat().st_size
    except OSError as error:
        raise ModelLoadError(f"{path.name} cannot be read: {error.strerror}") from None
    found = _look_into(path) if head.startswith(ZIP) else identify(head, size)
    if found is None or found.name in LOADED:
        return None if found is None else found.name
    what_else = _INSTEAD.get(found, f": expected {_SERVED}")
    raise ModelLoadError(f"{path.name} {found.told}{what_else}")


def _look_into(path: Path) -> Content:
    try:
        with zipfile.ZipFile(path) as archive:
            return identify_archive(archive.namelist())
    except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
        raise ModelLoadError(f"{path.name} is a damaged zip archive: {error}") from None
