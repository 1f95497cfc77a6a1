"""Load whatever stands in a model's folder.

What only MLflow's folders need is imported when there is one.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import cast

from mooring_artifacts.errors import InputError
from mooring_artifacts.loaded_files import HashedFiles, check_loaded
from mooring_artifacts.local_files import files_below

from mooring_inference.backends.base import Backend, LoadOptions
from mooring_inference.backends.files import load_file
from mooring_inference.backends.formats import MLMODEL, find_model
from mooring_inference.errors import ModelLoadError

# A folder of several models has one digest, and is not read again for each of them as long as nobody writes there.
_tested: dict[tuple[Path, str], HashedFiles] = {}


def load_model(path: Path, options: LoadOptions) -> Backend:
    """Load the model in a folder, or a file.

    Args:
        path: a folder with an ``MLmodel`` file (MLflow) or with one model file, or a file of ONNX, torch.export,
            TorchScript or safetensors. Names' endings do not matter, except to find the file.
        options: how.

    Raises:
        ModelLoadError: nothing there can be served, or it is not what was tested; the message is one line that says
            why.
    """
    found = find_model(path)
    check_content(path, options)
    if found.name == MLMODEL:
        module = importlib.import_module("mooring_inference.backends.mlflow.folder")
        return cast(Backend, module.load_mlflow(found.parent, options))
    return load_file(found, options)


def check_content(path: Path, options: LoadOptions) -> None:
    """Do nothing where the files are those that the options name.

    Raises:
        ModelLoadError: they are others, or cannot be read.
    """
    if options.digest is not None:
        check_tested(options.digest_of or path, options.digest)


def check_tested(root: Path, digest: str) -> HashedFiles:
    """Return the files at `root` where they have the digest of what was tested.

    Raises:
        ModelLoadError: they have another, or cannot be read.
    """
    known = _tested.get((root, digest))
    if known is not None and known.changed(root) is None and known.stamps.keys() == _names(root):
        return known
    try:
        found = check_loaded(root, digest)
    except InputError as error:
        raise ModelLoadError(f"{error}: it is not the model that was tested") from None
    _tested[root, digest] = found
    return found


def _names(root: Path) -> set[str]:
    try:
        return {file.path for file in files_below(root) if file.size}
    except OSError:
        return set()
