"""Requests of no rows, which some models fail on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mooring_inference.backends.base import Backend
from mooring_inference.tensors import Array


def predict_no_rows(backend: Backend, inputs: Mapping[str, Array], outputs: Sequence[str]) -> list[Array]:
    """Return outputs without rows for inputs that have none.

    A model with a size inside that an export fixed, and others, fail on no rows. Such a model gets one row of zeros,
    and what it says of that is left out.

    Raises:
        Exception: what the model raised, if it fails on that too, or gives outputs that are not one row each.
    """
    try:
        return backend.predict(inputs, outputs)
    except Exception:
        row = {name: _one_row(array) for name, array in inputs.items()}
        found = backend.predict(row, outputs)
        if any(array.shape[:1] != (1,) for array in found):
            raise
        return [array[:0] for array in found]


def _one_row(array: Array) -> Array:
    filler = "" if array.dtype == object else 0
    return np.full((1, *array.shape[1:]), filler, dtype=array.dtype)
