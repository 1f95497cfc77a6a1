"""ONNX models, run by ONNX Runtime."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from mooring_inference.backends.base import LoadOptions
from mooring_inference.errors import ModelLoadError
from mooring_inference.tensors import Array, Signature, TensorSpec, datatype_of_onnx

log = logging.getLogger(__name__)


class OnnxBackend:
    """One ONNX model in an ONNX Runtime session."""

    platform = "onnx_onnxv1"

    def __init__(self, path: Path, options: LoadOptions) -> None:
        """Load a model.

        Args:
            path: the .onnx file.
            options: threads are those of one operator; independent operators run one after the other.

        Raises:
            ModelLoadError: the file is not a model that this runtime can serve.
        """
        session = ort.SessionOptions()
        session.intra_op_num_threads = options.threads
        session.inter_op_num_threads = 1
        session.log_severity_level = 3
        wanted = [name for name in ("CUDAExecutionProvider",) if name in ort.get_available_providers()]
        wanted.append("CPUExecutionProvider")
        try:
            self._session = ort.InferenceSession(str(path), session, providers=wanted)
        except Exception as exc:
            raise ModelLoadError(f"{path.name} is not a usable ONNX model: {_first_line(exc)}") from None
        if (used := self._session.get_providers()) != wanted:
            # ONNX Runtime falls back to the CPU without a word when a GPU library is missing.
            log.warning("execution provider missing", extra={"fields": {"wanted": wanted, "used": used}})
        self.device = "cpu"
        self.signature = _signature(path, self._session)

    def predict(self, inputs: Mapping[str, Array], outputs: Sequence[str]) -> list[Array]:
        """The named outputs, in that order."""
        return [np.asarray(value) for value in self._session.run(list(outputs), dict(inputs))]

    def close(self) -> None:
        """Give the session's memory back."""
        del self._session


def find_model(model_dir: Path) -> Path:
    """The one .onnx file in a folder, searched below it where the top holds none; or the file itself.

    Raises:
        ModelLoadError: there is no such path, no .onnx file or more than one.
    """
    if model_dir.is_file():
        return model_dir
    if not model_dir.is_dir():
        raise ModelLoadError(f"{model_dir} does not exist")
    found = sorted(model_dir.glob("*.onnx")) or sorted(model_dir.rglob("*.onnx"))
    if not found:
        raise ModelLoadError(f"no .onnx file in {model_dir}")
    if len(found) > 1:
        names = ", ".join(str(path.relative_to(model_dir)) for path in found)
        raise ModelLoadError(f"{len(found)} .onnx files in {model_dir}, expected one: {names}")
    return found[0]


def load_onnx(path: Path, options: LoadOptions) -> OnnxBackend:
    """Find the model and load it; raises ModelLoadError."""
    return OnnxBackend(find_model(path), options)


def _signature(path: Path, session: Any) -> Signature:
    inputs = _specs(session.get_inputs())
    outputs = _specs(session.get_outputs())
    if len(inputs) != len(session.get_inputs()):
        raise ModelLoadError(f"{path.name} has inputs that are not tensors")
    if not outputs:
        raise ModelLoadError(f"{path.name} has no output that is a tensor")
    left_out = sorted({node.name for node in session.get_outputs()} - {spec.name for spec in outputs})
    if left_out:
        # Such as the maps of a scikit-learn classifier converted with zipmap.
        log.warning("outputs that are not tensors are not served", extra={"fields": {"outputs": left_out}})
    return Signature(tuple(inputs), tuple(outputs))


def _specs(nodes: Sequence[Any]) -> list[TensorSpec]:
    specs = []
    for node in nodes:
        datatype = datatype_of_onnx(node.type)
        if datatype is not None:
            shape = tuple(size if isinstance(size, int) else None for size in node.shape)
            specs.append(TensorSpec(node.name, datatype, shape))
    return specs


def _first_line(exc: Exception) -> str:
    lines = str(exc).strip().splitlines()
    return lines[0] if lines else type(exc).__name__
