"""From a request for an explanation to the batches that it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Generator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Protocol

import numpy as np

from mooring_inference.errors import bad_field
from mooring_inference.explain.methods import (
    Floats,
    Integers,
    Line,
    Rows,
    Step,
    integrate_gradients,
    occlude,
    permute,
)
from mooring_inference.explain.request import (
    CheckedRequest,
    ExplanationLimits,
    ExplanationRequest,
    check_request,
)
from mooring_inference.tensors import Array, Signature


class Differentiable(Protocol):
    """What a backend offers in addition where it can differentiate; ``getattr(backend, "gradients", None)``."""

    def gradients(self, inputs: Mapping[str, Array], output: str, targets: Integers) -> Mapping[str, Array]:
        """Return the gradients of ``output[row, targets[row]]`` by the floating-point inputs.

        Args:
            inputs: one array for each input of the signature, the first axis the batch.
            output: the name of a floating-point output; axes after the first count as one, in row-major order.
            targets: (batch,) positions in that axis; 0 where the output is (batch,).

        Returns:
            Arrays of the shape of each floating-point input, by name. Rows do not depend on each other.
        """
        ...


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer.

    Attributes:
        method, output: that were used.
        attributions: by input name, float64, of the input's shape, in the output's unit.
        baseline: by input name, (1, ...).
        targets: (rows,) the explained position of each row's output.
        outputs: the explained output of the rows as they are, (rows, ...).
        predictions, baseline_predictions: (rows,) the output at the target, for the row and for the baseline.
        completeness_errors: (rows,) sum of a row's attributions minus the change of the output from the
            baseline; about 0 for permutation and for integrated gradients of enough steps; for occlusion it
            says how much elements act together.
    """

    method: str
    output: str
    attributions: dict[str, Floats]
    baseline: Rows
    targets: Integers
    outputs: Array
    predictions: Floats
    baseline_predictions: Floats
    completeness_errors: Floats


ExplanationPlan = Generator[Step, Any, Explanation]


def plan_explanation(
    request: ExplanationRequest,
    signature: Signature,
    *,
    differentiable: bool = False,
    limits: ExplanationLimits | None = None,
    odd_outputs: Collection[str] = (),
) -> tuple[str, ExplanationPlan]:
    """Return the output that the steps need, and the plan.

    Args:
        request: its arrays fit the signature.
        signature: of the model; the first axis of every input and of the output is the batch.
        differentiable: whether steps with targets can be answered.
        limits: what it may cost.
        odd_outputs: names of outputs that have not one row for each row that goes in.

    Raises:
        RequestError: 400 for what cannot be explained, 413 for what costs too much.
    """
    by_row = tuple(spec for spec in signature.outputs if spec.name not in odd_outputs)
    signature = Signature(signature.inputs, by_row)
    work = check_request(request, signature, differentiable, limits or ExplanationLimits())
    return work.output, _explain(work)


def run_plan(
    plan: ExplanationPlan,
    predict: Callable[[Mapping[str, Array]], Array],
    gradients: Callable[[Mapping[str, Array], Integers], Mapping[str, Array]] | None = None,
) -> Explanation:
    """Answer a plan's steps with functions."""
    answer: Any = None
    while True:
        step = _advance(plan, answer)
        if isinstance(step, Explanation):
            return step
        if step.targets is None:
            answer = predict(step.inputs)
        else:
            assert gradients is not None  # the plan was made for a model without gradients otherwise
            answer = gradients(step.inputs, step.targets)


async def run_plan_async(
    plan: ExplanationPlan,
    predict: Callable[[Mapping[str, Array]], Awaitable[Array]],
    gradients: Callable[[Mapping[str, Array], Integers], Awaitable[Mapping[str, Array]]] | None = None,
) -> Explanation:
    """Answer a plan's steps with coroutines; what the plan itself computes is done in a thread."""
    answer: Any = None
    while True:
        step = await asyncio.to_thread(_advance, plan, answer)
        if isinstance(step, Explanation):
            return step
        if step.targets is None:
            answer = await predict(step.inputs)
        else:
            assert gradients is not None  # the plan was made for a model without gradients otherwise
            answer = await gradients(step.inputs, step.targets)


def _advance(plan: ExplanationPlan, answer: Any) -> Step | Explanation:
    """Return the next step, or the result."""
    try:
        return plan.send(answer)
    except StopIteration as stop:
        explanation: Explanation = stop.value
        return explanation


def _explain(work: CheckedRequest) -> ExplanationPlan:
    outputs = yield from _predict_rows(work)
    (at_baseline,) = np.asarray((yield Step(work.baseline)), np.float64).reshape(1, -1)
    flat = np.asarray(outputs, np.float64).reshape(work.rows, -1)
    targets = _targets(work.request.target, flat)
    found: list[Floats] = []
    for row in range(work.rows):
        inputs = {name: array[row : row + 1] for name, array in work.inputs.items()}
        found.append((yield from _attribute(work, Line(inputs, work.baseline, int(targets[row])))))
    total = np.stack(found)
    predictions, baselines = flat[np.arange(work.rows), targets], at_baseline[targets]
    return Explanation(
        work.method,
        work.output,
        _split(total, work.inputs),
        work.baseline,
        targets,
        outputs,
        predictions,
        baselines,
        total.sum(axis=1) - (predictions - baselines),
    )


def _attribute(work: CheckedRequest, line: Line) -> Generator[Step, Any, Floats]:
    request = work.request
    if work.method == "occlusion":
        return (yield from occlude(line, work.batch))
    if work.method == "permutation":
        return (yield from permute(line, work.batch, request.orders, request.seed))
    return (yield from integrate_gradients(line, work.batch, request.steps))


def _predict_rows(work: CheckedRequest) -> Generator[Step, Any, Array]:
    parts: list[Array] = []
    for start in range(0, work.rows, work.batch):
        part = {name: array[start : start + work.batch] for name, array in work.inputs.items()}
        parts.append((yield Step(part)))
    return np.concatenate(parts)


def _targets(target: int | None, outputs: Floats) -> Integers:
    if target is None:
        largest: Integers = np.where(np.isnan(outputs), -np.inf, outputs).argmax(axis=1)
        return largest
    if target >= outputs.shape[1]:
        raise bad_field("parameters.target", f"0 to {outputs.shape[1] - 1}", target)
    return np.full(len(outputs), target, np.int64)


def _split(total: Floats, inputs: Rows) -> dict[str, Floats]:
    sizes = [prod(array.shape[1:]) for array in inputs.values()]
    parts = np.split(total, np.cumsum(sizes)[:-1], axis=1)
    return {
        name: part.reshape(array.shape) for (name, array), part in zip(inputs.items(), parts, strict=True)
    }
