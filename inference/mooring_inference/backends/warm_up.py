"""The first runs of a model, with made-up input: is it fast, and may rows of several callers run together?"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

import numpy as np

from mooring_inference.backends.base import Backend
from mooring_inference.tensors import Array, TensorSpec


@dataclass(frozen=True, slots=True)
class WarmUp:
    """What the first runs showed."""

    batchable: bool
    reason: str
    seconds: float


def warm_up(backend: Backend) -> WarmUp:
    """Run a model on one row and on two."""
    signature = backend.signature
    names = [spec.name for spec in signature.outputs]
    is_open = all(spec.shape and spec.shape[0] is None for spec in (*signature.inputs, *signature.outputs))
    try:
        backend.predict({spec.name: _made_up(spec, 1) for spec in signature.inputs}, names)
        started = perf_counter()
        backend.predict({spec.name: _made_up(spec, 1) for spec in signature.inputs}, names)
        seconds = perf_counter() - started
        if not is_open:
            return WarmUp(False, "the first dimension of an input or output is not open", seconds)
        outputs = backend.predict({spec.name: _made_up(spec, 2) for spec in signature.inputs}, names)
    except Exception as error:
        return WarmUp(is_open, f"it fails on made-up input: {type(error).__name__}", 0.0)
    if any(array.ndim == 0 or len(array) != 2 for array in outputs):
        return WarmUp(False, "an output has another number of rows than the inputs", seconds)
    return WarmUp(True, "", seconds)


def _made_up(spec: TensorSpec, rows: int) -> Array:
    shape = [rows if size is None and axis == 0 else (size or 1) for axis, size in enumerate(spec.shape)]
    filler = "" if spec.datatype.name == "BYTES" else 0
    return np.full(shape, filler, dtype=spec.datatype.dtype)
