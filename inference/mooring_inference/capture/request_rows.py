"""Answered requests as rows of Parquet."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, repeat
from typing import cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mooring_inference.capture import arrow
from mooring_inference.capture.buffer import Entry
from mooring_inference.capture.counters import CaptureCounters
from mooring_inference.capture.layout import REQUEST, Layout
from mooring_inference.capture.streams import partition
from mooring_inference.capture.tensor_rows import TensorRows
from mooring_inference.tensors import Array

_REQUEST = pa.struct(
    [
        ("id", pa.string()),
        ("row", pa.int32()),
        ("time", arrow.TIME),
        ("model", pa.string()),
        ("revision", pa.string()),
        ("route", pa.string()),
        ("status", pa.int16()),
        ("latency_seconds", pa.float32()),
    ]
)
_REPETITIVE = ("model", "revision", "route")

# What is recorded of a request, in an entry of the buffer.
_INPUTS, _OUTPUTS = 8, 9

Counts = npt.NDArray[np.int64]


class RequestStream:
    """The requests of one revision of a model."""

    def __init__(
        self,
        *,
        deployment: str,
        model: str,
        revision: str,
        layout: Layout,
        key: bytes | None,
        counters: CaptureCounters,
    ) -> None:
        self.archive = partition("deployment", deployment)
        self.folder = f"{self.archive}/{partition('revision', revision)}"
        self._model = model
        self._revision = revision
        self._counters = counters
        self._inputs = [TensorRows(columns, key) for columns in layout.inputs]
        self._outputs = [TensorRows(columns, key) for columns in layout.outputs]
        fields = [field for tensor in (*self._inputs, *self._outputs) for field in tensor.fields]
        self.schema = pa.schema([pa.field(REQUEST, _REQUEST), *fields])
        self.repetitive = [f"{REQUEST}.{name}" for name in _REPETITIVE]
        self.repetitive += [field.name for field in fields if field.type == pa.string()]

    def count(self, rows: int) -> None:
        """Rows in a complete file."""
        self._counters.rows_total += rows

    def columns(self, entries: Sequence[Entry], rows: Sequence[int]) -> pa.RecordBatch | None:
        """One row for each row of each request; requests that do not fit the layout are counted as dropped."""
        inputs = [[entry[_INPUTS].get(tensor.name) for entry in entries] for tensor in self._inputs]
        if not all(tensor.fits(arrays, rows) for tensor, arrays in zip(self._inputs, inputs, strict=True)):
            entries, rows, inputs = self._leave_out(entries, rows, inputs)
            if not entries:
                return None
        counts = np.asarray(rows, np.int64)
        columns = [self._request(entries, counts)]
        for tensor, arrays in zip(self._inputs, inputs, strict=True):
            columns += tensor.columns(cast(Sequence[Array], arrays), rows, None)
        for place, tensor in enumerate(self._outputs):
            columns += self._output(tensor, _find_all(tensor.name, place, entries), rows)
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def _leave_out(
        self, entries: Sequence[Entry], rows: Sequence[int], inputs: list[list[Array | None]]
    ) -> tuple[Sequence[Entry], Sequence[int], list[list[Array | None]]]:
        fitted = [
            [tensor.fit(array, count) for array, count in zip(arrays, rows, strict=True)]
            for tensor, arrays in zip(self._inputs, inputs, strict=True)
        ]
        kept = [
            index
            for index, parts in enumerate(zip(*fitted, strict=True))
            if all(p is not None for p in parts)
        ]
        self._counters.drop("shape", sum(rows) - sum(rows[index] for index in kept))
        return (
            [entries[index] for index in kept],
            [rows[index] for index in kept],
            [[arrays[index] for index in kept] for arrays in fitted],
        )

    def _request(self, entries: Sequence[Entry], counts: Counts) -> pa.Array:
        _, _, _, times, ids, routes, statuses, seconds, _, _ = zip(*entries, strict=True)
        total = int(counts.sum())
        if total == len(entries):
            numbers: npt.NDArray[np.int32] = np.zeros(total, np.int32)
        else:
            numbers = (np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)).astype(np.int32)
            repeats = counts.tolist()
            times, ids, routes, statuses, seconds = (
                tuple(chain.from_iterable(map(repeat, column, repeats)))
                for column in (times, ids, routes, statuses, seconds)
            )
        is_one_route = routes.count(routes[0]) == total
        return arrow.from_fields(
            _REQUEST,
            [
                arrow.from_strings(ids),
                arrow.from_numbers(numbers),
                arrow.from_times(np.asarray(times, np.float64)),
                arrow.repeat_string(self._model, total),
                arrow.repeat_string(self._revision, total),
                arrow.repeat_string(routes[0], total) if is_one_route else arrow.from_strings(routes),
                arrow.from_numbers(np.asarray(statuses, np.int16)),
                arrow.from_numbers(np.asarray(seconds, np.float32)),
            ],
        )

    def _output(
        self, tensor: TensorRows, found: Sequence[Array | None], rows: Sequence[int]
    ) -> list[pa.Array]:
        if tensor.fits(found, rows):
            return tensor.columns(found, rows, None)
        fitted = [tensor.fit(array, count) for array, count in zip(found, rows, strict=True)]
        self._counters.without_predictions_total += sum(
            count
            for before, after, count in zip(found, fitted, rows, strict=True)
            if before is not None and after is None
        )
        valid = np.repeat(np.array([array is not None for array in fitted]), rows)
        arrays = [
            tensor.absent(count) if array is None else array
            for array, count in zip(fitted, rows, strict=True)
        ]
        return tensor.columns(arrays, rows, valid)


def _find_all(name: str, place: int, entries: Sequence[Entry]) -> list[Array | None]:
    """The output of that name of each request; most have it at the same place."""
    try:
        pairs = [entry[_OUTPUTS][place] for entry in entries]
        if {spec.name for spec, _ in pairs} == {name}:
            return [array for _, array in pairs]
    except (TypeError, IndexError):  # no outputs, or fewer
        pass
    return [
        next((array for spec, array in entry[_OUTPUTS] or () if spec.name == name), None) for entry in entries
    ]
