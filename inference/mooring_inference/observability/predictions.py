"""Which predictions a model makes, as a few counts that two revisions of it can be compared by.

Each answer counts once, by one row of the model's first output: rows of one request are alike, and a thousand of one
caller are not a thousand answers. Rows take turns, so that none is left out.

Cells are the same for every model and revision, whatever either has answered before: else two revisions that answer
alike could be counted differently. There are at most 66 of a model.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from math import isnan
from typing import Any
from zlib import crc32

import numpy as np

from mooring_inference.tensors import Array

# Classes from -1 (an outlier, as scikit-learn has it) up to this one have a cell each.
_MOST_CLASS = 19
_TEXTS = 20
OTHER, NOT_A_NUMBER = "other", "nan"

_LARGE = tuple(float(digit * 10**power) for power in range(7) for digit in (1, 2, 5))
BOUNDS = (
    *(-bound for bound in reversed(_LARGE)),
    -0.1,
    0.0,
    *(round(0.05 * step, 2) for step in range(1, 20)),
    *_LARGE,
)
"""Upper bounds of the cells of values: fine for probabilities, and 1, 2, 5, 10 ... beyond 1 on both sides."""

_VALUES = (*(f"<={bound:.10g}" for bound in BOUNDS), f">{BOUNDS[-1]:.10g}")
_CLASSES = {number: str(number) for number in range(-1, _MOST_CLASS + 1)}


class Predictions:
    """Counts of one revision of one model by cell; its owner keeps threads apart.

    Cells are ``3`` (class 3), ``text 7`` (one of 20 parts of all texts), ``<=0.25`` (above the bound before it),
    ``other`` and ``nan``.
    """

    __slots__ = ("_turn", "cells")

    def __init__(self) -> None:
        self.cells: dict[str, int] = {}
        self._turn = 0

    def count(self, output: Array) -> None:
        """Count one answer; what is neither a class, a text nor a number is not counted.

        Args:
            output: shape [rows], [rows, 1], or [rows, classes] with a score of each class, whose largest counts.
        """
        if output.ndim not in (1, 2) or not output.size:
            return
        self._turn += 1
        cell = _cell(output[self._turn % len(output)])
        if cell is not None:
            self.cells[cell] = self.cells.get(cell, 0) + 1

    def add(self, cells: Mapping[str, int]) -> None:
        """Add what another has counted."""
        for cell, count in cells.items():
            self.cells[cell] = self.cells.get(cell, 0) + count


def _cell(row: Any) -> str | None:
    """Give the cell of one row: an array of scores, a number, or a text."""
    if isinstance(row, np.ndarray) and row.size > 1:
        if row.dtype.kind != "f":
            return None
        largest = int(row.argmax())
        # The largest of several is NaN where one of them is.
        return NOT_A_NUMBER if isnan(row[largest]) else _CLASSES.get(largest, OTHER)
    value = row.item() if isinstance(row, np.ndarray | np.generic) else row
    if isinstance(value, float):
        return NOT_A_NUMBER if isnan(value) else _VALUES[bisect_left(BOUNDS, value)]
    if isinstance(value, int):
        return _CLASSES.get(int(value), OTHER)
    return f"text {crc32(value.encode(errors='replace')) % _TEXTS}" if isinstance(value, str) else None
