"""Whether a model says the same twice, and the same of rows alone as of rows together.

What depends on anything but the row is a layer left in training mode, a random number, or rows that are mixed up. The
server makes batches of what arrives at the same time, so that such a model answers otherwise from request to request.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import numpy as np
from mooring_artifacts.errors import InputError
from mooring_inference.tensors import Array

from mooring_components.feeding import FedModel, join_requests

REPEATED, TOGETHER = "repeatDifference", "batchDifference"
ROWS = 32
_SECONDS = 5.0


def measure_consistency(fed: FedModel, seconds: float = _SECONDS) -> dict[str, float | str]:
    """The largest difference between two passes over rows, and between rows alone and together; or why there is none.

    A difference of numbers is relative to the larger of them where that is beyond 1. It is 1 where labels or texts
    differ, or where only one of two numbers is finite. A slow model is asked for fewer rows.

    Raises:
        InputError: a row does not fit, or the model fails on it.
        MemoryError: the model takes more memory than there is.
    """
    requests = fed.single_rows(ROWS)
    deadline, alone = time.perf_counter() + seconds, list[list[Array]]()
    while not alone or (len(alone) < len(requests) and time.perf_counter() < deadline):
        alone.append(fed.answer(requests[len(alone)]))
    again = [fed.answer(request) for request in requests[: len(alone)]]
    repeated = max(
        difference(one, two)
        for first, second in zip(alone, again, strict=True)
        for one, two in zip(first, second, strict=True)
    )
    return {REPEATED: repeated, TOGETHER: _together(fed, requests[: len(alone)], alone)}


def difference(one: Array, two: Array) -> float:
    """The largest difference between elements of two arrays: 1 where their shapes differ, 0 where they are empty."""
    if one.shape != two.shape:
        return 1.0
    if one.dtype.kind != "f":
        return float((one != two).any())
    first, second = one.astype(np.float64), two.astype(np.float64)
    same = (first == second) | (np.isnan(first) & np.isnan(second))
    first, second = first[~same], second[~same]
    size = np.maximum(np.maximum(np.abs(first), np.abs(second)), 1.0)
    with np.errstate(invalid="ignore"):
        apart = np.abs(first - second) / size
    return float(np.max(np.where(np.isfinite(apart), apart, 1.0), initial=0.0))


def _together(
    fed: FedModel, requests: Sequence[Mapping[str, Array]], alone: Sequence[Sequence[Array]]
) -> float | str:
    if not fed.takes_several_rows:
        return "the model takes a fixed number of rows"
    if len(requests) < 2:
        return "there is one row"
    if any(array.shape[:1] != (1,) for arrays in alone for array in arrays):
        return "an output has no row for each row"
    try:
        together = fed.answer(join_requests(requests))
        stacked = [np.concatenate(parts) for parts in zip(*alone, strict=True)]
    except InputError as error:
        return str(error)
    except ValueError:
        return "an output has rows of several sizes"
    return max(difference(one, two) for one, two in zip(stacked, together, strict=True))
