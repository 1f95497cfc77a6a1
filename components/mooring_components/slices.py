"""How good a model is on parts of the rows: those with the same value in a column."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from mooring_artifacts.errors import InputError, first_line
from mooring_artifacts.gates import LEAST_SLICE_ROWS, LONGEST_SLICE_NAME, Interval
from mooring_artifacts.run_documents import MOST_SLICES, Slice

from mooring_components.datasets import TestData, name_some
from mooring_components.intervals import mean, share
from mooring_components.outcomes import Classified, Estimated

MOST_COLUMNS = 4
LEAST_ROWS = LEAST_SLICE_ROWS
_MOST_VALUES = MOST_SLICES // MOST_COLUMNS
_MISSING = "(missing)"

Rows = npt.NDArray[np.int64]


def measure_slices(outcome: Classified | Estimated, data: TestData, columns: Sequence[str]) -> list[Slice]:
    """Accuracy, or the mean absolute error, on the rows of each value of each column; the worst first.

    Of a column with more than 20 values, numbers are cut at their quartiles, and of others the most frequent 20 are
    taken; values of fewer than 20 rows come last.

    Raises:
        InputError: a column is not there, or holds neither texts, numbers, flags nor times.
    """
    found = [
        _slice(outcome, name, value, rows)
        for name in columns
        for value, rows in parts_of(data, name, "spec.ci.testData.slices")
        if len(rows)
    ]
    sign = -1.0 if isinstance(outcome, Estimated) else 1.0
    known = [each for each in found if each is not None]
    return sorted(known, key=lambda each: (each.rows < LEAST_ROWS, sign * each.value))


def worst_of(slices: Sequence[Slice]) -> Slice | None:
    """Give the worst of slices, as they were measured, that can be judged."""
    return next((each for each in slices if each.rows >= LEAST_ROWS), None)


def _slice(outcome: Classified | Estimated, column: str, value: str, rows: Rows) -> Slice | None:
    if isinstance(outcome, Classified):
        metric = "accuracy"
        estimate = share(int((outcome.actual[rows] == outcome.predicted[rows]).sum()), len(rows))
    else:
        metric = "mae"
        estimate = mean(np.abs(outcome.predicted[rows] - outcome.actual[rows]))
    bounds = (estimate.low, estimate.high)
    if not np.isfinite(estimate.value):
        return None
    finite = all(bound is not None and np.isfinite(bound) for bound in bounds)
    return Slice(
        column=column[:LONGEST_SLICE_NAME],
        name=value[:LONGEST_SLICE_NAME],
        rows=len(rows),
        metric=metric,
        value=estimate.value,
        interval=Interval(low=bounds[0], high=bounds[1]) if finite else None,
    )


def parts_of(data: TestData, name: str, field: str) -> Iterator[tuple[str, Rows]]:
    """Yield the values of a column, each with its rows, as `measure_slices` parts them; `field` named the column.

    Raises:
        InputError: the column is not there, or holds neither texts, numbers, flags nor times.
    """
    if name not in data.columns:
        raise InputError(
            f"{field} names column {name!r:.100}, which is not in {data.source}; there are "
            f"{name_some(list(data.columns))}"
        )
    column = data.columns[name]
    try:
        encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        values = encoded.dictionary.to_pylist()
        codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)
    except pa.ArrowException as error:
        raise InputError(
            f"{field}: column {name!r:.100} of {data.source} is of type {column.type}, which has no values "
            f"to part rows by: {first_line(error)}"
        ) from error
    if len(values) > _MOST_VALUES and (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        yield from _quartiles(column)
        return
    sizes = np.bincount(codes + 1, minlength=len(values) + 1)
    for place in np.argsort(-sizes, kind="stable")[:_MOST_VALUES]:
        yield (
            _MISSING if not place or values[place - 1] is None else str(values[place - 1]),
            np.flatnonzero(codes == place - 1),
        )


def _quartiles(column: pa.Array) -> Iterator[tuple[str, Rows]]:
    numbers = pc.cast(column, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    known = np.isfinite(numbers)
    if known.any():
        edges = np.unique(np.quantile(numbers[known], [0, 0.25, 0.5, 0.75, 1]))
        places = np.clip(np.searchsorted(edges, numbers, side="right"), 1, max(len(edges) - 1, 1))
        for place, (low, high) in enumerate(itertools.pairwise(edges), start=1):
            # Both ends belong to the last part, the lower one alone to the others.
            sign = "<=" if place == len(edges) - 1 else "<"
            yield f"{low:.4g} <= x {sign} {high:.4g}", np.flatnonzero(known & (places == place))
    yield _MISSING, np.flatnonzero(~known)
