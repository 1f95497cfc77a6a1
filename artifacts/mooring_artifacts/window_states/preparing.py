"""Makes a profile of a baseline's rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from mooring_artifacts.errors import InputError
from mooring_artifacts.window_states.cells import Values, largest
from mooring_artifacts.window_states.counting import count
from mooring_artifacts.window_states.profile import MOST_CATEGORIES, Categories, Numbers, Profile

Column = npt.NDArray[Any]

PARTS = 500
"""Equal parts of a baseline that its cells hold; with edges around frequent values, 750 cells at most."""

MOST_DIFFERENT = 250
"""Different values up to which each has a cell of its own."""


def prepare(columns: Mapping[str, Column]) -> Profile:
    """The profile of a baseline.

    Args:
        columns: (n,) values of each feature, n > 0. Floating-point numbers with NaN for missing ones are numbers, at
            their own precision; text with None for missing ones, and integers, are categories.

    Raises:
        InputError: a column is of another type, or has no value.
    """
    features = tuple(_feature(name, np.asarray(column)) for name, column in columns.items())
    counted = count(Profile(0, features), columns)
    return Profile(
        counted.rows,
        tuple(
            replace(feature, rows=state.rows)
            for feature, state in zip(features, counted.features, strict=True)
        ),
    )


def number_edges(ordered: Values, parts: int = PARTS) -> Values:
    """The edges of cells that hold equal parts of (n,) sorted numbers without NaN, n > 0.

    A value that fills a cell has one of its own: an edge lies on it and another one just below.
    """
    kind = ordered.dtype
    ordered = np.clip(ordered, -largest(kind), largest(kind))
    new = np.append(True, ordered[1:] != ordered[:-1])
    if np.count_nonzero(new) <= MOST_DIFFERENT:
        alone = values = ordered[new]
    else:
        cuts = ordered[(np.arange(1, parts) * len(ordered)) // parts]
        values, counts = np.unique(cuts, return_counts=True)
        alone = values[counts > 1]
    below = np.nextafter(np.append(alone, ordered[0]), -np.inf, dtype=kind)
    edges: Values = np.unique(np.concatenate([values, below, ordered[[0, -1]]]))
    return edges


def _feature(name: str, column: Column) -> Numbers | Categories:
    nothing = np.zeros(0, np.int64)
    if column.dtype.kind == "f":
        kind = np.dtype(np.float32 if column.dtype.itemsize <= np.dtype(np.float32).itemsize else np.float64)
        ordered = np.sort(column[~np.isnan(column)].astype(kind, copy=False))
        if not len(ordered):
            raise InputError(f"column {name!r} has no value; a baseline needs one")
        edges = number_edges(ordered)
        return Numbers(name, edges, np.zeros(len(edges) + 2, np.int64))
    if column.dtype.kind not in "OUTiu":
        raise InputError(
            f"column {name!r} is {column.dtype}; floating-point numbers, text and integers are allowed"
        )
    present = column[np.array([value is not None for value in column], np.bool_)]
    values, counts = np.unique(present.astype(np.dtypes.StringDType()), return_counts=True)
    if not len(values):
        raise InputError(f"column {name!r} has no value; a baseline needs one")
    # The most frequent ones; those that are left out count as unseen on both sides.
    kept = np.sort(np.argsort(-counts, kind="stable")[:MOST_CATEGORIES])
    return Categories(name, tuple(str(value) for value in values[kept]), nothing)
