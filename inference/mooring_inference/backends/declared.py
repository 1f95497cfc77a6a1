"""Signatures that are declared beside a model, for formats that say nothing of names, datatypes or shapes.

``signature.json`` has the form of the V2 model metadata, so what another server answers there can be saved as it is::

    {
      "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
      "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1]}]
    }

``datatype`` is a V2 name, and -1 in ``shape`` a dimension of any size. Other keys are ignored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mooring_artifacts.errors import InputError
from mooring_artifacts.small_files import read_json

from mooring_inference.errors import ModelLoadError
from mooring_inference.tensors import DATATYPES, Signature, TensorSpec

FILE = "signature.json"


def read_signature(folder: Path) -> Signature | None:
    """Return the declared signature; None where there is no such file.

    Raises:
        ModelLoadError: it is not as it should be; the message names the field.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    document = read_object(path)
    return Signature(_read_specs(document, "inputs"), _read_specs(document, "outputs"))


def need_signature(folder: Path, what: str) -> Signature:
    """Return the declared signature of a format that needs one."""
    signature = read_signature(folder)
    if signature is None:
        raise ModelLoadError(
            f"{what} says nothing of its inputs and outputs: declare them in {FILE} beside it"
        )
    return signature


def read_object(path: Path) -> dict[str, object]:
    """Read a file that holds a JSON object; raise ModelLoadError for another."""
    try:
        document = read_json(path)
    except InputError as error:
        raise ModelLoadError(str(error)) from None
    if not isinstance(document, dict):
        raise ModelLoadError(f"{path.name}: expected an object, got {type(document).__name__}")
    return document


def adopt_signature(own: Signature, declared: Signature | None, source: str) -> Signature:
    """Return a model's own signature under the names that were declared for it, in the same order.

    Args:
        own: what the model itself says.
        declared: None to keep the model's.
        source: where it was declared, for messages.

    Raises:
        ModelLoadError: number, datatypes or fixed sizes differ.
    """
    if declared is None:
        return own
    return Signature(
        _adopt_names(own.inputs, declared.inputs, "input", source),
        _adopt_names(own.outputs, declared.outputs, "output", source),
    )


def _adopt_names(
    own: Sequence[TensorSpec], declared: Sequence[TensorSpec], kind: str, source: str
) -> tuple[TensorSpec, ...]:
    if len(own) != len(declared):
        raise ModelLoadError(f"{source} declares {len(declared)} {kind}s, the model has {len(own)}")
    for mine, said in zip(own, declared, strict=True):
        check_agreement(mine, said, kind, source)
    return tuple(replace(o, name=s.name) for o, s in zip(own, declared, strict=True))


def check_agreement(own: TensorSpec, declared: TensorSpec, kind: str, source: str) -> None:
    """Raise ModelLoadError where datatype, number of dimensions or a size that both fix differ."""
    fits = len(own.shape) == len(declared.shape) and all(
        one is None or other is None or one == other
        for one, other in zip(own.shape, declared.shape, strict=True)
    )
    if own.datatype != declared.datatype or not fits:
        raise ModelLoadError(
            f"{source}: {kind} {declared.name} is declared {_describe(declared)}, the model has {_describe(own)}"
        )


def _describe(spec: TensorSpec) -> str:
    return f"{spec.datatype.name} {spec.open_shape()}"


def _read_specs(document: dict[str, object], key: str) -> tuple[TensorSpec, ...]:
    entries = document.get(key)
    if not isinstance(entries, list) or not entries:
        raise ModelLoadError(f"{FILE}: {key}: expected an array of at least one tensor, got {entries!r}")
    specs = tuple(_read_spec(f"{FILE}: {key}[{index}]", entry) for index, entry in enumerate(entries))
    if len({spec.name for spec in specs}) != len(specs):
        raise ModelLoadError(f"{FILE}: {key}: names are not unique")
    return specs


def _read_spec(field: str, entry: object) -> TensorSpec:
    if not isinstance(entry, dict):
        raise ModelLoadError(f"{field}: expected an object, got {entry!r}")
    name, datatype, shape = entry.get("name"), entry.get("datatype"), entry.get("shape")
    if not isinstance(name, str) or not name:
        raise ModelLoadError(f"{field}.name: expected a string, got {name!r}")
    if not isinstance(datatype, str) or datatype not in DATATYPES:
        raise ModelLoadError(f"{field}.datatype: expected one of {', '.join(DATATYPES)}, got {datatype!r}")
    if not isinstance(shape, list) or not all(type(size) is int and size >= -1 for size in shape):
        raise ModelLoadError(f"{field}.shape: expected whole numbers, -1 for any size, got {shape!r}")
    return TensorSpec(name, DATATYPES[datatype], tuple(None if size == -1 else size for size in shape))
