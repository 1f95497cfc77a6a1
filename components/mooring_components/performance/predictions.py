"""Predictions as capture keeps them, `prediction.OUTPUT` or `prediction.OUTPUT[COLUMN]`, as a model's outputs again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from mooring_artifacts.errors import InputError
from mooring_inference.capture.layout import PREDICTION
from mooring_inference.tensors import Array

from mooring_components.datasets import name_some
from mooring_components.drift import columns
from mooring_components.outcomes import Answers, read_answers

Places = npt.NDArray[np.int64]

_COLUMN = re.compile(r"^(.*)\[([^\[\]]*)\]$", re.DOTALL)


@dataclass(frozen=True)
class Output:
    """An output of a model.

    columns: of the file, in the order of its elements.
    names: what these are called, such as classes; empty where they are only numbered.
    is_float: whether it holds scores or amounts, and no labels.
    """

    name: str
    columns: tuple[str, ...]
    names: tuple[str, ...]
    is_float: bool


@dataclass(frozen=True)
class Predictions:
    """What a model said, in rows of a table: the first output, and the first of the other kind beside it."""

    table: columns.Table
    outputs: tuple[Output, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        """What the columns of scores are called; empty where that is not known."""
        return next((output.names for output in self.outputs if output.is_float and output.names), ())

    def given(self) -> npt.NDArray[np.bool_]:
        """Say of each row, (rows,), whether it has a prediction."""
        found = np.ones(self.table.num_rows, np.bool_)
        for name in self._names():
            valid = pc.is_valid(self.table.column(name)).combine_chunks()
            found &= valid.to_numpy(zero_copy_only=False)
        return found

    def at(self, places: Places) -> Answers:
        """Give what was said in the rows of these numbers, (n,), all of which have a prediction."""
        chosen = pa.array(places)
        return read_answers([self._output(output, chosen) for output in self.outputs], len(places))

    def _output(self, output: Output, chosen: pa.Array) -> Array:
        found = [_values(columns.decoded(self.table.column(name).take(chosen))) for name in output.columns]
        stacked: Array = found[0] if len(found) == 1 else np.stack(found, axis=1)
        return stacked

    def _names(self) -> Iterable[str]:
        return (name for output in self.outputs for name in output.columns)


def find_predictions(table: columns.Table, source: str, output: str = "") -> Predictions:
    """Find the columns of a model's outputs; `output` names the only one that counts.

    Raises:
        InputError: there are none, or none of that name.
    """
    outputs = list(_outputs(table.schema))
    if not outputs:
        raise InputError(f"{source} holds no predictions: columns named {PREDICTION}OUTPUT of one value each")
    if output:
        chosen = [each for each in outputs if each.name == output]
        if not chosen:
            known = name_some([each.name for each in outputs])
            raise InputError(f"spec.performance.output {output!r} is in none of {source}; there are {known}")
        outputs = chosen
    first, *others = outputs
    other = (each for each in others if each.is_float != first.is_float)
    return Predictions(table, (first, *([] if (found := next(other, None)) is None else [found])))


def _outputs(schema: pa.Schema) -> Iterable[Output]:
    """Give the outputs in the order of their columns; lists are of no use here."""
    groups: dict[str, list[tuple[str, str, pa.DataType]]] = {}
    for field in schema:
        if not field.name.startswith(PREDICTION):
            continue
        whole = field.name.removeprefix(PREDICTION)
        parts = _COLUMN.match(whole)
        name, sub = parts.groups() if parts else (whole, "")
        groups.setdefault(name, []).append((field.name, sub, columns.value_type(field.type)))
    for name, found in groups.items():
        if any(pa.types.is_nested(kind) for _, _, kind in found):
            continue
        subs = [sub for _, sub, _ in found]
        numbered = len(found) == 1 or subs == [str(place) for place in range(len(found))]
        yield Output(
            name,
            tuple(column for column, _, _ in found),
            () if numbered else tuple(subs),
            all(pa.types.is_floating(kind) for _, _, kind in found),
        )


def _values(column: pa.ChunkedArray) -> Array:
    kind = column.type
    values = column.combine_chunks()
    if pa.types.is_floating(kind):
        values = values.cast(pa.float64())
    elif pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        values = values.cast(pa.int64(), safe=False)
    else:
        return np.array(_texts(values), dtype=object)
    numbers: Array = np.from_dlpack(values)
    return numbers


def _texts(values: pa.Array) -> Sequence[str]:
    found: list[str] = values.cast(pa.string()).to_pylist()
    return found
