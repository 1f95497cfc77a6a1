"""Runs of an ONNX session whose inputs and outputs lie in a device's memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import onnxruntime as ort

from mooring_inference.tensors import Array


class BoundSession:
    """A session with IO binding: each input is copied to the device once, each output back once.

    Without it, ONNX Runtime places outputs in host memory where it may, and copies between operators.
    """

    def __init__(self, session: Any, device: str, index: int) -> None:
        """Of a session without strings, which have no place in a device's memory.

        Args:
            session: an ``InferenceSession``.
            device: ``cuda`` or ``cpu``.
            index: of the device.
        """
        self._session = session
        self._device = device
        self._index = index

    def run(self, outputs: Sequence[str], inputs: Mapping[str, Array]) -> list[Array]:
        """Return the named outputs, in host memory."""
        binding = self._session.io_binding()
        for name, array in inputs.items():
            value = ort.OrtValue.ortvalue_from_numpy(array, self._device, self._index)
            binding.bind_ortvalue_input(name, value)
        for name in outputs:
            binding.bind_output(name, self._device, self._index)
        self._session.run_with_iobinding(binding)
        arrays: list[Array] = binding.copy_outputs_to_cpu()
        return arrays
