"""A first ``guards.json`` from a baseline: what the model has seen in training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from mooring_artifacts.window_states import Categories, Numbers, Profile, prepare

from mooring_inference.tensors import Array

# Text of more different values is no category but a name, or a sentence.
_MOST_CATEGORIES = 250


def guards_of(
    inputs: Mapping[str, Array],
    names: Mapping[str, Sequence[str]],
    *,
    non_finite: str = "allow",
    outside: str = "flag",
    outlier_score: bool = False,
) -> dict[str, object]:
    """Return what ``guards.json`` holds: bounds, middle and categories of every feature of a baseline.

    Middle and categories are those of the profile that drift is measured with (``window_states``).

    Args:
        inputs: the baseline by input name; (rows, ..., features), or (rows,) for one feature; no row is missing.
        names: feature names by input name, where they are known.
        non_finite, outside: the policies.
        outlier_score: whether answers are to carry the score, where some feature has a spread.
    """
    entries: dict[str, object] = {}
    for name, array in inputs.items():
        width = array.shape[-1] if array.ndim > 1 else 1
        labels = names.get(name, ())
        columns = array.reshape(-1, width)
        features = [_feature(columns[:, index], labels[index : index + 1]) for index in range(width)]
        if any(feature.keys() - {"name"} for feature in features):
            entries[name] = {"features": features}
    scored = outlier_score and any(
        feature.get("iqr")
        for entry in entries.values()
        for feature in entry["features"]  # type: ignore[index]
    )
    return {"non_finite": non_finite, "range": outside, "outlier_score": scored, "inputs": entries}


def _feature(column: Array, label: Sequence[str]) -> dict[str, object]:
    feature: dict[str, object] = {"name": label[0]} if label else {}
    if column.dtype.kind == "O":
        return feature | _categories(column)
    if column.dtype.kind not in "iuf":
        return feature
    finite = column[np.isfinite(column)]
    return feature | _numbers(finite) if len(finite) else feature


def _categories(column: Array) -> dict[str, object]:
    found = prepare({"": column}).features[0]
    assert isinstance(found, Categories)
    known = list(found.values)
    return {"categories": known} if len(known) <= _MOST_CATEGORIES else {}


def _numbers(finite: Array) -> dict[str, object]:
    # Integers are numbers here, whatever they mean; drift takes them for categories.
    profile = prepare({"": finite if finite.dtype.kind == "f" else finite.astype(np.float64)})
    low, median, high = (quantile(profile, part) for part in (0.25, 0.5, 0.75))
    bounds: dict[str, object] = {"min": finite.min().item(), "max": finite.max().item(), "median": median}
    return bounds | ({"iqr": high - low} if math.isfinite(high - low) else {})


def quantile(profile: Profile, part: float) -> float:
    """Return a quantile of the first feature, one of numbers without missing ones, to a cell's precision."""
    feature = profile.features[0]
    assert isinstance(feature, Numbers)
    upto = np.cumsum(feature.rows[:-1])
    cell = int(np.searchsorted(upto, math.ceil(part * int(upto[-1])), side="left"))
    # The last slot is for what is larger than every edge.
    return float(feature.edges[min(cell, len(feature.edges) - 1)])
