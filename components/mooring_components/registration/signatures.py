"""A model's signature as MLflow writes it.

Source: MLflow, ``mlflow.types.schema``: a list of tensors as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from mooring_inference.tensors import Signature, TensorSpec


def describe_signature(signature: Signature) -> str:
    """The inputs and outputs as one line of JSON, each a list of MLflow's tensors."""
    document = {"inputs": _tensors(signature.inputs), "outputs": _tensors(signature.outputs)}
    return json.dumps(document, separators=(",", ":"))


def _tensors(specs: Sequence[TensorSpec]) -> list[dict[str, object]]:
    return [
        {
            "name": spec.name,
            "type": "tensor",
            "tensor-spec": {"dtype": _dtype(spec), "shape": spec.open_shape()},
        }
        for spec in specs
    ]


def _dtype(spec: TensorSpec) -> str:
    return "str" if spec.datatype.name == "BYTES" else str(spec.datatype.dtype)
