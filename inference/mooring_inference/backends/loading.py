"""Load whatever stands in a model's folder.

What only MLflow's folders need is imported when there is one.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import cast

from mooring_inference.backends.base import Backend, LoadOptions
from mooring_inference.backends.files import load_file
from mooring_inference.backends.formats import MLMODEL, find_model


def load_model(path: Path, options: LoadOptions) -> Backend:
    """Load the model in a folder, or a file.

    Args:
        path: a folder with an ``MLmodel`` file (MLflow) or with one model file, or a file of ONNX, torch.export,
            TorchScript or safetensors. Names' endings do not matter, except to find the file.
        options: how.

    Raises:
        ModelLoadError: nothing there can be served; the message is one line that says why.
    """
    found = find_model(path)
    if found.name == MLMODEL:
        module = importlib.import_module("mooring_inference.backends.mlflow.folder")
        return cast(Backend, module.load_mlflow(found.parent, options))
    return load_file(found, options)
