"""ONNX models: fetch one by URI, check its digest, run it on rows of features."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
from mooring_artifacts.digests import check_digest, manifest_digest
from mooring_artifacts.errors import InputError, first_line
from mooring_artifacts.storage import list_files, locate, read_entry

BATCH_ROWS = 256
_INPUT_TYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(int8)": np.int8,
    "tensor(uint8)": np.uint8,
    "tensor(bool)": np.bool_,
}


@dataclass(frozen=True)
class FetchedModel:
    """A copy of a model in a local folder, its digest and the size of all its files in bytes."""

    folder: Path
    digest: str
    size_bytes: int


def fetch_model(uri: str, folder: Path, expected_digest: str = "") -> FetchedModel:
    """Copy the model at `uri`, a file or a folder with one `.onnx` file, into `folder`.

    The digest is that of the bytes copied: what is checked is what later steps run.

    Raises:
        InputError: nothing there, not exactly one `.onnx` file, another digest, not an ONNX model.
    """
    location = locate(uri, "model_uri")
    files = list_files(location, "model_uri")
    named = [file.path for file in files if file.path.endswith(".onnx")]
    if len(named) != 1:
        found = ", ".join(named or [file.path for file in files[:5]])
        raise InputError(f"model_uri {uri!r} must hold exactly one .onnx file; found {len(named)} ({found})")
    entries = []
    for file in files:
        target = folder / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as out:
            entries.append(read_entry(location, file, out.write))
    digest = manifest_digest(entries)
    if expected_digest:
        check_digest(digest, expected_digest, uri)
    OnnxModel(folder, label=uri)
    return FetchedModel(folder, digest, sum(entry.size for entry in entries))


class OnnxModel:
    """An ONNX model with one input, run by onnxruntime on the CPU.

    Args:
        folder: holds exactly one `.onnx` file, at any depth, and what that file refers to.
        threads: of one operator; 0 lets onnxruntime choose.
        label: how error messages call the model.

    Raises:
        InputError: not an ONNX model, or one of a form that rows of features cannot feed.
    """

    def __init__(self, folder: Path, threads: int = 0, label: str = "model") -> None:
        path = next(folder.rglob("*.onnx"), None)
        if path is None:
            raise InputError(f"model {label!r} holds no .onnx file")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's exceptions share no base class
            _raise_if_memory(error)
            raise InputError(
                f"model {label!r}: {path.name!r} is not a usable ONNX model: {first_line(error)}"
            ) from error
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            names = ", ".join(repr(i.name) for i in inputs)
            raise InputError(f"model {label!r} has {len(inputs)} inputs ({names}); exactly one is supported")
        self._input = inputs[0]
        if self._input.type not in _INPUT_TYPES:
            allowed = ", ".join(sorted(_INPUT_TYPES))
            raise InputError(f"model {label!r}: input type {self._input.type} is not allowed: use {allowed}")
        self._output = self._session.get_outputs()[0].name
        # Symbolic dimensions are strings or None.
        dims = [d if isinstance(d, int) and d > 0 else None for d in self._input.shape]
        self._batch, self._row_shape = (dims[0], tuple(dims[1:])) if dims else (None, ())

    def prepare(self, features: npt.NDArray[np.float64]) -> npt.NDArray[np.generic]:
        """Cast and reshape (rows, features) to what the model's input takes.

        Raises:
            InputError: another number of features than the model expects.
        """
        rows, width = features.shape
        fixed = [d for d in self._row_shape if d is not None]
        if len(fixed) == len(self._row_shape):
            expected = int(np.prod(fixed)) if fixed else 1
            if width != expected:
                raise InputError(
                    f"test_data_uri has {width} features per row; the model's input "
                    f"{self._input.name!r} takes {expected} (shape {self._input.shape})"
                )
            shape: tuple[int, ...] = (rows, *fixed)
        elif len(self._row_shape) == 1:
            shape = (rows, width)
        else:
            raise InputError(
                f"the model's input {self._input.name!r} has the open shape {self._input.shape}; "
                "only its first dimension may be open"
            )
        return features.reshape(shape).astype(_INPUT_TYPES[self._input.type])

    def predict(self, features: npt.NDArray[np.float64]) -> npt.NDArray[np.generic]:
        """The first output for all rows, in batches: (rows,) or (rows, columns).

        Raises:
            InputError: the features do not fit, or the model fails on them.
        """
        prepared = self.prepare(features)
        outputs = [self.run(batch)[:rows] for batch, rows in self._batches(prepared)]
        return np.concatenate(outputs)

    def run(self, prepared: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        """One call of the model with rows from `prepare`."""
        try:
            output = self._session.run([self._output], {self._input.name: prepared})[0]
        except Exception as error:  # onnxruntime's exceptions share no base class
            _raise_if_memory(error)
            raise InputError(
                f"the model fails on an input of shape {prepared.shape}: {first_line(error)}"
            ) from error
        return np.asarray(output)

    def single_rows(self, prepared: npt.NDArray[np.generic]) -> list[npt.NDArray[np.generic]]:
        """Requests of one row each; a model of a fixed batch size gets the row repeated."""
        return [np.repeat(prepared[i : i + 1], self._batch or 1, axis=0) for i in range(len(prepared))]

    def _batches(self, prepared: npt.NDArray[np.generic]) -> Iterator[tuple[npt.NDArray[np.generic], int]]:
        step = self._batch or BATCH_ROWS
        for start in range(0, len(prepared), step):
            batch = prepared[start : start + step]
            missing = step - len(batch) if self._batch else 0
            padded = np.concatenate([batch, np.repeat(batch[-1:], missing, axis=0)]) if missing else batch
            yield padded, len(batch)


def _raise_if_memory(error: Exception) -> None:
    """Onnxruntime tells of memory in words alone."""
    text = str(error)
    if any(words in text for words in ("Failed to allocate memory", "bad_alloc", "bad allocation")):
        raise MemoryError(f"the model takes more memory than there is: {first_line(error):.300}") from error
