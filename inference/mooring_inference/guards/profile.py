"""A first ``guards.json`` from a baseline: what the model has seen in training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mooring_inference.tensors import Array


def profile_inputs(
    inputs: Mapping[str, Array],
    names: Mapping[str, Sequence[str]] | None = None,
    *,
    non_finite: str = "allow",
    outside: str = "flag",
) -> dict[str, object]:
    """Return a document with minimum, maximum, median and interquartile range of every feature.

    Args:
        inputs: the baseline by input name, numeric; (rows, ..., features), or (rows,) for one feature.
            Inputs of other datatypes are left out.
        names: feature names by input name.
        non_finite, outside: the policies.

    Returns:
        What ``guards.json`` holds. Values that are NaN or infinite are not counted; a feature without any
        other value gets no bounds.

    Raises:
        ValueError: ``names`` has another number of features than an input.
    """
    entries: dict[str, object] = {}
    scored = False
    for name, array in inputs.items():
        if array.dtype.kind not in "iuf":
            continue
        width = array.shape[-1] if array.ndim > 1 else 1
        columns = array.reshape(-1, width)
        labels = (names or {}).get(name)
        if labels is not None and len(labels) != width:
            raise ValueError(f"names of {name}: expected {width}, got {len(labels)}")
        features = [_profile(columns[:, i], labels[i] if labels else None) for i in range(width)]
        entries[name] = {"features": features}
        scored = scored or any(feature.get("iqr") for feature in features)
    return {"non_finite": non_finite, "range": outside, "outlier_score": scored, "inputs": entries}


def _profile(column: Array, label: str | None) -> dict[str, object]:
    feature: dict[str, object] = {} if label is None else {"name": label}
    values = column[np.isfinite(column)]
    if values.size:
        low, median, high = np.percentile(values.astype(np.float64), (25, 50, 75)).tolist()
        bounds = {"min": values.min().item(), "max": values.max().item()}
        feature |= bounds | {"median": median, "iqr": high - low}
    return feature
