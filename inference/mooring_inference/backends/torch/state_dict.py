"""Weights as safetensors, loaded into a Python class that is declared beside them.

``architecture.json`` names the class and what it is made with::

    {"architecture": "package.module:Class", "kwargs": {"width": 64}}

The class is imported, which runs its module's code, so it must be allowed at start: ``--architectures``.
Datatypes and shapes come from ``signature.json``, see ``declared``.
"""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import torch  # type: ignore[import-not-found]
from mooring_artifacts.errors import first_line
from safetensors.torch import load_model  # type: ignore[import-not-found]

from mooring_inference.backends.base import LoadOptions
from mooring_inference.backends.declared import need_signature, read_object
from mooring_inference.backends.torch.backend import LoadedModule, TorchBackend, check_declared, use_threads
from mooring_inference.backends.torch.module_calls import plan_call
from mooring_inference.backends.torch.tensors import choose_device
from mooring_inference.errors import ModelLoadError

FILE = "architecture.json"
_IMPORT_PATH = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
# Names of weights that a message lists.
_SHOWN = 5


def load_state_dict(path: Path, options: LoadOptions) -> TorchBackend:
    """Load a safetensors file into its declared architecture.

    Raises:
        ModelLoadError: the architecture is not declared, not allowed or does not fit the weights.
    """
    architecture, kwargs = _read_declaration(path, options)
    signature = need_signature(path.parent, f"{path.name} holds only weights and")
    device = choose_device(options)
    use_threads(options)
    module = _make(architecture, kwargs)
    _fill(path, architecture, module)
    module.requires_grad_(False).eval().to(device)
    run = plan_call(architecture, module, _arguments(module), signature)
    dtypes = (None,) * len(signature.inputs)
    # A Python module may write into its inputs.
    loaded = LoadedModule(
        run, signature, dtypes, writes_inputs=True, parameters=dict(module.named_parameters())
    )
    return check_declared(TorchBackend("pytorch_safetensors", loaded, device), architecture)


def _read_declaration(path: Path, options: LoadOptions) -> tuple[str, dict[str, Any]]:
    file = path.parent / FILE
    if not file.is_file():
        raise ModelLoadError(f"{path.name} holds only weights: name their architecture in {FILE} beside it")
    document = read_object(file)
    architecture, kwargs = document.get("architecture"), document.get("kwargs", {})
    if not isinstance(architecture, str) or not _IMPORT_PATH.fullmatch(architecture):
        raise ModelLoadError(f"{FILE}: architecture: expected package.module:Class, got {architecture!r}")
    if not isinstance(kwargs, dict):
        raise ModelLoadError(f"{FILE}: kwargs: expected an object, got {kwargs!r}")
    if architecture not in options.architectures:
        raise ModelLoadError(
            f"{FILE}: architecture: {architecture} is not allowed; {options.how_to_allow(architecture)}"
        )
    return architecture, kwargs


def _make(architecture: str, kwargs: dict[str, Any]) -> Any:
    module_name, _, class_name = architecture.partition(":")
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except Exception as error:
        raise ModelLoadError(
            f"{FILE}: architecture: cannot import {architecture}: {first_line(error)}"
        ) from None
    if not (isinstance(found, type) and issubclass(found, torch.nn.Module)):
        raise ModelLoadError(f"{FILE}: architecture: {architecture} is not a torch.nn.Module")
    try:
        return found(**kwargs)
    except Exception as error:
        raise ModelLoadError(
            f"{FILE}: kwargs: {architecture} does not take them: {first_line(error)}"
        ) from None


def _fill(path: Path, architecture: str, module: Any) -> None:
    """Load the weights; every one must have its place and every place its weight."""
    try:
        missing, unexpected = load_model(module, path, strict=False)
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines()]
        # PyTorch's message is a heading and a line for each weight of another shape.
        reason = " ".join(lines[:2]) if lines else type(error).__name__
        raise ModelLoadError(f"{path.name} cannot be loaded into {architecture}: {reason}") from None
    for kind, names in (("lacks", missing), ("has, unknown to the architecture,", unexpected)):
        if names:
            shown = ", ".join(sorted(names)[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
            raise ModelLoadError(
                f"{path.name} does not fit {architecture}: it {kind} {len(names)} weights: {shown}"
            )


def _arguments(module: Any) -> list[str]:
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(module.forward).parameters.values()
    return [parameter.name for parameter in parameters if parameter.kind in positional]
