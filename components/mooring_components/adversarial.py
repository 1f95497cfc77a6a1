"""How many rows a model still gets right when somebody looks for the worst change of them that is small.

Projected gradient descent within a box around each row (Madry et al. 2018, arXiv 1706.06083), for models that give
gradients; a step goes to where the right label's lead over the next best one falls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from mooring_artifacts.errors import InputError, first_line
from mooring_artifacts.gates import Interval
from mooring_artifacts.run_documents import Stability
from mooring_inference.tensors import Array

from mooring_components.feeding import FedModel, join_requests
from mooring_components.intervals import share
from mooring_components.options import TestOptions
from mooring_components.outcomes import Classified, Estimated, Floats, asked_outputs
from mooring_components.robustness import deviations_of

METRIC = "adversarialAccuracy"
ROWS = 512
STEPS = 10
_STRIDE = 2.5 / STEPS
"""A part of the box's half width: enough of them lead from one side of it to the other."""

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Attacked:
    """A model under attack: what differentiates it, the output with its scores, and the column that is right by row."""

    fed: FedModel
    differentiate: Callable[[Mapping[str, Array], str, Integers], Mapping[str, Array]]
    output: str
    right: Integers

    def scores(self, inputs: Mapping[str, Array]) -> Floats:
        """(rows, columns); of a single probability both."""
        place = self.fed.model.signature.output_names.index(self.output)
        found = self.fed.answer(inputs)[place].reshape(len(self.right), -1).astype(np.float64)
        return np.concatenate([1 - found, found], axis=1) if found.shape[1] == 1 else found

    def slopes(self, inputs: Mapping[str, Array], scores: Floats) -> dict[str, Floats]:
        """How the lead of the right column over the next best grows with each element."""
        rows = np.arange(len(self.right))
        others = scores.copy()
        others[rows, self.right] = -np.inf
        best = np.argmax(others, axis=1)
        if self._is_single():
            found = self._gradients(inputs, np.zeros_like(self.right))
            sign = np.where(self.right == 1, 1.0, -1.0)
            return {name: _by_row(sign, array) * array for name, array in found.items()}
        for_it, against = self._gradients(inputs, self.right), self._gradients(inputs, best)
        return {name: for_it[name] - against[name] for name in for_it}

    def _is_single(self) -> bool:
        spec = self.fed.model.signature.outputs_by_name[self.output]
        return len(spec.shape) == 1 or spec.shape[1] == 1

    def _gradients(self, inputs: Mapping[str, Array], targets: Integers) -> dict[str, Floats]:
        try:
            found = self.differentiate(inputs, self.output, targets)
        except Exception as error:  # what a model raises is up to it
            raise InputError(f"the model cannot be differentiated: {first_line(error)}") from error
        return {name: array.astype(np.float64) for name, array in found.items()}


def measure_adversarial(
    fed: FedModel, options: TestOptions, outcome: Classified | Estimated
) -> list[Stability] | str:
    """Give the share of rows that stay right, for the half width of each box; or say why there is none.

    Widths are `options.noise`: standard deviations of each element over up to 512 rows from all over the test data.

    Raises:
        InputError: a row does not fit, or the model fails.
        MemoryError: the model takes more memory than there is.
    """
    if isinstance(outcome, Estimated) or outcome.scores is None:
        return "the model gives no scores of classes"
    differentiate = getattr(fed.model.backend, "gradients", None)
    if differentiate is None:
        return "the model's format gives no gradients"
    output = next(spec.name for spec in asked_outputs(fed, options) if spec.datatype.dtype.kind == "f")
    rows = np.array(fed.spread_rows(ROWS))
    columns = {code: place for place, code in enumerate(outcome.columns)}
    known = np.array([columns.get(int(code), -1) for code in outcome.actual[rows]], dtype=np.int64)
    try:
        inputs = join_requests(fed.requests(rows[known >= 0].tolist())) if (known >= 0).any() else {}
        deviations = {name: _deviations(array) for name, array in inputs.items() if array.dtype.kind == "f"}
        if not deviations:
            return "no input of floating point feeds the model"
        attacked = _Attacked(fed, differentiate, output, known[known >= 0])
        # A row whose label the model has no score for is wrong as it is.
        return [_at(attacked, inputs, deviations, level, len(rows)) for level in options.noise]
    except InputError as error:
        return str(error)


def _at(
    attacked: _Attacked,
    inputs: Mapping[str, Array],
    deviations: Mapping[str, Floats],
    level: float,
    rows: int,
) -> Stability:
    moved, scores = dict(inputs), attacked.scores(inputs)
    right = _right(scores, attacked.right)
    for _ in range(STEPS):
        slopes = attacked.slopes(moved, scores)
        for name, deviation in deviations.items():
            width, row = level * deviation, inputs[name].astype(np.float64)
            step = moved[name].astype(np.float64) - _STRIDE * width * np.sign(slopes[name])
            moved[name] = np.clip(step, row - width, row + width).astype(inputs[name].dtype)
        scores = attacked.scores(moved)
        # Whatever a row was taken for on the way, somebody would send.
        right &= _right(scores, attacked.right)
    found = share(int(right.sum()), rows)
    return Stability(noise=level, share=found.value, interval=Interval(low=found.low, high=found.high))


def _right(scores: Floats, right: Integers) -> npt.NDArray[np.bool_]:
    held: npt.NDArray[np.bool_] = np.isfinite(scores).all(axis=1) & (np.argmax(scores, axis=1) == right)
    return held


def _deviations(array: Array) -> Floats:
    """(1, ...): the standard deviation of each element over the rows."""
    table = array.reshape(len(array), -1).astype(np.float64)
    return deviations_of(table).reshape(1, *array.shape[1:])


def _by_row(values: Floats, array: Floats) -> Floats:
    return values.reshape(-1, *[1] * (array.ndim - 1))
