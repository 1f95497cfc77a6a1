"""The first runs of a model, with made-up input: does it run, how fast, and may rows of several callers join?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from mooring_artifacts.errors import first_line

from mooring_inference.backends.base import Backend
from mooring_inference.tensors import Array, Signature, TensorSpec

# Sizes tried for open dimensions other than the rows: some models need more than one step or pixel.
_INNER_SIZES = (1, 2, 32, 224)
# How far results of joined rows may differ from those of single rows, relative and absolute: kernels add up in
# another order for another number of rows.
_TOLERANCES = {2: (1e-2, 1e-2), 4: (1e-3, 1e-4), 8: (1e-6, 1e-8)}
# What the second row is filled with; the first is zeros and empty strings.
_OTHER_TEXT = "a"

Inputs = dict[str, Array]


@dataclass(frozen=True, slots=True)
class WarmUp:
    """What the first runs showed.

    Attributes:
        batchable: whether rows of several callers may run together.
        reason: why not, or why that could not be tried; empty where it was tried and is so.
        one_row: whether it takes one row at a time though its signature leaves their number open.
        rows_depend: whether a row's results are others beside another row.
        odd_outputs: names of outputs that have not one row for each row that goes in.
        seconds: of a run of one row, not the first; 0 where the model does not run on made-up input.
    """

    batchable: bool
    reason: str
    seconds: float
    one_row: bool = False
    rows_depend: bool = False
    odd_outputs: tuple[str, ...] = ()


def warm_up(backend: Backend) -> WarmUp:
    """Run a model on two rows, each alone and both together.

    A model may join rows where the first dimension of every input is open, every output has as many rows as
    went in, and a row's results do not depend on the other row. Where the model fails on made-up input, which
    says nothing about real input, the signature alone decides.
    """
    signature = backend.signature
    closed = _first_closed_input(signature)
    try:
        first = _run_first_row(backend)
    except Exception as error:
        reason = f"it could not be tried on made-up input: {first_line(error)}"
        may_join = not closed and not signature.rows_may_differ and _has_open_outputs(signature)
        return WarmUp(may_join, closed or reason, 0.0)
    if closed:
        return WarmUp(False, closed, first.seconds)
    if odd := _odd_outputs(signature, first.outputs, 1):
        return _without_rows(odd, 1, first.seconds)
    try:
        together, second = _run_two_rows(backend, first)
    except Exception as error:
        reason = f"it takes one row at a time, and fails on two: {first_line(error)}"
        return WarmUp(False, reason, first.seconds, one_row=True)
    if odd := _odd_outputs(signature, together, 2):
        return _without_rows(odd, 2, first.seconds)
    if not first.is_repeatable:
        return WarmUp(
            True, "results differ from run to run, so those of rows were not compared", first.seconds
        )
    if not _are_those_of_single_rows(together, first.outputs, second):
        return WarmUp(False, "a row's results depend on the other rows", first.seconds, rows_depend=True)
    return WarmUp(True, "", first.seconds)


@dataclass(frozen=True, slots=True)
class _FirstRow:
    """Runs of one row of zeros: the size that open dimensions got, results, whether these came twice, a run's time."""

    size: int
    outputs: list[Array]
    is_repeatable: bool
    seconds: float


def _run_first_row(backend: Backend) -> _FirstRow:
    names = backend.signature.output_names
    for size, inputs in _first_rows(backend.signature):
        try:
            # The first run allocates, and compiles where a backend does so late.
            outputs = backend.predict(inputs, names)
        except Exception as error:
            failure = error
            continue
        started = perf_counter()
        again = backend.predict(inputs, names)
        return _FirstRow(size, outputs, _are_close(outputs, again), perf_counter() - started)
    raise failure


def first_rows(signature: Signature) -> Iterator[Inputs]:
    """Yield one row of zeros, in the sizes that may be tried for open dimensions."""
    return (inputs for _, inputs in _first_rows(signature))


def _first_rows(signature: Signature) -> Iterator[tuple[int, Inputs]]:
    has_open = any(None in spec.shape[1:] for spec in signature.inputs)
    return ((size, make_inputs(signature, [0], size)) for size in (_INNER_SIZES if has_open else (1,)))


def _run_two_rows(backend: Backend, first: _FirstRow) -> tuple[list[Array], list[Array]]:
    """Return the results of two rows together, and those of the second one alone."""
    signature = backend.signature
    names = signature.output_names
    filler, second = 1, first.outputs
    try:
        second = backend.predict(make_inputs(signature, [1], first.size), names)
    except Exception:
        # Such as an index that is out of range.
        filler = 0
    return backend.predict(make_inputs(signature, [0, filler], first.size), names), second


def _are_those_of_single_rows(together: list[Array], *alone: list[Array]) -> bool:
    return all(
        _are_close([array[row : row + 1] for array in together], outputs) for row, outputs in enumerate(alone)
    )


def make_inputs(signature: Signature, fillers: Sequence[int], size: int = 1) -> Inputs:
    """Make up input of as many rows as ``fillers``, each filled with its number; open dimensions get ``size``."""
    return {spec.name: _make_input(spec, fillers, size) for spec in signature.inputs}


def _make_input(spec: TensorSpec, fillers: Sequence[int], size: int) -> Array:
    values = ["", _OTHER_TEXT] if spec.datatype.name == "BYTES" else [0, 1]
    shape = [size if dimension is None else dimension for dimension in spec.shape]
    if not spec.shape or spec.shape[0] is not None:
        return np.full(shape, values[fillers[0]], dtype=spec.datatype.dtype)
    inner = shape[1:]
    return np.stack([np.full(inner, values[filler], dtype=spec.datatype.dtype) for filler in fillers])


def _first_closed_input(signature: Signature) -> str:
    if not signature.inputs:
        return "it has no inputs"
    for spec in signature.inputs:
        if not spec.shape or spec.shape[0] is not None:
            return f"the first dimension of input {spec.name} is not open"
    return ""


def _has_open_outputs(signature: Signature) -> bool:
    return all(spec.shape and spec.shape[0] is None for spec in signature.outputs)


def _odd_outputs(signature: Signature, outputs: Sequence[Array], rows: int) -> dict[str, list[int]]:
    """Return the shapes of outputs that have not as many rows as went in."""
    pairs = zip(signature.outputs, outputs, strict=True)
    return {spec.name: list(array.shape) for spec, array in pairs if array.shape[:1] != (rows,)}


def _without_rows(odd: dict[str, list[int]], rows: int, seconds: float) -> WarmUp:
    name, shape = next(iter(odd.items()))
    reason = f"output {name} has shape {shape} for {rows} rows"
    return WarmUp(False, reason, seconds, odd_outputs=tuple(odd))


def _are_close(first: Sequence[Array], second: Sequence[Array]) -> bool:
    return all(_is_close(one, other) for one, other in zip(first, second, strict=True))


def _is_close(one: Array, other: Array) -> bool:
    if one.shape != other.shape:
        return False
    if one.dtype.kind != "f":
        return bool(np.array_equal(one, other))
    relative, absolute = _TOLERANCES[one.dtype.itemsize]
    wide = one.astype(np.float64), other.astype(np.float64)
    return bool(np.allclose(*wide, rtol=relative, atol=absolute, equal_nan=True))
