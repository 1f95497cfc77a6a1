"""What a model was trained on its way to be: how many parameters it has, and whether each of them still counts."""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

from mooring_artifacts.errors import first_line
from mooring_inference.backends.formats import find_model
from mooring_inference.backends.onnx.backend import OnnxBackend
from mooring_inference.tensors import Array

from mooring_components.feeding import FedModel, join_requests
from mooring_components.models import Model
from mooring_components.scanning.onnx_files import read_onnx

COUNT, WITHOUT_GRADIENT = "parameters", "parametersWithoutGradient"
ROWS = 32
_UNTOLD = "the model's format does not tell its parameters"
_NO_GRADIENTS = "the model's format gives no gradients"
_MOST_NAMED = 5


@runtime_checkable
class Trained(Protocol):
    """What a backend offers in addition where it knows its parameters."""

    parameter_count: int

    def parameters_without_gradient(self, inputs: Mapping[str, Array]) -> list[str]:
        """Return the names of parameters whose gradient is missing, 0 or not finite."""


def measure_parameters(fed: FedModel) -> dict[str, float | str]:
    """How many numbers were trained, and how many parameters the outputs for some rows do not depend on; or why not.

    Raises:
        InputError: a row does not fit.
    """
    backend = fed.model.backend
    if not isinstance(backend, Trained):
        return {COUNT: _count_in_file(fed.model), WITHOUT_GRADIENT: _NO_GRADIENTS}
    try:
        idle = backend.parameters_without_gradient(join_requests(fed.single_rows(ROWS)))
    except Exception as error:  # what a model raises is up to it
        why = f"the model cannot be differentiated: {first_line(error)}"
        return {COUNT: float(backend.parameter_count), WITHOUT_GRADIENT: why}
    if idle:
        more = f" and {len(idle) - _MOST_NAMED} more" if len(idle) > _MOST_NAMED else ""
        print(f"parameters without a gradient: {', '.join(map(ascii, idle[:_MOST_NAMED]))}{more}")
    return {COUNT: float(backend.parameter_count), WITHOUT_GRADIENT: float(len(idle))}


def _count_in_file(model: Model) -> float | str:
    if model.folder is None or model.backend.platform != OnnxBackend.platform:
        return _UNTOLD
    return float(_count_weights(model.folder) or 0) or _UNTOLD


def _count_weights(folder: Path) -> int | None:
    """How many weights the ONNX file has that was loaded; None where that is not known."""
    files = [path for path in folder.rglob("*.onnx") if path.is_file()] or [find_model(folder)]
    if len(files) > 1:
        return None
    with files[0].open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        found = read_onnx(data)
    return found.weights if found.complete else None
