"""Rows of requests that were kept twice: a file that was stored again under another name, or told again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

# Rows of a request share its time; a time in microseconds leaves so many bits of an integer for their numbers.
_NUMBERS = 4096


def mark_repeated(
    times: npt.NDArray[np.int64], numbers: npt.NDArray[Any], ids: Callable[[], pa.ChunkedArray]
) -> npt.NDArray[np.bool_] | None:
    """Mark rows that are those of an earlier place: of the same request, at the same microsecond.

    A caller that asks again with an id is answered again, at another time: those are two requests.

    Args:
        times: (n,) microseconds since 1970.
        numbers: (n,) of the rows in their requests.
        ids: gives those of the (n,) requests; asked for only where two rows have one time and number.

    Returns:
        (n,) True for those to leave out; None where there is none.
    """
    # Where that is beyond an integer it begins anew: that makes suspects, and no verdict.
    keys = times * _NUMBERS + numbers.astype(np.int64) % _NUMBERS
    ordered = np.sort(keys)
    shared = ordered[1:][ordered[1:] == ordered[:-1]]
    if not len(shared):
        return None
    suspects = np.flatnonzero(np.isin(keys, shared))
    known = ids().cast(pa.large_string()).combine_chunks().dictionary_encode()
    codes = known.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    rows = times[suspects], numbers[suspects].astype(np.int64), codes[suspects].astype(np.int64)
    # Stable: of those that are the same the first one stays.
    order = np.lexsort(rows)
    same = np.ones(len(order), np.bool_)
    same[0] = False
    for values in rows:
        same[1:] &= values[order][1:] == values[order][:-1]
    if not same.any():
        return None
    again = np.zeros(len(times), np.bool_)
    again[suspects[order[same]]] = True
    return again
