"""Exported programs and TorchScript written as ONNX, by PyTorch's own exporters. It needs onnxscript beside PyTorch."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import onnxscript  # noqa: F401 - what the exporter needs is missed here, not in it
import torch  # type: ignore[import-not-found]
from mooring_artifacts.errors import first_line

from mooring_inference.errors import ModelLoadError
from mooring_inference.tensors import Array, Signature

# ONNX is a protobuf, which ends at 2 GiB: weights of more go into a file beside it.
_LARGEST_INSIDE = 1 << 30


def write_onnx(
    kind: str, source: Path, target: Path, signature: Signature, samples: Mapping[str, Array]
) -> None:
    """Write the model in `source` as ONNX, with the names of its signature and its open dimensions open.

    Args:
        kind: ``exported`` or ``torchscript``, as `detect_format` says; the file was loaded before, so that it may be.
        source: the model's file.
        target: the file to write; weights of more than a GiB go to one beside it.
        signature: of the model as it is served.
        samples: an array for each input; TorchScript is followed with them.

    Raises:
        ModelLoadError: PyTorch cannot write it as ONNX.
    """
    with _quiet():
        try:
            if kind == "exported":
                _write_exported(source, target, signature)
            else:
                _write_torchscript(source, target, signature, samples)
        except Exception as error:  # what an exporter raises is up to it
            raise ModelLoadError(
                f"{source.name} cannot be written as ONNX: {first_line(_cause(error))}"
            ) from error


def _write_exported(source: Path, target: Path, signature: Signature) -> None:
    torch.onnx.export(
        torch.export.load(source),
        (),
        str(target),
        dynamo=True,
        input_names=[spec.name for spec in signature.inputs],
        output_names=list(signature.output_names),
        external_data=source.stat().st_size > _LARGEST_INSIDE,
        verbose=False,
    )


def _write_torchscript(
    source: Path, target: Path, signature: Signature, samples: Mapping[str, Array]
) -> None:
    module = torch.jit.load(str(source), map_location="cpu").eval()
    names = [spec.name for spec in signature.inputs]
    arguments = [argument.name for argument in module.forward.schema.arguments[1:]]
    # As the backend calls it: by name where all inputs are arguments, else in order.
    called = [name for name in arguments if name in names] if set(names) <= set(arguments) else names
    axes = {
        spec.name: {axis: f"{spec.name}_{axis}" for axis, size in enumerate(spec.shape) if size is None}
        for spec in (*signature.inputs, *signature.outputs)
    }
    torch.onnx.export(
        module,
        tuple(torch.from_numpy(samples[name]) for name in called),
        str(target),
        dynamo=False,
        input_names=called,
        output_names=list(signature.output_names),
        dynamic_axes=axes,
        verbose=False,
    )


def _cause(error: BaseException) -> BaseException:
    """What an exporter's advice in many lines is about."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what exporters print, warn and log about themselves from the terminal."""
    level, said = logging.root.manager.disable, io.StringIO()
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(said):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
