"""The wire form of explanations: KServe's V1 ``:explain``; its V2 protocol has none.

``{"instances": rows, "parameters": {...}}`` to ``{"predictions": rows, "explanations": [...]}``, where the
parameters are optional: ``output``, ``target``, ``method``, ``baseline`` (one instance), ``steps``, ``orders``,
``seed``. Each explanation holds ``attributions`` and ``baseline`` in the form of an instance, ``output``,
``target``, ``prediction``, ``baseline_prediction`` and ``completeness_error``.
"""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from mooring_inference.errors import RequestError, bad_field
from mooring_inference.explain.plan import Explanation
from mooring_inference.explain.request import METHODS, ExplanationRequest
from mooring_inference.protocols import v1
from mooring_inference.protocols.elements import json_type
from mooring_inference.protocols.json_body import parse_object
from mooring_inference.tensors import Array, Signature

_PARAMETERS = ("output", "target", "method", "baseline", "steps", "orders", "seed")

# Beyond these an answer gets no better in the precision of a model's outputs.
_MAX_STEPS, _MAX_ORDERS, _MAX_SEED = 1024, 4096, 2**63 - 1


def decode_request(body: bytes, signature: Signature) -> ExplanationRequest:
    """Decode a V1 request for explanations.

    Raises:
        RequestError: 400, with field, expected and got.
    """
    document = parse_object(body)
    parameters = document.get("parameters", {})
    if not isinstance(parameters, dict):
        raise bad_field("parameters", "object", json_type(parameters))
    if unknown := sorted(parameters.keys() - set(_PARAMETERS)):
        raise bad_field("parameters", f"keys out of {list(_PARAMETERS)}", unknown)
    method = _string(parameters, "method")
    if method is not None and method not in METHODS:
        raise bad_field("parameters.method", f"one of {list(METHODS)}", method)
    return ExplanationRequest(
        inputs=v1.decode_request(body, signature),
        output=_string(parameters, "output"),
        target=_integer(parameters, "target", 0, 2**31),
        method=method,
        baseline=_baseline(parameters, signature),
        steps=_integer(parameters, "steps", 1, _MAX_STEPS) or 64,
        orders=_integer(parameters, "orders", 1, _MAX_ORDERS) or 16,
        seed=_integer(parameters, "seed", 0, _MAX_SEED) or 0,
    )


def encode_response(explanation: Explanation) -> bytes:
    """Return the V1 response; NaN and infinities become null, as JSON has none."""
    rows = len(explanation.targets)
    baseline = _instances(explanation.baseline)[0]
    attributions = _instances(explanation.attributions)
    return orjson.dumps(
        {
            "predictions": explanation.outputs.tolist(),
            "explanations": [
                {
                    "method": explanation.method,
                    "output": explanation.output,
                    "target": int(explanation.targets[row]),
                    "attributions": attributions[row],
                    "baseline": baseline,
                    "prediction": float(explanation.predictions[row]),
                    "baseline_prediction": float(explanation.baseline_predictions[row]),
                    "completeness_error": float(explanation.completeness_errors[row]),
                }
                for row in range(rows)
            ],
        }
    )


def _instances(arrays: Mapping[str, Array]) -> list[object]:
    """Return bare rows for one input, objects by input name for several."""
    if len(arrays) == 1:
        (array,) = arrays.values()
        return list(array.tolist())
    columns = {name: array.tolist() for name, array in arrays.items()}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _baseline(parameters: dict[str, object], signature: Signature) -> Mapping[str, Array] | None:
    if parameters.get("baseline") is None:
        return None
    try:
        return v1.decode_request(orjson.dumps({"instances": [parameters["baseline"]]}), signature)
    except RequestError as exc:
        field = f"parameters.baseline: {exc.field}"
        raise RequestError(
            f"parameters.baseline: {exc.message}", field=field, expected=exc.expected, got=exc.got
        ) from None


def _string(parameters: dict[str, object], key: str) -> str | None:
    value = parameters.get(key)
    if value is not None and not isinstance(value, str):
        raise bad_field(f"parameters.{key}", "string", json_type(value))
    return value


def _integer(parameters: dict[str, object], key: str, low: int, high: int) -> int | None:
    value = parameters.get(key)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        shown = value if isinstance(value, int | float) else json_type(value)
        raise bad_field(f"parameters.{key}", f"whole number from {low} to {high}", shown)
    return value
