"""Load one file by its format.

PyTorch is imported when a PyTorch model is loaded and not before: it takes seconds and hundreds of MB.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import cast

from mooring_inference.backends.base import Backend, LoadOptions
from mooring_inference.backends.formats import detect_format
from mooring_inference.backends.onnx.backend import load_onnx
from mooring_inference.errors import ModelLoadError

_LOADERS = {
    "exported": ("torch.exported", "load_exported"),
    "torchscript": ("torch.torchscript", "load_torchscript"),
    "safetensors": ("torch.state_dict", "load_state_dict"),
}


def load_file(path: Path, options: LoadOptions) -> Backend:
    """Load one file.

    Raises:
        ModelLoadError: it cannot be served.
    """
    name = detect_format(path)
    if name == "onnx":
        return load_onnx(path, options)
    module_name, function = _LOADERS[name]
    try:
        module = importlib.import_module(f"mooring_inference.backends.{module_name}")
    except ModuleNotFoundError as error:
        raise ModelLoadError(
            f"{path.name} needs the package {error.name}, of kube-mooring's extra torch"
        ) from None
    return cast(Backend, getattr(module, function)(path, options))
