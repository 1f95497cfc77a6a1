"""The methods: occlusion, permutation sampling, integrated gradients; one row of inputs at a time.

Occlusion: Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, ECCV 2014; an element's
attribution is how much the output falls when the element alone becomes its baseline.
Permutation: Strumbelj and Kononenko, An Efficient Explanation of Individual Classifications using Game Theory,
JMLR 2010; the Shapley value, estimated from random orders in which elements change from baseline to input.
Integrated gradients: Sundararajan, Taly and Yan, Axiomatic Attribution for Deep Networks, ICML 2017; the
gradient averaged on the straight line from baseline to input, here by Gauss-Legendre quadrature.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from mooring_inference.tensors import Array

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Rows = dict[str, Array]


@dataclass(frozen=True, slots=True)
class Step:
    """One batch for the model.

    Attributes:
        inputs: arrays by input name, the first axis the batch.
        targets: None: the answer is the explained output, (batch, ...). Else (batch,): the answer is the
            gradient of output[row, target[row]] by each floating-point input, by input name, of its shape.
    """

    inputs: Mapping[str, Array]
    targets: Integers | None = None


Plan = Generator[Step, Any, Floats]


@dataclass(frozen=True, slots=True)
class Line:
    """The row to explain and its baseline, both (1, ...) by input name, and the output element explained."""

    inputs: Rows
    baseline: Rows
    target: int

    def size(self) -> int:
        """Return elements of the row, over all inputs."""
        return sum(array.size for array in self.inputs.values())


def occlude(line: Line, batch: int) -> Plan:
    """Plan attributions by occlusion, (elements,)."""
    size = line.size()
    values = yield from _evaluate(line, _all_and_all_but_one(size), batch)
    falls: Floats = values[0] - values[1:]
    return falls


def permute(line: Line, batch: int, orders: int, seed: int) -> Plan:
    """Plan attributions by ``orders`` random orders, (elements,); they sum to the change of the output."""
    size = line.size()
    random = np.random.default_rng(seed)
    chosen = [random.permutation(size) for _ in range(orders)]
    values = yield from _evaluate(line, (mask for order in chosen for mask in _growing(order)), batch)
    changes = np.diff(values.reshape(orders, size + 1), axis=1)
    total = np.zeros(size)
    for order, change in zip(chosen, changes, strict=True):
        total[order] += change
    return total / orders


def integrate_gradients(line: Line, batch: int, steps: int) -> Plan:
    """Plan attributions by integrated gradients at ``steps`` points, (elements,); all inputs are floats."""
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    points, weights = (nodes + 1) / 2, weights / 2
    means = {name: np.zeros(array.shape[1:]) for name, array in line.inputs.items()}
    for start in range(0, steps, batch):
        part = slice(start, start + batch)
        inputs = {name: _between(line, name, points[part]) for name in line.inputs}
        targets = np.full(len(points[part]), line.target, np.int64)
        gradients = yield Step(inputs, targets)
        for name, array in gradients.items():
            means[name] += np.tensordot(weights[part], _precise(array), axes=1)
    return np.concatenate(
        [
            (means[name] * (_precise(line.inputs[name]) - _precise(line.baseline[name]))[0]).ravel()
            for name in line.inputs
        ]
    )


def _between(line: Line, name: str, points: Floats) -> Array:
    """(points, ...): the straight line from the baseline to the input."""
    end, start = _precise(line.inputs[name]), _precise(line.baseline[name])
    share = points.reshape(-1, *([1] * (end.ndim - 1)))
    return (start + share * (end - start)).astype(line.inputs[name].dtype)


def _precise(array: Array) -> Floats:
    return np.asarray(array, np.float64)


def _all_and_all_but_one(size: int) -> Iterator[Mask]:
    yield np.ones(size, bool)
    for position in range(size):
        mask = np.ones(size, bool)
        mask[position] = False
        yield mask


def _growing(order: npt.NDArray[np.int64]) -> Iterator[Mask]:
    mask = np.zeros(len(order), bool)
    yield mask.copy()
    for position in order:
        mask[position] = True
        yield mask.copy()


def _evaluate(line: Line, masks: Iterator[Mask], batch: int) -> Plan:
    """Yield the explained output where elements are the input's (True) or the baseline's (False), (masks,)."""
    values: list[Floats] = []
    while rows := list(islice(masks, batch)):
        output = yield Step(_mix(line, np.stack(rows)))
        values.append(_precise(output).reshape(len(rows), -1)[:, line.target])
    return np.concatenate(values)


def _mix(line: Line, masks: Mask) -> Rows:
    mixed: Rows = {}
    start = 0
    for name, array in line.inputs.items():
        mask = masks[:, start : start + array.size].reshape(-1, *array.shape[1:])
        mixed[name] = np.where(mask, array, line.baseline[name])
        start += array.size
    return mixed
