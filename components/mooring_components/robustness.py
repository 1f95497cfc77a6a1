"""Whether a model says the same of rows that differ a little: normal noise on its columns of floating point.

It needs no gradient, so that it works for every model that can be fed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
from mooring_artifacts.gates import Interval
from mooring_artifacts.run_documents import Stability

from mooring_components.datasets import TestData
from mooring_components.feeding import FedModel
from mooring_components.intervals import share
from mooring_components.options import TestOptions
from mooring_components.outcomes import Classified, Estimated, Floats, aligned, observe

METRIC = "noiseStability"
# Made-up test data often comes from seed 0: noise that is the data once more moves nothing over a limit.
_SEED = 794_117_623


def measure_stability(
    fed: FedModel, data: TestData, options: TestOptions, outcome: Classified | Estimated
) -> list[Stability] | str:
    """Give the share of rows whose class stays the same, for each level of noise; or say why there is none.

    A level is the noise's standard deviation in units of that of the column, over its finite values. The same data gets
    the same noise.

    Raises:
        InputError: the model fails on rows with noise.
    """
    if isinstance(outcome, Estimated):
        return "the model gives amounts, which always move; stability is of classes"
    # In an order that is the same in every process.
    names = sorted(name for name, column in fed.columns.items() if _floats(column) is not None)
    if not names:
        return "no column of floating point feeds the model"
    return [_at(fed, data, options, outcome, names, level) for level in options.noise]


def _at(
    fed: FedModel,
    data: TestData,
    options: TestOptions,
    outcome: Classified,
    names: Sequence[str],
    level: float,
) -> Stability:
    random = np.random.default_rng(_SEED)
    moved = {name: _moved(fed.columns[name], level, random) for name in names}
    other = observe(replace(fed, columns={**fed.columns, **moved}), data, options)
    # The same model and labels give an outcome of the same kind.
    assert isinstance(other, Classified)
    before, after = aligned(outcome, other)
    found = share(int((before.predicted == after.predicted).sum()), len(data))
    return Stability(noise=level, share=found.value, interval=Interval(low=found.low, high=found.high))


def _floats(column: pa.Array) -> pa.Array | None:
    """The values of a column of floats, or of lists of a fixed length of them; None of another."""
    if pa.types.is_floating(column.type):
        return column
    is_list = pa.types.is_fixed_size_list(column.type) and pa.types.is_floating(column.type.value_type)
    return column.flatten() if is_list and not column.null_count else None


def _moved(column: pa.Array, level: float, random: np.random.Generator) -> pa.Array:
    values = _floats(column)
    assert values is not None
    # Null is NaN to inputs of floating point; it stays one.
    numbers = values.to_numpy(zero_copy_only=False).astype(np.float64)
    width = column.type.list_size if pa.types.is_fixed_size_list(column.type) else 1
    table = numbers.reshape(-1, width)
    noisy = table + level * deviations_of(table) * random.normal(size=table.shape)
    flat = pa.array(noisy.ravel(), type=values.type, from_pandas=True)
    return flat if width == 1 and flat.type == column.type else pa.FixedSizeListArray.from_arrays(flat, width)


def deviations_of(table: Floats) -> Floats:
    """(columns,): the standard deviation of each column over its finite values; 0 where there is none."""
    finite = (column[np.isfinite(column)] for column in table.T)
    return np.array([known.std() if len(known) else 0.0 for known in finite])
