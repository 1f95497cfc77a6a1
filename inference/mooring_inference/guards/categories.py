"""Categories: features that may be one of some values."""

from __future__ import annotations

from typing import Any

import numpy as np

from mooring_inference.guards.rules import InputRules
from mooring_inference.guards.violations import Mask, Place
from mooring_inference.tensors import Array


class CategoryCheck:
    """Checks the categorical features of one input."""

    __slots__ = ("_features", "_missing_allowed", "_place", "_sets", "_uniform", "_width")

    def __init__(self, place: Place, rules: InputRules, dtype: np.dtype[Any]) -> None:
        """Prepare the check.

        Args:
            place: for messages.
            rules: of this input.
            dtype: of the input; object where it holds strings.
        """
        self._place = place
        self._features = rules.features
        self._uniform = rules.uniform
        self._width = len(rules.features)
        self._missing_allowed = rules.non_finite == "allow" and dtype.kind == "f"
        # In the input's own precision: 0.1 is another number in FP32 than in FP64.
        self._sets = [
            (column, frozenset(np.array(feature.categories, dtype).tolist()))
            for column, feature in enumerate(rules.features)
            if feature.categories is not None
        ]

    def check(self, index: int, array: Array, flags: list[str]) -> Array:
        """Check one array; the same array, or a corrected copy.

        Args:
            index: the input's position in the request.
            array: its last axis fits the features.
            flags: flags are added here.

        Raises:
            RequestError: 400.
        """
        result = array
        for column, known in self._sets:
            values = (array if self._uniform else array.reshape(-1, self._width)[:, column]).ravel().tolist()
            if not known.issuperset(values):
                result = self._treat_unknown(
                    index, column, self._unknown(array, column, known, values), result, flags
                )
        return result

    def _unknown(self, array: Array, column: int, known: frozenset[Any], values: list[Any]) -> Mask:
        missing = self._missing_allowed
        wrong = [value not in known and not (missing and value != value) for value in values]
        mask: Mask = np.zeros(array.size, bool)
        mask[(0 if self._uniform else column) :: (1 if self._uniform else self._width)] = wrong
        return mask.reshape(array.shape)

    def _treat_unknown(self, index: int, column: int, wrong: Mask, array: Array, flags: list[str]) -> Array:
        if not wrong.any():
            return array
        feature = self._features[column]
        if feature.policy == "reject":
            self._place.reject_first(index, array, wrong, None)
        if feature.policy == "flag":
            self._place.flag_columns(wrong, "category", flags)
            return array
        self._place.flag_columns(wrong, "category-clipped", flags)
        default = np.array(feature.default, array.dtype)
        return np.where(wrong, default, array)
