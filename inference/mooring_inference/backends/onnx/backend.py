"""ONNX models, run by ONNX Runtime."""

from __future__ import annotations

import contextlib
import io
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnxruntime as ort
from mooring_artifacts.errors import first_line

from mooring_inference.backends.base import LoadOptions
from mooring_inference.backends.onnx.binding import BoundSession
from mooring_inference.backends.onnx.collections import Collection, find_collection, to_tensors
from mooring_inference.backends.onnx.providers import (
    CPU,
    CUDA,
    ProviderChoice,
    check_providers,
    choose_providers,
    device_of,
    only_cpu,
)
from mooring_inference.backends.warm_up import first_rows
from mooring_inference.errors import ModelLoadError
from mooring_inference.tensors import Array, Signature, TensorSpec, datatype_of_onnx

log = logging.getLogger(__name__)

# What ONNX Runtime puts around its own words.
_AROUND = re.compile(
    r"^\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : |Load model from .*? failed: ?|/onnxruntime_src/\S+:\d+ .*?\) (?=\S)"
)
_OPENVINO = "[OpenVINO-EP]"
# What exporters call open dimensions that nobody named, each by a name of its own.
_MADE_UP_NAME = re.compile(r"unk__\d+|.*_dynamic_axes_\d+|\?|-?\d+")


class OnnxBackend:
    """One ONNX model in an ONNX Runtime session.

    bfloat16, 8-bit floats and 4-bit integers have no place in the protocol's JSON: a model that takes them is
    refused, and outputs of such types are left out. Maps and sequences become tensors, see ``collections``.
    """

    platform = "onnx_onnxv1"

    def __init__(self, path: Path, options: LoadOptions) -> None:
        """Load a model.

        Args:
            path: the file.
            options: threads are those of one operator; independent operators run one after the other.

        Raises:
            ModelLoadError: the file is not a model that this runtime can serve, or a device or provider that
                was asked for is missing.
        """
        choice = choose_providers(options, ort.get_available_providers())
        self._session = _open_session(path, choice, options.threads)
        used = self._session.get_providers()
        check_providers(choice, used)
        self.device = device_of(used, choice.device)
        self.signature, self._collections = _signature(path, self._session)
        self._runner: Any = self._session
        if self.device.startswith("cuda") and not self._collections and not _has_strings(self.signature):
            self._runner = BoundSession(self._session, "cuda", choice.device.index)
        self._report(path, choice, used)

    def predict(self, inputs: Mapping[str, Array], outputs: Sequence[str]) -> list[Array]:
        """Return the named outputs, in that order."""
        # ONNX Runtime takes a list and a dict, nothing like them; it gives arrays, 0-d ones too.
        arrays: list[Array] = self._runner.run(
            list(outputs), inputs if type(inputs) is dict else dict(inputs)
        )
        return to_tensors(outputs, arrays, self._collections) if self._collections else arrays

    def close(self) -> None:
        """Give the session's memory back."""
        del self._runner, self._session

    def _report(self, path: Path, choice: ProviderChoice, used: Sequence[str]) -> None:
        missing = [name for name in choice.names if name not in used]
        if missing:
            # Only under auto: what was asked for by name is an error before this.
            log.warning("a GPU was not usable", extra={"fields": {"missing": missing}})
        log.info(
            "execution providers",
            extra={"fields": {"file": path.name, "device": self.device, "providers": list(used)}},
        )


def load_onnx(path: Path, options: LoadOptions) -> OnnxBackend:
    """Load a file; raises ModelLoadError."""
    return OnnxBackend(path, options)


def _open_session(path: Path, choice: ProviderChoice, threads: int) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # What it calls an error is raised as well; made-up input of the warm-up may fail, and that is no news.
    options.log_severity_level = 4
    if CUDA in choice.names:
        _preload_cuda()
    try:
        return _start_session(path, options, choice.providers)
    except Exception as exc:
        if choice.required not in ((), (CPU,)):
            names = ", ".join(choice.required)
            raise ModelLoadError(f"{path.name} cannot be run by {names}: {_said(exc)}") from None
        if choice.names != [CPU]:
            # Under auto a GPU that cannot start is done without; what the model lacks shows again.
            log.warning("a GPU was not usable", extra={"fields": {"reason": first_line(exc)}})
            return _open_session(path, only_cpu(choice), threads)
        raise ModelLoadError(f"{path.name} is not a usable ONNX model: {_said(exc)}") from None


def _said(error: Exception) -> str:
    """Give what ONNX Runtime says, without its codes, the path that it was given and its own functions' names."""
    if _OPENVINO in str(error):
        # Its lines go from the outside to the cause.
        return str(error).strip().splitlines()[-1].strip()
    return _AROUND.sub("", first_line(error)) or first_line(error)


def _start_session(path: Path, options: Any, providers: Sequence[tuple[str, dict[str, str]]]) -> Any:
    # The fallback is ONNX Runtime's own, silent change to the CPU, at start and in the middle of serving.
    return ort.InferenceSession(str(path), options, providers=list(providers), enable_fallback=False)


def _preload_cuda() -> None:
    """Load CUDA and cuDNN where they came as Python packages, which the dynamic linker does not search."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        ort.preload_dlls()
    if text := output.getvalue().strip():
        log.warning("CUDA libraries missing", extra={"fields": {"reason": text.splitlines()[0]}})


def _signature(path: Path, session: Any) -> tuple[Signature, dict[str, Collection]]:
    for node in session.get_inputs():
        if datatype_of_onnx(node.type) is None:
            raise ModelLoadError(f"{path.name}: input {node.name} is {node.type}, which cannot be served")
    inputs = tuple(_specs(session.get_inputs()))
    nodes = session.get_outputs()
    found = {node.name: one for node in nodes if (one := find_collection(node.name, node.type)) is not None}
    specs = {spec.name: spec for spec in _specs(nodes)} | _learn(session, inputs, found)
    if not specs:
        raise ModelLoadError(f"{path.name} has no output that is a tensor")
    if left_out := {node.name: node.type for node in nodes if node.name not in specs}:
        log.warning("outputs of these types are not served", extra={"fields": {"outputs": left_out}})
    outputs = tuple(specs[node.name] for node in nodes if node.name in specs)
    return Signature(inputs, outputs), {name: one for name, one in found.items() if name in specs}


def _learn(
    session: Any, inputs: tuple[TensorSpec, ...], found: dict[str, Collection]
) -> dict[str, TensorSpec]:
    """Return the outputs that collections make, which only a run shows; none where it fails on made-up input."""
    if not found:
        return {}
    for made_up in first_rows(Signature(inputs, ())):
        try:
            values = session.run(list(found), made_up)
        except Exception as error:
            log.info("a run on made-up input failed", extra={"fields": {"reason": first_line(error)}})
            continue
        return {name: one.learn(value) for (name, one), value in zip(found.items(), values, strict=True)}
    return {}


def _specs(nodes: Sequence[Any]) -> list[TensorSpec]:
    specs = []
    for node in nodes:
        datatype = datatype_of_onnx(node.type)
        if datatype is not None:
            shape = tuple(size if isinstance(size, int) else None for size in node.shape)
            axis = node.shape[0] if node.shape else None
            row_axis = axis if isinstance(axis, str) and not _MADE_UP_NAME.fullmatch(axis) else ""
            specs.append(TensorSpec(node.name, datatype, shape, row_axis=row_axis))
    return specs


def _has_strings(signature: Signature) -> bool:
    return any(spec.datatype.name == "BYTES" for spec in (*signature.inputs, *signature.outputs))
