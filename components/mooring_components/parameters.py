"""What a model was trained on its way to be: how many parameters it has, and whether each of them still counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from mooring_artifacts.errors import first_line
from mooring_inference.tensors import Array

from mooring_components.feeding import FedModel, join_requests

COUNT, WITHOUT_GRADIENT = "parameters", "parametersWithoutGradient"
ROWS = 32
_UNTOLD = "the model's format does not tell its parameters"
_NO_GRADIENTS = "the model's format gives no gradients"
_MOST_NAMED = 5


@runtime_checkable
class Counted(Protocol):
    """What a backend offers in addition where it is known how many parameters it has."""

    parameter_count: int


@runtime_checkable
class Trained(Counted, Protocol):
    """What a backend offers in addition where it knows its parameters."""

    def parameters_without_gradient(self, inputs: Mapping[str, Array]) -> list[str]:
        """Return the names of parameters whose gradient is missing, 0 or not finite."""


def measure_parameters(fed: FedModel) -> dict[str, float | str]:
    """How many numbers were trained, and how many parameters the outputs for some rows do not depend on; or why not.

    Raises:
        InputError: a row does not fit.
    """
    backend = fed.model.backend
    if not isinstance(backend, Trained):
        count = float(backend.parameter_count) if isinstance(backend, Counted) else _UNTOLD
        return {COUNT: count, WITHOUT_GRADIENT: _NO_GRADIENTS}
    try:
        idle = backend.parameters_without_gradient(join_requests(fed.single_rows(ROWS)))
    except Exception as error:  # what a model raises is up to it
        why = f"the model cannot be differentiated: {first_line(error)}"
        return {COUNT: float(backend.parameter_count), WITHOUT_GRADIENT: why}
    if idle:
        more = f" and {len(idle) - _MOST_NAMED} more" if len(idle) > _MOST_NAMED else ""
        print(f"parameters without a gradient: {', '.join(map(ascii, idle[:_MOST_NAMED]))}{more}")
    return {COUNT: float(backend.parameter_count), WITHOUT_GRADIENT: float(len(idle))}
