"""Running calls as one batch: join the rows, run, and give each call its own back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mooring_inference.backends.base import Backend
from mooring_inference.backends.no_rows import predict_no_rows
from mooring_inference.models.batching.call import Call
from mooring_inference.tensors import Array


class RowsLostError(Exception):
    """A model gave back another number of rows than it was given; the fault is the model's."""


def run_batch(backend: Backend, calls: Sequence[Call], max_rows: int) -> list[int]:
    """Run calls that ask for the same outputs; sets ``results`` or ``error`` of each.

    Where several fail together, each is run by itself, so that one bad request costs the others nothing. A call of
    more rows than ``max_rows`` is run in several steps.

    Returns:
        The rows of each run of the model.
    """
    runs: list[int] = []
    try:
        if len(calls) == 1:
            call = calls[0]
            call.results = _predict(backend, call, max_rows, runs)
        else:
            _run_joined(backend, calls, runs)
    except Exception as error:
        if len(calls) == 1:
            calls[0].error = error
            return runs
        for call in calls:
            runs += run_batch(backend, (call,), max_rows)
    return runs


def _run_joined(backend: Backend, calls: Sequence[Call], runs: list[int]) -> None:
    first = calls[0]
    joined = {name: np.concatenate([call.inputs[name] for call in calls]) for name in first.inputs}
    rows = sum(call.rows for call in calls)
    runs.append(rows)
    outputs = backend.predict(joined, first.outputs)
    for name, array in zip(first.outputs, outputs, strict=True):
        _check_rows(name, array, rows)
    start = 0
    for call in calls:
        end = start + call.rows
        call.results = [array[start:end] for array in outputs]
        start = end


def _predict(backend: Backend, call: Call, max_rows: int, runs: list[int]) -> list[Array]:
    if call.rows <= max_rows:
        runs.append(call.rows)
        if call.rows == 0 and not any(len(array) for array in call.inputs.values()):
            return predict_no_rows(backend, call.inputs, call.outputs)
        return backend.predict(call.inputs, call.outputs)
    parts = [
        _predict_rows(backend, call, start, min(start + max_rows, call.rows), runs)
        for start in range(0, call.rows, max_rows)
    ]
    return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]


def _predict_rows(backend: Backend, call: Call, start: int, end: int, runs: list[int]) -> list[Array]:
    rows: Mapping[str, Array] = {name: array[start:end] for name, array in call.inputs.items()}
    runs.append(end - start)
    outputs = backend.predict(rows, call.outputs)
    for name, array in zip(call.outputs, outputs, strict=True):
        _check_rows(name, array, end - start)
    return outputs


def _check_rows(name: str, array: Array, rows: int) -> None:
    if array.ndim == 0 or array.shape[0] != rows:
        raise RowsLostError(f"output {name} has shape {list(array.shape)} for {rows} rows")
