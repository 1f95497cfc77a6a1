"""MLflow model folders: the ``MLmodel`` file says what is in it; MLflow itself is not needed, except for pyfunc."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from mooring_artifacts.errors import InputError
from mooring_artifacts.safe_yaml import read_yaml

from mooring_inference.backends.base import Backend, LoadOptions
from mooring_inference.backends.declared import check_agreement
from mooring_inference.backends.files import load_file
from mooring_inference.backends.formats import MLMODEL, detect_format, find_model
from mooring_inference.backends.mlflow.signature import Field, MlflowSignature, parse_signature
from mooring_inference.errors import ModelLoadError
from mooring_inference.tensors import Signature, TensorSpec

log = logging.getLogger(__name__)


def load_mlflow(folder: Path, options: LoadOptions) -> Backend:
    """Load an MLflow model.

    Of its flavours ONNX is taken first, then PyTorch where it is an exported program, then python_function where
    that is allowed. MLflow's signature names outputs of exported programs, and is checked against the model's own.

    Args:
        folder: holds ``MLmodel``.
        options: as for any model.

    Raises:
        ModelLoadError: no flavour can be served; says why for each.
    """
    document = _read(folder / MLMODEL)
    flavours = _object(document, "flavors")
    signature = parse_signature(document.get("signature"))
    if "onnx" in flavours:
        backend = load_file(find_model(_inside(folder, flavours, "onnx", "data")), options)
        check_signature(backend.signature, signature)
        name_columns(backend, signature)
        return backend
    reasons = []
    if "pytorch" in flavours:
        file, reason = _find_exported(folder, flavours)
        if file is not None:
            return _load_exported(file, signature, options)
        reasons.append(reason)
    if "python_function" not in flavours:
        reasons.append(f"its flavours are {', '.join(flavours) or 'none'}, expected onnx or pytorch")
    elif options.allow_pyfunc:
        pyfunc = importlib.import_module("mooring_inference.backends.mlflow.pyfunc")
        return cast(Backend, pyfunc.load_pyfunc(folder, signature))
    else:
        loader = _object(flavours, "python_function").get("loader_module", "unknown")
        reasons.append(
            f"python_function (by {loader}) runs the model's own code: {options.how_to_allow('pyfunc')}"
        )
    raise ModelLoadError(f"{folder.name} is an MLflow model that cannot be served: {'; '.join(reasons)}")


def check_signature(own: Signature, declared: MlflowSignature) -> None:
    """Compare MLflow's signature with the model's own.

    Raises:
        ModelLoadError: they contradict each other. Not where they differ in float32 and float64: MLflow converts
            these, and this server says what the model takes.
    """
    for kind, specs, fields in (
        ("input", own.inputs, declared.inputs),
        ("output", own.outputs, declared.outputs),
    ):
        if fields is None:
            continue
        if fields[0].column is None:
            _check_tensors(kind, specs, fields)
        elif kind == "input":
            # Of outputs MLflow makes columns in ways of its own.
            _check_columns(specs, fields)


def _check_tensors(kind: str, specs: Sequence[TensorSpec], fields: Sequence[Field]) -> None:
    if kind == "input" and len(specs) != len(fields):
        raise ModelLoadError(f"MLmodel declares {len(fields)} {kind}s, the model has {len(specs)}")
    by_name = {spec.name: spec for spec in specs}
    in_order = len(specs) == len(fields)
    for index, field in enumerate(fields):
        spec = by_name.get(field.name) if field.name else None
        if spec is None and field.name and set(by_name) & {f.name for f in fields}:
            raise ModelLoadError(
                f"MLmodel: {kind} {field.name} is not in the model, which has {', '.join(by_name)}"
            )
        if spec is None and in_order:
            spec = specs[index]
        if spec is not None:
            said = field.spec(spec.name)
            if {said.datatype.name, spec.datatype.name} == {"FP32", "FP64"}:
                said = TensorSpec(said.name, spec.datatype, said.shape)
            check_agreement(spec, said, kind, MLMODEL)


def _check_columns(specs: Sequence[TensorSpec], fields: Sequence[Field]) -> None:
    names = {field.name for field in fields}
    if len(specs) == 1 and len(specs[0].shape) == 2:
        width = specs[0].shape[1]
        if width is not None and width != len(fields) and specs[0].name not in names:
            raise ModelLoadError(
                f"MLmodel declares {len(fields)} columns, input {specs[0].name} of the model has {width}"
            )
    elif missing := [spec.name for spec in specs if spec.name not in names]:
        raise ModelLoadError(f"MLmodel: no column for input {missing[0]} of the model")


def name_columns(backend: Backend, signature: MlflowSignature) -> None:
    """Name what the rows of a model's one input hold, where MLflow has a table's columns with names for it."""
    names = tuple(field.name for field in signature.inputs or () if field.column and field.name)
    own = backend.signature
    if len(own.inputs) == 1 and names and len(names) == len(signature.inputs or ()) == len(set(names)):
        backend.signature = own.with_columns({own.inputs[0].name: names})


def _load_exported(file: Path, signature: MlflowSignature, options: LoadOptions) -> Backend:
    backend: Any = load_file(file, options)
    check_signature(backend.signature, signature)
    names = [field.name for field in signature.outputs or ()]
    if len(names) == len(backend.signature.outputs) and all(names):
        # The names that an exported program's outputs have of themselves are only positions.
        backend.name_outputs(names)
    name_columns(backend, signature)
    return cast(Backend, backend)


def _find_exported(folder: Path, flavours: dict[str, object]) -> tuple[Path | None, str]:
    """Return the exported program of the PyTorch flavour; or why there is none."""
    try:
        file = find_model(_inside(folder, flavours, "pytorch", "model_data"))
        kind = detect_format(file)
    except ModelLoadError as error:
        return None, f"pytorch: {error}"
    if kind != "exported":
        return None, f"pytorch: {file.name} is {kind}; save it with serialization_format='pt2'"
    return file, ""


def _inside(folder: Path, flavours: dict[str, object], flavour: str, key: str) -> Path:
    """Return a path that a flavour names, which must be below the model's folder."""
    value = _object(flavours, flavour).get(key)
    if not isinstance(value, str) or not value:
        raise ModelLoadError(f"MLmodel: flavors.{flavour}.{key}: expected a path, got {value!r}")
    path = (folder / value).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ModelLoadError(f"MLmodel: flavors.{flavour}.{key}: {value} is outside of the model's folder")
    return path


def _read(path: Path) -> dict[str, object]:
    try:
        document: Any = read_yaml(path)
    except InputError as error:
        raise ModelLoadError(str(error)) from None
    if not isinstance(document, dict):
        raise ModelLoadError("MLmodel: expected an object")
    return document


def _object(holder: dict[str, object], key: str) -> dict[str, object]:
    value = holder.get(key)
    if not isinstance(value, dict):
        raise ModelLoadError(f"MLmodel: {key}: expected an object, got {value!r}")
    return value
