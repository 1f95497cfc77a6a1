"""NaN, infinities and ranges of a numeric input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mooring_inference.guards.rules import Feature, InputRules, Policy
from mooring_inference.guards.violations import Mask, Place
from mooring_inference.tensors import Array


class NumberCheck:
    """Checks the numbers of one input.

    The usual case, nothing wrong, costs two elementwise calls and one comparison of bytes: bounding an array
    that keeps the rules changes no byte of it. Only where a byte changed is it looked at what is wrong.
    """

    __slots__ = ("_fill", "_high", "_low", "_lower", "_place", "_policy", "_ranges", "_upper")

    def __init__(self, place: Place, rules: InputRules, dtype: np.dtype[Any]) -> None:
        """Prepare the check.

        Args:
            place: for messages.
            rules: of this input; ``clip`` of NaN needs every median.
            dtype: of the input; an integer or a float.
        """
        self._place = place
        self._policy: Policy = rules.non_finite if dtype.kind == "f" else "allow"
        strict = self._policy != "allow"
        # fmax and fmin turn NaN into the bound, so that it changes bytes; maximum and minimum keep it.
        self._lower: Callable[[Array, Array], Array] = np.fmax if strict else np.maximum
        self._upper: Callable[[Array, Array], Array] = np.fmin if strict else np.minimum
        lowest, highest = _extremes(dtype, finite=strict)
        self._low = _bounds([f.minimum for f in rules.features], lowest, dtype, np.ceil)
        self._high = _bounds([f.maximum for f in rules.features], highest, dtype, np.floor)
        if strict:
            self._low, self._high = np.maximum(self._low, lowest), np.minimum(self._high, highest)
        self._fill = np.array([f.median or 0.0 for f in rules.features]).astype(dtype)
        self._ranges = [
            (policy, columns)
            for policy in ("reject", "flag", "clip")
            if (columns := _columns(rules.features, policy)).any()
        ]

    def check(self, index: int, array: Array, flags: list[str]) -> Array:
        """Check one array; the same array, or a corrected copy.

        Args:
            index: the input's position in the request.
            array: numbers of the input's dtype; its last axis fits the features.
            flags: flags are added here.

        Raises:
            RequestError: 400.
        """
        if self._upper(self._lower(array, self._low), self._high).tobytes() == array.tobytes():
            return array
        return self._examine(index, array, flags)

    def _examine(self, index: int, array: Array, flags: list[str]) -> Array:
        result = array
        ordinary: Mask = np.ones(array.shape, bool)
        if self._policy != "allow":
            ordinary = np.isfinite(array)
            result = self._treat_non_finite(index, array, ~ordinary, flags)
        outside = (np.less(array, self._low) | np.greater(array, self._high)) & ordinary
        for policy, columns in self._ranges:
            wrong = outside & columns
            if not wrong.any():
                continue
            if policy == "reject":
                self._place.reject_first(index, array, wrong, None)
            elif policy == "flag":
                self._place.flag_columns(wrong, "range", flags)
            else:
                self._place.flag_columns(wrong, "range-clipped", flags)
                result = np.where(wrong, np.minimum(np.maximum(array, self._low), self._high), result)
        # A scalar was broadcast to the one feature's axis.
        return result if result.shape == array.shape else result.reshape(array.shape)

    def _treat_non_finite(self, index: int, array: Array, wrong: Mask, flags: list[str]) -> Array:
        if not wrong.any():
            return array
        if self._policy == "reject":
            self._place.reject_first(index, array, wrong, "a finite number")
        if self._policy == "flag":
            self._place.flag_columns(wrong, "non_finite", flags)
            return array
        self._place.flag_columns(wrong, "non_finite-clipped", flags)
        nearest = np.minimum(np.maximum(array, self._low), self._high)
        return np.where(wrong, np.where(np.isnan(array), self._fill, nearest), array)


def _extremes(dtype: np.dtype[Any], *, finite: bool) -> tuple[Any, Any]:
    if dtype.kind != "f":
        return np.iinfo(dtype).min, np.iinfo(dtype).max
    if not finite:
        return -np.inf, np.inf
    return np.finfo(dtype).min, np.finfo(dtype).max


def _bounds(
    values: list[float | None], missing: Any, dtype: np.dtype[Any], rounded: Callable[[float], Any]
) -> Array:
    """Return the bounds in the input's dtype: rounded inwards for integers, to the nearest for floats."""
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return np.array([missing if value is None else value for value in values]).astype(dtype)
    info = np.iinfo(dtype)
    whole = (missing if v is None else v if isinstance(v, int) else int(rounded(v)) for v in values)
    return np.array([min(max(int(value), info.min), info.max) for value in whole], dtype=dtype)


def _columns(features: tuple[Feature, ...], policy: str) -> Mask:
    return np.array([feature.bounded() and feature.policy == policy for feature in features])
