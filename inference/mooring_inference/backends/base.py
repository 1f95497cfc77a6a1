"""The interface between a model's format and everything that serves it: arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from mooring_inference.tensors import Array, Signature


class Backend(Protocol):
    """One loaded model. ``predict`` may be called from any thread, one call at a time.

    Attributes:
        signature: the inputs and outputs.
        platform: the V2 protocol's name of the format, such as ``onnx_onnxv1``.
        device: where it runs, such as ``cpu`` or ``cuda:0``.
    """

    signature: Signature
    platform: str
    device: str

    def predict(self, inputs: Mapping[str, Array], outputs: Sequence[str]) -> list[Array]:
        """Run the model.

        Args:
            inputs: one array for each input of the signature, by name; dtype and shape fit it. BYTES are
                object arrays of ``str``.
            outputs: names of outputs.

        Returns:
            One array for each of ``outputs``, in that order.
        """
        ...

    def close(self) -> None:
        """Give back what the model holds; it is not used afterwards."""
        ...


def flag_of(code: str) -> str:
    """The server's flag that lets code of models run: ``torchscript``, ``pyfunc`` or an architecture's import path."""
    return f"--allow_{code}" if code in ("torchscript", "pyfunc") else f"--architectures={code}"


def start_with_flag(code: str) -> str:
    """What to do about code that may not run, for who starts a server."""
    return f"start with {flag_of(code)}"


def only_a_server_may(code: str) -> str:
    """The same for who runs a command without such flags."""
    return f"serve it with {flag_of(code)}: this command runs no code of models"


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How models are loaded.

    Attributes:
        threads: threads of one execution.
        device: ``cpu``, ``cuda`` or ``cuda:N``, or ``auto``: CUDA where there is any, else the CPU.
        providers: execution providers of ONNX Runtime in order, such as ``("TensorrtExecutionProvider",)``;
            empty: what ``device`` says.
        allow_torchscript: whether TorchScript files, whose loading runs code, are loaded.
        allow_pyfunc: whether MLflow's python_function flavour, which runs the model's own code, is loaded.
        architectures: import paths, ``package.module:Class``, that a state dict may be loaded into.
        digest: what the files must have, by ``mooring_artifacts.loaded_files``; None: whatever lies there.
        digest_of: the folder that it is of; None: what is loaded.
        how_to_allow: what who called is told to do about code that may not run, by the argument of ``flag_of``.
    """

    threads: int = 1
    device: str = "auto"
    providers: tuple[str, ...] = ()
    allow_torchscript: bool = False
    allow_pyfunc: bool = False
    architectures: frozenset[str] = field(default_factory=frozenset)
    digest: str | None = None
    digest_of: Path | None = None
    how_to_allow: Callable[[str], str] = start_with_flag
