"""Which format a model has, told by its content, and how to load it."""

from __future__ import annotations

from pathlib import Path

from mooring_inference.backends.base import Backend, LoadOptions
from mooring_inference.backends.onnx import find_model, load_onnx

__all__ = ["find_model", "load_model"]


def load_model(path: Path, options: LoadOptions) -> Backend:
    """Load the model in a folder, or a file.

    Raises:
        ModelLoadError: nothing there can be served; the message is one line that says why.
    """
    return load_onnx(path, options)
