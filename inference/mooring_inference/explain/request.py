"""What is asked of an explanation, and whether the model can answer it at a bearable cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from mooring_inference.errors import RequestError, bad_field
from mooring_inference.explain.methods import Rows
from mooring_inference.tensors import Array, Signature, TensorSpec

METHODS = ("occlusion", "permutation", "integrated_gradients")


@dataclass(frozen=True, slots=True)
class ExplanationLimits:
    """What one request may cost.

    Attributes:
        rows: rows of the request.
        elements: elements of one row, over all inputs.
        evaluations: rows that the model has to answer for the request.
        batch: rows of one batch.
        batch_elements: elements of one batch.
    """

    rows: int = 64
    elements: int = 16_384
    evaluations: int = 200_000
    batch: int = 256
    batch_elements: int = 1 << 20


@dataclass(frozen=True, slots=True)
class ExplanationRequest:
    """What to explain and how.

    Attributes:
        inputs: as for a prediction, the first axis the rows.
        output: the output's name; None: the first that is numeric, floats before integers.
        target: position in the output's row, axes after the first counting as one; None: of each row's largest.
        method: one of METHODS; None: integrated gradients where the backend has gradients and all
            inputs are floats, else occlusion.
        baseline: one row, (1, ...), by input name; None: zeros, false and empty strings.
        steps: points of integrated gradients.
        orders: random orders of permutation sampling.
        seed: of the orders; the same seed gives the same answer.
    """

    inputs: Mapping[str, Array]
    output: str | None = None
    target: int | None = None
    method: str | None = None
    baseline: Mapping[str, Array] | None = None
    steps: int = 64
    orders: int = 16
    seed: int = 0


@dataclass(frozen=True, slots=True)
class CheckedRequest:
    """A request that has been checked."""

    request: ExplanationRequest
    inputs: Rows
    baseline: Rows
    output: str
    method: str
    batch: int
    rows: int


def check_request(
    request: ExplanationRequest, signature: Signature, differentiable: bool, limits: ExplanationLimits
) -> CheckedRequest:
    """Return the request with what it leaves open filled in; raises as ``plan_explanation`` does."""
    batch = _batch(signature, limits)
    inputs = {spec.name: request.inputs[spec.name] for spec in signature.inputs}
    rows = {array.shape[0] for array in inputs.values()}
    if len(rows) != 1 or 0 in rows:
        raise bad_field("inputs", "the same number of rows, at least one, in every input", sorted(rows))
    output = _output(request.output, signature)
    differentiable = differentiable and all(array.dtype.kind == "f" for array in inputs.values())
    method = request.method or ("integrated_gradients" if differentiable else "occlusion")
    allowed = METHODS if differentiable else METHODS[:2]
    if method not in allowed:
        raise bad_field("parameters.method", f"one of {list(allowed)} for this model", method)
    baseline = dict(request.baseline) if request.baseline is not None else _zeros(inputs)
    for name, array in inputs.items():
        if baseline[name].shape != (1, *array.shape[1:]):
            raise bad_field("parameters.baseline", [1, *array.shape[1:]], list(baseline[name].shape))
    elements = sum(prod(array.shape[1:]) for array in inputs.values())
    batch = max(1, min(batch, limits.batch_elements // max(1, elements)))
    work = CheckedRequest(request, inputs, baseline, output.name, method, batch, rows.pop())
    _require_affordable(work, elements, limits)
    return work


def _batch(signature: Signature, limits: ExplanationLimits) -> int:
    """Return rows of one batch: 1 where the model takes no more."""
    firsts = {spec.shape[0] if spec.shape else 0 for spec in signature.inputs}
    if firsts - {None, 1}:
        raise RequestError("this model cannot be explained: its inputs have no batch axis of open size")
    return 1 if 1 in firsts else limits.batch


def _output(name: str | None, signature: Signature) -> TensorSpec:
    numeric = [spec for spec in signature.outputs if spec.datatype.dtype.kind in "fiu"]
    numeric.sort(key=lambda spec: spec.datatype.dtype.kind != "f")
    if not numeric:
        raise RequestError(
            "this model cannot be explained: none of its outputs is numeric, with a row for each row"
        )
    if name is None:
        return numeric[0]
    for spec in numeric:
        if spec.name == name:
            return spec
    raise bad_field("parameters.output", [spec.name for spec in numeric], name)


def _zeros(inputs: Rows) -> Rows:
    return {
        name: np.full((1, *array.shape[1:]), "" if array.dtype == object else 0, array.dtype)
        for name, array in inputs.items()
    }


def _require_affordable(work: CheckedRequest, elements: int, limits: ExplanationLimits) -> None:
    each = {
        "occlusion": elements + 1,
        "permutation": work.request.orders * (elements + 1),
        "integrated_gradients": work.request.steps,
    }[work.method]
    evaluations = work.rows * (each + 1) + 1
    for what, count, limit in (
        ("rows", work.rows, limits.rows),
        ("elements in a row", elements, limits.elements),
        ("evaluations of the model", evaluations, limits.evaluations),
    ):
        if count > limit:
            raise RequestError(
                f"an explanation may take at most {limit} {what}, this one takes {count}",
                status=413,
                field="inputs",
                expected=f"at most {limit} {what}",
                got=count,
            )
