"""How much memory arrays keep alive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mooring_inference.tensors import Array, TensorSpec

Outputs = Sequence[tuple[TensorSpec, Array]] | None

# Of the objects that hold a request together; generous.
ENTRY_BYTES = 1024
# From here on a request is looked at more closely.
LARGE = 1 << 16
_STRING_BYTES = 56


def measure(inputs: Mapping[str, Array], outputs: Outputs) -> tuple[int, int]:
    """Bytes that the arrays keep alive, and rows of the first input; 1 where that has no dimension."""
    size = ENTRY_BYTES + sum(held(array) for array in inputs.values())
    size += sum(held(array) for _, array in outputs or ())
    first = next(iter(inputs.values()))
    return size, len(first) if first.ndim else 1


def compact(inputs: Mapping[str, Array], outputs: Outputs) -> tuple[Mapping[str, Array], Outputs, int]:
    """The same arrays, except that those are copied which keep much more memory alive than they need.

    One row of a large batch would keep the whole batch; and the batch would count once for each of its rows.
    """
    inputs = {name: _own(array) for name, array in inputs.items()}
    if outputs is not None:
        outputs = [(spec, _own(array)) for spec, array in outputs]
    return inputs, outputs, measure(inputs, outputs)[0]


def held(array: Array) -> int:
    """Bytes that an array keeps alive, with its strings."""
    owner = array.base
    if isinstance(owner, np.ndarray | memoryview):
        size = owner.nbytes
    else:
        # Its own memory, bytes of a request, or a capsule of the runtime's, which does not tell.
        size = len(owner) if isinstance(owner, bytes) else array.nbytes
    if array.dtype.kind == "O":
        size += sum(_STRING_BYTES + len(value) for value in array.ravel().tolist())
    return size


def _own(array: Array) -> Array:
    base = array.base
    if isinstance(base, np.ndarray) and base.nbytes > 4 * array.nbytes:
        return array.copy()
    return array
