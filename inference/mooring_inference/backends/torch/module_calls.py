"""Calls of Python and TorchScript modules whose signature was declared: tensors in its order in and out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch  # type: ignore[import-not-found]

from mooring_inference.backends.torch.backend import NotAsDeclaredError, Run
from mooring_inference.errors import ModelLoadError
from mooring_inference.tensors import Signature


def plan_call(what: str, module: Callable[..., Any], arguments: Sequence[str], signature: Signature) -> Run:
    """Return a function that calls a module.

    Args:
        what: the model, for messages.
        module: to be called.
        arguments: names of its arguments.
        signature: declared inputs, passed by name where all of them are arguments, else in order; and outputs,
            taken by name where the module gives a dict, else in order.

    Raises:
        ModelLoadError: it takes fewer arguments than inputs are declared.
    """
    inputs = [spec.name for spec in signature.inputs]
    outputs = signature.output_names
    if len(inputs) > len(arguments):
        raise ModelLoadError(
            f"{what} takes {len(arguments)} inputs ({', '.join(arguments)}), and {len(inputs)} are declared"
        )
    if set(inputs) <= set(arguments):
        return lambda tensors: _in_order(module(**dict(zip(inputs, tensors, strict=True))), outputs)
    return lambda tensors: _in_order(module(*tensors), outputs)


def _in_order(results: Any, names: Sequence[str]) -> Sequence[torch.Tensor]:
    """Return what a module gave, as the tensors of the declared outputs."""
    if isinstance(results, torch.Tensor):
        results = (results,)
    if isinstance(results, Mapping):
        missing = [name for name in names if name not in results]
        if missing:
            raise NotAsDeclaredError(f"output {missing[0]} is declared, the model gives {', '.join(results)}")
        results = [results[name] for name in names]
    if not isinstance(results, Sequence) or len(results) != len(names):
        count = len(results) if isinstance(results, Sequence) else 0
        raise NotAsDeclaredError(f"{len(names)} outputs are declared, the model gives {count}")
    for name, result in zip(names, results, strict=True):
        if not isinstance(result, torch.Tensor):
            raise NotAsDeclaredError(f"output {name} is a {type(result).__name__}, not a tensor")
    return results
