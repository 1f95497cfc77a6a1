"""Models as the serving runtime loads them: what is tested is what will serve."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mooring_artifacts.errors import InputError, first_line
from mooring_inference.backends.base import Backend, LoadOptions
from mooring_inference.backends.cores import usable_cores
from mooring_inference.backends.loading import load_model
from mooring_inference.errors import ModelLoadError
from mooring_inference.models.feature_names import read_feature_names
from mooring_inference.score.errors import ScoreError
from mooring_inference.tensors import Array, Signature

_TORCHSCRIPT, _PYFUNC = "torchscript", "pyfunc"
_ARCHITECTURE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", re.ASCII)
# ONNX Runtime and PyTorch tell of memory in words alone.
_MEMORY = ("Failed to allocate memory", "bad_alloc", "bad allocation", "out of memory")


def name_in_allow(code: str) -> str:
    """What to do about code that may not run, for who starts a run."""
    return f"name {code!r} in the run's parameter allow"


class ModelNeedsMemory(ScoreError):
    """The model takes more memory than there is, whatever the rows are."""


@dataclass(frozen=True)
class Model:
    """A loaded model, the names of features that came with it, by input, and where its files are: nowhere for one
    that is asked at an endpoint. `allow` is the code that might run."""

    backend: Backend
    features: Mapping[str, tuple[str, ...]]
    folder: Path | None = None
    allow: Sequence[str] = ()

    @property
    def signature(self) -> Signature:
        """Its inputs and outputs."""
        return self.backend.signature


def open_model(
    folder: Path,
    label: str = "model",
    *,
    allow: Sequence[str] = (),
    threads: int = 0,
    how_to_allow: Callable[[str], str] = name_in_allow,
) -> Model:
    """Load the model in `folder`, by the backend that would serve it.

    Args:
        folder: what `fetch_model` copied.
        label: how error messages call the model.
        allow: code that may run: "torchscript", "pyfunc", and "package.module:Class" for state dicts.
        threads: of one execution; 0: as many as there are cores.
        how_to_allow: what who called is told to do about code that `allow` does not hold.

    Raises:
        InputError: it cannot be served.
    """
    options = load_options(allow, threads, how_to_allow)
    try:
        backend = _Guarded(load_model(folder, options))
        return Model(backend, read_feature_names(folder, backend.signature), folder, tuple(allow))
    except ModelLoadError as error:
        _raise_if_memory(error)
        raise InputError(f"model {label!r}: {say_unloadable(error, folder)}") from error


def say_unloadable(error: ModelLoadError, folder: Path) -> str:
    """Why the model that was copied to `folder` cannot be loaded, without where it was copied to."""
    return first_line(error).replace(f"{folder}/", "").replace(str(folder), "its folder")


def load_options(allow: Sequence[str], threads: int, how_to_allow: Callable[[str], str]) -> LoadOptions:
    """What the serving runtime is told by its flags.

    Raises:
        InputError: `allow` holds something else than it may.
    """
    names = set(allow) - {_TORCHSCRIPT, _PYFUNC}
    if wrong := [name for name in sorted(names) if not _ARCHITECTURE.fullmatch(name)]:
        raise InputError(
            f"allow {wrong[0]!r:.200} is not allowed: write {_TORCHSCRIPT!r}, {_PYFUNC!r} or 'package.module:Class'"
        )
    return LoadOptions(
        threads=threads or usable_cores(),
        allow_torchscript=_TORCHSCRIPT in allow,
        allow_pyfunc=_PYFUNC in allow,
        architectures=frozenset(names),
        how_to_allow=how_to_allow,
    )


class _Guarded:
    """A backend whose want of memory ends the work: no other rows would help."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.signature, self.platform, self.device = backend.signature, backend.platform, backend.device
        # What some formats offer in addition.
        for name in ("gradients", "parameter_count", "parameters_without_gradient"):
            if hasattr(backend, name):
                setattr(self, name, getattr(backend, name))

    def predict(self, inputs: Mapping[str, Array], outputs: Sequence[str]) -> list[Array]:
        """Run the model."""
        try:
            return self._backend.predict(inputs, outputs)
        except Exception as error:  # what a model raises is up to it
            if _is_memory(error):
                raise ModelNeedsMemory(_memory_message(error)) from error
            raise

    def close(self) -> None:
        """Give back what it holds."""
        self._backend.close()


def _raise_if_memory(error: Exception) -> None:
    if _is_memory(error):
        raise MemoryError(_memory_message(error)) from error


def _is_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or any(words in str(error) for words in _MEMORY)


def _memory_message(error: Exception) -> str:
    return f"the model takes more memory than there is: {first_line(error):.300}"
