"""MLflow's python_function flavour: whatever model, run by MLflow itself. Loading one runs its code."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mooring_artifacts.errors import first_line

from mooring_inference.backends.declared import read_signature
from mooring_inference.backends.mlflow.signature import Field, MlflowSignature, specs_of
from mooring_inference.errors import ModelLoadError, bad_field
from mooring_inference.tensors import Array, Signature, TensorSpec


class OutputError(Exception):
    """A model gave something other than the outputs of its signature; the fault is the model's."""


def load_pyfunc(folder: Path, signature: MlflowSignature) -> PyfuncBackend:
    """Load a model by ``mlflow.pyfunc``.

    Args:
        folder: holds ``MLmodel``.
        signature: MLflow's. Outputs, where it has none, are taken from ``signature.json``, see ``declared``.

    Raises:
        ModelLoadError: MLflow is missing, cannot load it, or inputs and outputs are not known.
    """
    if signature.inputs is None:
        raise ModelLoadError(
            "MLmodel has no signature of inputs: log the model with signature=infer_signature(...)"
        )
    declared = read_signature(folder)
    if declared is not None:
        outputs = declared.outputs
    elif signature.outputs is not None:
        outputs = specs_of(signature.outputs, "output")
    else:
        raise ModelLoadError(
            "MLmodel has no signature of outputs: log the model with signature=infer_signature(inputs, outputs)"
        )
    try:
        pyfunc: Any = importlib.import_module("mlflow.pyfunc")
    except ModuleNotFoundError as error:
        raise ModelLoadError(f"python_function needs the package {error.name}: install mlflow") from None
    # The model's modules lie in its folder, where bytecode would be a file that nobody tested. The digest cannot leave
    # it out: Python runs it in place of the source beside it. Some modules are imported only when the model predicts.
    sys.dont_write_bytecode = True
    try:
        model = pyfunc.load_model(str(folder))
    except Exception as error:
        raise ModelLoadError(f"MLflow cannot load {folder.name}: {first_line(error)}") from None
    return PyfuncBackend(model, signature.inputs, outputs)


class PyfuncBackend:
    """A model behind ``mlflow.pyfunc``; a table goes in where the signature has columns, else arrays."""

    platform = "mlflow_pyfunc"
    device = "cpu"

    def __init__(self, model: Any, inputs: Sequence[Field], outputs: Sequence[TensorSpec]) -> None:
        self.signature = Signature(specs_of(inputs, "input"), tuple(outputs))
        self._model = model
        self._fields = tuple(zip(self.signature.inputs, inputs, strict=True))
        self._has_columns = inputs[0].column is not None
        self._is_single = len(inputs) == 1 and inputs[0].name is None

    def predict(self, inputs: Mapping[str, Array], outputs: Sequence[str]) -> list[Array]:
        """Return the named outputs, in that order.

        Raises:
            RequestError: a column of times holds what is none.
            OutputError: the model gave something else than its signature says.
        """
        found = self._split(self._model.predict(self._join(inputs)))
        return [found[name] for name in outputs]

    def close(self) -> None:
        """Give the model back."""
        del self._model

    def _join(self, inputs: Mapping[str, Array]) -> Any:
        if not self._has_columns:
            arrays = {spec.name: inputs[spec.name] for spec, _ in self._fields}
            return next(iter(arrays.values())) if self._is_single else arrays
        pandas: Any = importlib.import_module("pandas")
        columns = {spec.name: _column(spec, field, inputs[spec.name]) for spec, field in self._fields}
        frame = pandas.DataFrame(columns)
        if all(field.name is None for _, field in self._fields):
            frame.columns = range(len(columns))
        return frame

    def _split(self, result: Any) -> dict[str, Array]:
        """Return outputs by name, of a table, of arrays by name, or of one array whose columns they are."""
        specs = self.signature.outputs
        if hasattr(result, "columns"):
            result = {str(name): result[name].to_numpy() for name in result.columns}
        if isinstance(result, Mapping):
            values = self._by_name(result)
        elif len(specs) == 1:
            values = [result]
        else:
            table = np.asarray(result)
            if table.ndim != 2 or table.shape[1] != len(specs):
                raise OutputError(f"expected {len(specs)} outputs, the model gave shape {list(table.shape)}")
            values = list(table.T)
        return {spec.name: _output(spec, value) for spec, value in zip(specs, values, strict=True)}

    def _by_name(self, result: Mapping[str, Any]) -> list[Any]:
        specs = self.signature.outputs
        if all(spec.name in result for spec in specs):
            return [result[spec.name] for spec in specs]
        if len(result) == len(specs):
            return list(result.values())
        raise OutputError(
            f"expected outputs {', '.join(s.name for s in specs)}, the model gave {', '.join(result)}"
        )


def _column(spec: TensorSpec, field: Field, array: Array) -> Array:
    values = array.reshape(-1)
    if field.column != "datetime":
        return values
    try:
        return values.astype(np.str_).astype("datetime64[ns]")
    except ValueError as error:
        raise bad_field(f"inputs.{spec.name}", "times as ISO 8601", first_line(error)) from None


def _output(spec: TensorSpec, value: Any) -> Array:
    array = np.asarray(value)
    if len(spec.shape) == 2 and spec.shape[1] == 1 and array.ndim == 1:
        array = array.reshape(-1, 1)
    if not spec.accepts(array.shape):
        raise OutputError(
            f"output {spec.name} has shape {list(array.shape)}, declared is {spec.open_shape()}"
        )
    if spec.datatype.name == "BYTES":
        return np.array([str(one) for one in array.ravel().tolist()], object).reshape(array.shape)
    try:
        # Sizes of numbers may differ from what was recorded, kinds may not.
        return array.astype(spec.datatype.dtype, casting="same_kind", copy=False)
    except TypeError:
        raise OutputError(f"output {spec.name} is {array.dtype}, declared is {spec.datatype.name}") from None
