"""Counts rows into the slots of a profile."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from mooring_artifacts.errors import InputError
from mooring_artifacts.window_states.dependence import (
    LAGS,
    MOST_ROWS,
    LagSums,
    equal_pairs,
    gap_pairs,
    rank_sums,
    sum_pairs,
)
from mooring_artifacts.window_states.profile import Categories, Numbers, Profile
from mooring_artifacts.window_states.state import FeatureState, WindowState, join

Column = npt.NDArray[Any]


def count(profile: Profile, columns: Mapping[str, Column]) -> WindowState:
    """The state of one stretch of rows.

    Args:
        profile: the slots.
        columns: (n,) values of each feature of the profile, all of one length; others are left alone. Numbers have
            any numeric type that is at least as precise as the profile's edges, NaN is missing. Categories are text,
            None is missing; integers stand for their digits.

    Raises:
        InputError: a feature lacks its column, or the column does not fit.
    """
    lengths = {len(columns[feature.name]) for feature in profile.features if feature.name in columns}
    if len(lengths) > 1:
        raise InputError(f"columns have {min(lengths)} to {max(lengths)} rows; one number of rows is allowed")
    rows = lengths.pop() if lengths else 0
    found = []
    for feature in profile.features:
        if feature.name not in columns:
            raise InputError(f"column {feature.name!r} is missing; the baseline profile has it")
        column = np.asarray(columns[feature.name])
        if column.ndim != 1:
            raise InputError(
                f"column {feature.name!r} has {column.ndim} dimensions; one dimension is allowed"
            )
        found.append(
            _numbers(feature, column) if isinstance(feature, Numbers) else _categories(feature, column)
        )
    return join(profile, rows, sum_pairs(rows), found)


def _numbers(feature: Numbers, column: Column) -> FeatureState:
    slots, missing = number_slots(feature, column)
    level, spread = rank_sums(feature.ranks[slots[:MOST_ROWS]])
    return _state(feature.slots, slots, missing, level, spread)


def number_slots(feature: Numbers, column: Column) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.bool_]]:
    """The slots of a column's values, (k,), and which of its rows are missing, (n,).

    Raises:
        InputError: the column holds no numbers, or coarser ones than the edges are.
    """
    kind = feature.edges.dtype
    if column.dtype.kind not in "fiub":
        raise InputError(f"column {feature.name!r} is {column.dtype}; numbers are allowed")
    if column.dtype.kind == "f" and column.dtype.itemsize < kind.itemsize:
        raise InputError(
            f"column {feature.name!r} is {column.dtype}, which is coarser than its baseline profile's {kind}: make "
            f"the profile at {column.dtype}"
        )
    missing = np.isnan(column) if column.dtype.kind == "f" else np.zeros(len(column), np.bool_)
    present = column[~missing] if missing.any() else column
    with np.errstate(over="ignore"):
        return feature.cells.find(np.ascontiguousarray(present, kind)), missing


def _categories(feature: Categories, column: Column) -> FeatureState:
    known, unseen = feature.numbers, len(feature.values)
    if column.dtype.kind in "iu":
        different, inverse = np.unique(column, return_inverse=True)
        slots = np.array([known.get(str(value), unseen) for value in different.tolist()], np.int16)[inverse]
        missing = np.zeros(len(column), np.bool_)
    elif column.dtype.kind in "OUT":
        missing = np.array([value is None for value in column], np.bool_)
        if not all(isinstance(value, str) for value in column[~missing]):
            raise InputError(f"column {feature.name!r} holds other objects than text and None")
        slots = np.array([known.get(value, unseen) for value in column[~missing]], np.int16)
    else:
        raise InputError(
            f"column {feature.name!r} is {column.dtype}; text, or integers as codes, are allowed"
        )
    return _state(feature.slots, slots, missing, equal_pairs(slots), np.zeros(LAGS, np.int64))


def _state(
    size: int,
    slots: npt.NDArray[np.int16],
    missing: npt.NDArray[np.bool_],
    level: npt.NDArray[np.int64],
    spread: npt.NDArray[np.int64],
) -> FeatureState:
    rows = np.bincount(slots, minlength=size).astype(np.int64)
    rows[-1] += len(missing) - len(slots)
    return FeatureState(rows, LagSums(sum_pairs(len(slots)), level, spread, gap_pairs(missing)))
