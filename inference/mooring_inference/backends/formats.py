"""Which format a model has, told by its content, and how to load it."""

from __future__ import annotations

from pathlib import Path

from mooring_inference.backends.base import Backend, LoadOptions
from mooring_inference.backends.onnx import load_onnx
from mooring_inference.errors import ModelLoadError

__all__ = ["find_model", "load_model"]


def load_model(path: Path, options: LoadOptions) -> Backend:
    """Load the model in a folder, or a file.

    Raises:
        ModelLoadError: nothing there can be served; the message is one line that says why.
    """
    return load_onnx(find_model(path), options)


def find_model(model_dir: Path) -> Path:
    """The one .onnx file in a folder, searched below it where the top holds none; or the file itself.

    Raises:
        ModelLoadError: there is no such path, no .onnx file or more than one.
    """
    if model_dir.is_file():
        return model_dir
    if not model_dir.is_dir():
        raise ModelLoadError(f"{model_dir} does not exist")
    found = sorted(model_dir.glob("*.onnx")) or sorted(model_dir.rglob("*.onnx"))
    if not found:
        raise ModelLoadError(f"no .onnx file in {model_dir}")
    if len(found) > 1:
        names = ", ".join(str(path.relative_to(model_dir)) for path in found)
        raise ModelLoadError(f"{len(found)} .onnx files in {model_dir}, expected one: {names}")
    return found[0]
