"""Outputs of ONNX models that are maps or sequences, as tensors.

Converted classifiers of scikit-learn give a map of classes to probabilities for each row: operator ZipMap.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from mooring_inference.tensors import Array, Datatype, TensorSpec, datatype_of_onnx

_MAP = re.compile(r"map\((?:int64|string),(?P<value>tensor\(\w+\))\)")
_MAPS = re.compile(rf"seq\({_MAP.pattern}\)")
_SEQUENCE = re.compile(r"seq\((?P<value>tensor\(\w+\))\)")


class CollectionError(Exception):
    """A model gave maps or sequences that are no tensor; the fault is the model's."""


class Collection:
    """One such output: maps by row, one map, or a sequence of tensors of one shape."""

    def __init__(self, name: str, pattern: re.Pattern[str], datatype: Datatype) -> None:
        self.name = name
        self._pattern = pattern
        self._datatype = datatype
        self._keys: list[Any] = []

    def learn(self, value: Any) -> TensorSpec:
        """Return what tensors the output makes, from the first value that the model gave."""
        if self._pattern is _SEQUENCE:
            return TensorSpec(self.name, self._datatype, (None,) * self.to_tensor(value).ndim)
        rows = [value] if self._pattern is _MAP else value
        self._keys = list(rows[0]) if rows else []
        names = tuple(map(str, self._keys))
        shape = (len(names),) if self._pattern is _MAP else (None, len(names))
        return TensorSpec(self.name, self._datatype, shape, columns=names)

    def to_tensor(self, value: Any) -> Array:
        """Return the tensor that a value makes; values of maps in the order of the first map that there was."""
        dtype = self._datatype.dtype
        try:
            if self._pattern is _SEQUENCE:
                return np.stack(value) if value else np.empty((0,), dtype)
            if self._pattern is _MAP:
                return np.array([value[key] for key in self._keys], dtype)
            rows = [[row[key] for key in self._keys] for row in value]
        except (KeyError, ValueError) as error:
            raise CollectionError(f"output {self.name} differs in form from row to row: {error}") from None
        return np.array(rows, dtype).reshape(len(rows), len(self._keys))


def find_collection(name: str, onnx_type: str) -> Collection | None:
    """Return the collection that an output of this type is; None for tensors, and what no tensor can be made of."""
    for pattern in (_MAPS, _MAP, _SEQUENCE):
        if match := pattern.fullmatch(onnx_type):
            datatype = datatype_of_onnx(match["value"])
            return Collection(name, pattern, datatype) if datatype is not None else None
    return None


def to_tensors(names: Sequence[str], values: Sequence[Any], found: dict[str, Collection]) -> list[Array]:
    """Return values of outputs, those of collections as tensors."""
    return [
        found[name].to_tensor(value) if name in found else value
        for name, value in zip(names, values, strict=True)
    ]
