"""How far from the baseline's middle an input lies."""

from __future__ import annotations

from typing import Any

import numpy as np

from mooring_inference.guards.rules import InputRules
from mooring_inference.tensors import Array


class OutlierScore:
    """The largest ``|x - median| / iqr`` of one numeric input."""

    __slots__ = ("_centre", "_columns", "_scale")

    def __init__(self, rules: InputRules, dtype: np.dtype[Any]) -> None:
        """Prepare the score.

        Args:
            rules: of this input; features without a median or a positive iqr do not count.
            dtype: of the input.
        """
        scored = [i for i, f in enumerate(rules.features) if f.iqr and f.median is not None]
        precision = np.result_type(dtype, np.float32)
        self._columns = None if len(scored) == len(rules.features) else np.array(scored)
        medians = [rules.features[i].median or 0.0 for i in scored]
        scales = [1 / (rules.features[i].iqr or 1.0) for i in scored]
        self._centre = np.array(medians).astype(precision)
        self._scale = np.minimum(scales, np.finfo(precision).max).astype(precision)

    def measure(self, array: Array) -> float:
        """Return the score in interquartile ranges; NaN counts for nothing, infinities are infinitely far.

        Args:
            array: (..., features), or any shape where one feature stands for all.
        """
        if not array.size:
            return 0.0
        if self._columns is not None:
            array = array[..., self._columns]
        # Numbers near the datatype's limits may overflow to an infinite score, which is right.
        with np.errstate(all="ignore"):
            distance = np.absolute(array - self._centre)
            largest = float(np.fmax.reduce(distance * self._scale, axis=None))
        return largest if largest == largest else 0.0
