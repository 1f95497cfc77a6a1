"""The profile of a baseline, in whose slots requests are counted: ``profile.bin`` beside the model."""

from __future__ import annotations

import numpy as np
from mooring_artifacts.window_states import Profile, prepare

from mooring_inference.capture.layout import plan_layout
from mooring_inference.capture.settings import CaptureSettings
from mooring_inference.profile.baseline import Baseline
from mooring_inference.tensors import Array, Signature

# Text of more different values is no category but a name, or a sentence.
_MOST_CATEGORIES = 250


def profile_of(baseline: Baseline, signature: Signature) -> Profile | None:
    """Return the profile of the features that have a column of their own; None where there is none.

    The columns are those, of the names, that capture writes; those without a value are left out.
    """
    layout = plan_layout(signature, CaptureSettings("/"), baseline.names)
    columns: dict[str, Array] = {}
    for tensor in layout.inputs:
        array = baseline.arrays.get(tensor.tensor)
        if array is None or tensor.width is None:
            continue
        rows = array.reshape(len(array), -1)
        for column in tensor.columns:
            found = _as_told(rows[:, column.position])
            if found is not None:
                columns[column.name] = found
    return prepare(columns) if columns else None


def _as_told(column: Array) -> Array | None:
    """Return a column as numbers or as text; None where it says nothing, or a word of its own in each row."""
    if column.dtype.kind == "O":
        different = {value for value in column.tolist() if value is not None}
        return column if 0 < len(different) <= _MOST_CATEGORIES else None
    if column.dtype.kind in "iub":
        return column.astype(np.float64)
    if column.dtype.kind != "f":
        return None
    return None if np.isnan(column).all() else column
