"""Explanations of single predictions: how much each element of an input moved the output from a baseline.

A method is a plan, a generator: it yields ``Step`` values, each a batch for the model, takes the answers and
returns an ``Explanation``. So the caller decides how batches reach the model; ``run_plan`` calls functions,
``run_plan_async`` awaits them, for instance through the batcher.
"""

from mooring_inference.explain.methods import Step
from mooring_inference.explain.plan import (
    Differentiable,
    Explanation,
    plan_explanation,
    run_plan,
    run_plan_async,
)
from mooring_inference.explain.protocol import decode_request, encode_response
from mooring_inference.explain.request import ExplanationLimits, ExplanationRequest

__all__ = [
    "Differentiable",
    "Explanation",
    "ExplanationLimits",
    "ExplanationRequest",
    "Step",
    "decode_request",
    "encode_response",
    "plan_explanation",
    "run_plan",
    "run_plan_async",
]
