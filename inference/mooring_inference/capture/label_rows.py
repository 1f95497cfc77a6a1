"""Labels as rows of Parquet."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from mooring_inference.capture import arrow
from mooring_inference.capture.buffer import TIME, Entry
from mooring_inference.capture.counters import CaptureCounters
from mooring_inference.capture.labels import number_of, text_of
from mooring_inference.capture.streams import partition

# Beside the requests, so that a window of requests holds no labels.
ARCHIVE = "labels"


class LabelRows:
    """The labels of one deployment.

    Columns: ``id`` and ``row`` of the request, ``time`` and ``model`` of the label, ``value`` as a number where it
    is one (true is 1), ``text`` as text.
    """

    def __init__(self, deployment: str, counters: CaptureCounters) -> None:
        self.archive = self.folder = f"{ARCHIVE}/{partition('deployment', deployment)}"
        self._counters = counters
        self.schema = pa.schema(
            [
                ("id", pa.string()),
                ("row", pa.int32()),
                ("time", arrow.TIME),
                ("model", pa.string()),
                ("value", pa.float64()),
                ("text", pa.string()),
            ]
        )
        self.repetitive = ["model", "text"]

    def count(self, rows: int) -> None:
        """Labels in a complete file."""
        self._counters.labels_total += rows

    def columns(self, entries: Sequence[Entry], rows: Sequence[int]) -> pa.RecordBatch:
        """One row for each value."""
        table = [
            (request_id, row, entry[TIME], model, value)
            for entry in entries
            for model, request_id, values in (entry[TIME + 1 :],)
            for row, value in enumerate(values)
        ]
        ids, numbers, times, models, values = zip(*table, strict=True)
        floats = [number_of(value) for value in values]
        return pa.RecordBatch.from_arrays(
            [
                arrow.from_strings(ids),
                arrow.from_numbers(np.asarray(numbers, np.int32)),
                arrow.from_times(np.asarray(times, np.float64)),
                arrow.from_strings(models),
                arrow.from_numbers(
                    np.asarray([0.0 if value is None else value for value in floats], np.float64),
                    np.asarray([value is not None for value in floats]),
                ),
                arrow.from_strings([text_of(value) for value in values]),
            ],
            schema=self.schema,
        )
