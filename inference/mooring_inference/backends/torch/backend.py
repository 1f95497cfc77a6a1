"""What the PyTorch formats have in common: arrays to tensors, a run without autograd, tensors to arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch  # type: ignore[import-not-found]

from mooring_inference.backends.base import LoadOptions
from mooring_inference.backends.torch.tensors import to_array, to_tensor
from mooring_inference.backends.warm_up import make_inputs
from mooring_inference.errors import ModelLoadError
from mooring_inference.tensors import Array, Signature

# Tensors in the order of the signature's inputs to tensors in the order of its outputs.
Run = Callable[[list[torch.Tensor]], Sequence[torch.Tensor]]


class NotAsDeclaredError(Exception):
    """A model's outputs are not those that its signature declares."""


@dataclass(frozen=True, slots=True)
class LoadedModule:
    """A PyTorch model of whatever format.

    Attributes:
        run: the model.
        signature: its inputs and outputs.
        dtypes: of the inputs in the model, where these are not the signature's (bfloat16); else None.
        writes_inputs: whether it may write into its inputs.
        parameters: what was trained, by name.
    """

    run: Run
    signature: Signature
    dtypes: tuple[torch.dtype | None, ...]
    writes_inputs: bool
    parameters: Mapping[str, torch.Tensor]


class TorchBackend:
    """A PyTorch model."""

    def __init__(self, platform: str, module: LoadedModule, device: torch.device) -> None:
        self.platform = platform
        self.device = f"cuda:{device.index or 0}" if device.type == "cuda" else device.type
        self.signature = module.signature
        self.parameter_count = sum(tensor.numel() for tensor in module.parameters.values())
        self._parameters = module.parameters
        self._run = module.run
        self._device = device
        self._copies = module.writes_inputs
        self._inputs = tuple(zip((s.name for s in self.signature.inputs), module.dtypes, strict=True))
        self._positions = _positions(self.signature)

    def name_outputs(self, names: Sequence[str]) -> None:
        """Give the outputs other names, in their order."""
        outputs = tuple(
            replace(spec, name=name) for spec, name in zip(self.signature.outputs, names, strict=True)
        )
        self.signature = Signature(self.signature.inputs, outputs)
        self._positions = _positions(self.signature)

    def predict(self, inputs: Mapping[str, Array], outputs: Sequence[str]) -> list[Array]:
        """Return the named outputs, in that order.

        Raises:
            NotAsDeclaredError: the model gave something else than its declared signature says.
        """
        with torch.inference_mode():
            results = self._run(
                [
                    to_tensor(inputs[name], self._device, dtype, copy=self._copies)
                    for name, dtype in self._inputs
                ]
            )
            return [self._take(results, name) for name in outputs]

    def gradients(
        self, inputs: Mapping[str, Array], output: str, targets: npt.NDArray[Any]
    ) -> dict[str, Array]:
        """Return the gradients of ``output[row, targets[row]]`` by the floating-point inputs.

        Args:
            inputs: one array for each input, the first axis the batch.
            output: the name of a floating-point output; axes after the first count as one, in row-major order.
            targets: (batch,) positions in that axis.

        Returns:
            Arrays of the shape of each floating-point input, by name.
        """
        with torch.enable_grad():
            leaves = {
                name: to_tensor(inputs[name], self._device, dtype, copy=True) for name, dtype in self._inputs
            }
            wanted = {
                name: leaf.requires_grad_() for name, leaf in leaves.items() if leaf.is_floating_point()
            }
            # A model that writes into its inputs may not write into leaves.
            results = self._run([leaf.clone() for leaf in leaves.values()])
            rows = results[self._positions[output][0]].reshape(len(targets), -1)
            chosen = rows.gather(1, torch.as_tensor(targets, device=rows.device).reshape(-1, 1)).sum()
            found = torch.autograd.grad(chosen, list(wanted.values()), allow_unused=True)
        return {
            name: to_array(torch.zeros_like(leaf) if gradient is None else gradient)
            for (name, leaf), gradient in zip(wanted.items(), found, strict=True)
        }

    def parameters_without_gradient(self, inputs: Mapping[str, Array]) -> list[str]:
        """Return the names of floating-point parameters whose gradient is missing, 0 or not finite.

        The gradient is that of a sum of all outputs of floating point with weights by chance: their plain sum, or that
        of their squares, is the same for all probabilities, or flat where they are alike.

        Args:
            inputs: one array for each input, the first axis the batch.
        """
        named = {name: tensor for name, tensor in self._parameters.items() if tensor.is_floating_point()}
        try:
            for tensor in named.values():
                tensor.requires_grad_(True)
            with torch.enable_grad():
                results = self._run(
                    [to_tensor(inputs[name], self._device, dtype, copy=True) for name, dtype in self._inputs]
                )
                total = sum(_weighted(result) for result in results if result.is_floating_point())
                found = torch.autograd.grad(total, list(named.values()), allow_unused=True)
        finally:
            for tensor in named.values():
                tensor.requires_grad_(False)
        return [
            name
            for name, gradient in zip(named, found, strict=True)
            if gradient is None or not bool(gradient.isfinite().all()) or not bool(gradient.any())
        ]

    def close(self) -> None:
        """Give the model's memory back."""
        del self._run, self._parameters
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _take(self, results: Sequence[torch.Tensor], name: str) -> Array:
        position, dtype = self._positions[name]
        array = to_array(results[position])
        if array.dtype != dtype:
            raise NotAsDeclaredError(f"output {name} is {array.dtype}, and declared as {dtype}")
        return array


def _weighted(result: torch.Tensor) -> torch.Tensor:
    """Return the sum of a result's elements with normal weights, the same for the same shape."""
    weights = torch.randn(result.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float32)
    return (result.float() * weights.to(result.device)).sum()


def _positions(signature: Signature) -> dict[str, tuple[int, np.dtype[np.generic]]]:
    """Return where each output is, and its dtype."""
    return {spec.name: (position, spec.datatype.dtype) for position, spec in enumerate(signature.outputs)}


def use_threads(options: LoadOptions) -> None:
    """Set the threads of one operator; PyTorch has one number for all models of a process."""
    torch.set_num_threads(options.threads)


def check_declared(backend: TorchBackend, what: str) -> TorchBackend:
    """Run a model whose signature was declared, once, and see whether its outputs are as declared.

    Raises:
        ModelLoadError: they are not. A model that does not run on made-up input is not judged.
    """
    signature = backend.signature
    try:
        outputs = backend.predict(make_inputs(signature, [0]), signature.output_names)
    except NotAsDeclaredError as error:
        raise ModelLoadError(f"{what}: {error}") from None
    except Exception:
        return backend
    for spec, array in zip(signature.outputs, outputs, strict=True):
        if not spec.accepts(array.shape):
            raise ModelLoadError(
                f"{what}: output {spec.name} has shape {list(array.shape)}, and declared is {spec.open_shape()}"
            )
    return backend
