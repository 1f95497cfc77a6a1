"""Which rows of test data are among those that a model was trained on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from mooring_artifacts.data_schema import Column, DataSchema, TrainingData
from mooring_artifacts.errors import InputError

from mooring_components.validation.fold import EXAMPLES, Example, Fault, Plan
from mooring_components.validation.sources import Source, open_source


def find_repeated(
    rows: Sequence[Path], training: Sequence[Path], schema: DataSchema, wanted: TrainingData
) -> Fault:
    """Count the rows whose values are also those of a row of the training data.

    Rows are compared by hashes of 64 bits: of a million rows against ten million the odds that one is taken for
    another are 1 in 2 million. What is held are the hashes of `rows` alone, 8 bytes each.

    Raises:
        InputError: a file cannot be read, or a column to compare by is not there as it should be.
    """
    sources = [open_source(path) for path in rows]
    others = [open_source(path) for path in training]
    columns = _compared(sources, others, schema, wanted)
    hashes = [list(_hashes(source, columns)) for source in sources]
    ours = np.unique(np.concatenate([batch for batches in hashes for batch in batches] or [_NONE]))
    seen = np.zeros(len(ours), dtype=bool)
    for source in others:
        for theirs in _hashes(source, columns):
            seen |= np.isin(ours, theirs)
    return _count(sources, hashes, ours[seen])


_NONE = np.empty(0, dtype=np.uint64)


def _count(
    sources: Sequence[Source],
    hashes: Sequence[Sequence[npt.NDArray[np.uint64]]],
    repeated: npt.NDArray[np.uint64],
) -> Fault:
    fault = Fault()
    for source, batches in zip(sources, hashes, strict=True):
        first = 0
        for batch in batches:
            places = np.flatnonzero(np.isin(batch, repeated))
            fault.count += len(places)
            for place in places[: EXAMPLES - len(fault.examples)]:
                row = source.broken.number(first + int(place))
                fault.examples.append(Example(source.path.name, row, None))
            first += len(batch)
    return fault


def _hashes(source: Source, columns: Sequence[Column]) -> Iterator[npt.NDArray[np.uint64]]:
    plans = [Plan(column, source) for column in columns]
    for batch in source.batches([column.name for column in columns]):
        yield batch.select(plan.value for plan in plans).hash_rows(seed=0).to_numpy()


def _compared(
    sources: Sequence[Source], others: Sequence[Source], schema: DataSchema, wanted: TrainingData
) -> list[Column]:
    if wanted.columns:
        columns = [column for column in schema.columns if column.name in wanted.columns]
    else:
        files = [*sources, *others]
        columns = [column for column in schema.columns if all(column.name in file.types for file in files)]
    if not columns:
        raise InputError("the test data and the training data have no column of the schema in common")
    for source in (*sources, *others):
        for column in columns:
            if column.name not in source.types:
                raise InputError(f"{source.path.name} has no column {column.name!r:.200} to compare rows by")
            if not Plan(column, source).fits:
                raise InputError(
                    f"column {column.name!r:.200} of {source.path.name} is no {column.type}: rows cannot be compared"
                )
    return columns
