"""Recorded requests and labels as rows of Parquet."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, repeat
from typing import Protocol, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from mooring_artifacts.window_states import Profile

from mooring_inference.capture.buffer import TIME, CaptureCounters, Entry
from mooring_inference.capture.columns import (
    TIME_TYPE,
    TensorRows,
    from_fields,
    from_numbers,
    from_strings,
    from_times,
    repeat_string,
)
from mooring_inference.capture.layout import REQUEST, Layout
from mooring_inference.capture.paths import archive_of_labels, archive_of_requests, folder_of_revision
from mooring_inference.capture.states import StateCounter, counter_of
from mooring_inference.tensors import Array


class Stream(Protocol):
    """Rows of one schema that go into one folder.

    Attributes:
        archive: such as ``deployment=iris``; what retention looks through.
        folder: such as ``deployment=iris/revision=v2``; hours are folders below it.
        schema: of its files.
        repetitive: paths of columns that hold few different values.
        counter: what counts its rows; None where nothing does.
    """

    archive: str
    folder: str
    schema: pa.Schema
    repetitive: list[str]
    counter: StateCounter | None

    def columns(self, entries: Sequence[Entry], rows: Sequence[int]) -> pa.RecordBatch | None:
        """Return the rows of what was recorded, or None; count what does not fit the schema."""
        ...

    def count(self, rows: int) -> None:
        """Count rows of a complete file."""
        ...


_REQUEST = pa.struct(
    [
        ("id", pa.string()),
        ("row", pa.int32()),
        ("time", TIME_TYPE),
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
        profile: Profile | None = None,
    ) -> None:
        self.archive = archive_of_requests(deployment)
        self.folder = folder_of_revision(self.archive, revision)
        self._model = model
        self._revision = revision
        self._counters = counters
        self._inputs = [TensorRows(columns, key) for columns in layout.inputs]
        self._outputs = [TensorRows(columns, key) for columns in layout.outputs]
        fields = [field for tensor in (*self._inputs, *self._outputs) for field in tensor.fields]
        self.schema = pa.schema([pa.field(REQUEST, _REQUEST), *fields])
        self.counter = counter_of(profile, layout, self.schema)
        self.repetitive = [f"{REQUEST}.{name}" for name in _REPETITIVE]
        self.repetitive += [field.name for field in fields if field.type == pa.string()]

    def count(self, rows: int) -> None:
        """Count rows of a complete file."""
        self._counters.rows_total += rows

    def columns(self, entries: Sequence[Entry], rows: Sequence[int]) -> pa.RecordBatch | None:
        """Return one row for each row of each request; requests that do not fit the layout are counted as dropped."""
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
        return from_fields(
            _REQUEST,
            [
                from_strings(ids),
                from_numbers(numbers),
                from_times(np.asarray(times, np.float64)),
                repeat_string(self._model, total),
                repeat_string(self._revision, total),
                repeat_string(routes[0], total) if is_one_route else from_strings(routes),
                from_numbers(np.asarray(statuses, np.int16)),
                from_numbers(np.asarray(seconds, np.float32)),
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
    """Return the output of that name of each request; most have it at the same place."""
    try:
        pairs = [entry[_OUTPUTS][place] for entry in entries]
        if {spec.name for spec, _ in pairs} == {name}:
            return [array for _, array in pairs]
    except (TypeError, IndexError):  # no outputs, or fewer
        pass
    return [
        next((array for spec, array in entry[_OUTPUTS] or () if spec.name == name), None) for entry in entries
    ]


class LabelRows:
    """The labels of one deployment.

    Columns: ``id`` and ``row`` of the request, ``time`` and ``model`` of the label, ``value`` as a number where it
    is one (true is 1), ``text`` as text.
    """

    def __init__(self, deployment: str, counters: CaptureCounters) -> None:
        self.archive = self.folder = archive_of_labels(deployment)
        self._counters = counters
        self.schema = pa.schema(
            [
                ("id", pa.string()),
                ("row", pa.int32()),
                ("time", TIME_TYPE),
                ("model", pa.string()),
                ("value", pa.float64()),
                ("text", pa.string()),
            ]
        )
        self.repetitive = ["model", "text"]
        self.counter: StateCounter | None = None

    def count(self, rows: int) -> None:
        """Count labels of a complete file."""
        self._counters.labels_total += rows

    def columns(self, entries: Sequence[Entry], rows: Sequence[int]) -> pa.RecordBatch:
        """Return one row for each value."""
        table = [
            (request_id, row, entry[TIME], model, value)
            for entry in entries
            for model, request_id, values in (entry[TIME + 1 :],)
            for row, value in enumerate(values)
        ]
        ids, numbers, times, models, values = zip(*table, strict=True)
        floats = [_number_of(value) for value in values]
        return pa.RecordBatch.from_arrays(
            [
                from_strings(ids),
                from_numbers(np.asarray(numbers, np.int32)),
                from_times(np.asarray(times, np.float64)),
                from_strings(models),
                from_numbers(
                    np.asarray([0.0 if value is None else value for value in floats], np.float64),
                    np.asarray([value is not None for value in floats]),
                ),
                from_strings([_text_of(value) for value in values]),
            ],
            schema=self.schema,
        )


def _number_of(value: float | str) -> float | None:
    """Return the value as a number; None for a string."""
    return None if isinstance(value, str) else float(value)


def _text_of(value: float | str) -> str:
    """Return the value as text, as JSON has it, without quotes."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else repr(value)
