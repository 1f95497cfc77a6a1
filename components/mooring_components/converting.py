"""PyTorch's models written as ONNX, and compared with what they were on random inputs of their signature."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from mooring_artifacts.errors import InputError, first_line
from mooring_artifacts.storage import put_file
from mooring_artifacts.uris import below, parse
from mooring_inference.backends.declared import FILE as SIGNATURE
from mooring_inference.backends.formats import MODEL_SUFFIXES, detect_format, find_model
from mooring_inference.errors import ModelLoadError, RequestError
from mooring_inference.tensors import Array, TensorSpec

from mooring_components.fetching import fetch_model
from mooring_components.models import Model, open_model, say_unloadable
from mooring_components.signatures.step import NAME as SIGNED

MODEL = "model.onnx"
TOLERANCE = 1e-4
# The signature of its inputs is in ONNX; that of its files is of other files.
_OF_THE_FILE = (SIGNATURE, SIGNED, "architecture.json")
_KINDS = ("exported", "torchscript")
_BATCHES = (2, 1, 7)
# Sizes that are tried for dimensions that are open beside the batch: programs may have bounds for them.
_SIZES = (4, 16, 64)
_SEED = 20_269
Inputs = dict[str, Array]


@dataclass(frozen=True)
class Difference:
    """The largest difference of one output, and where it is.

    difference: absolute, in the output's unit; inf where only one is finite. For labels 1, or 0 where all are the same.
    batch: rows of the request. position: in the output's array. before, after: what stands there.
    holds: whether no element differs by more than the tolerance, times 1 + its size.
    """

    output: str
    difference: float
    batch: int
    position: tuple[int, ...]
    before: float
    after: float
    holds: bool


@dataclass(frozen=True)
class Converted:
    """What became of a model: its digest and format, the file, and what is different; that was not kept if it fails."""

    digest: str
    format: str
    file: Path
    differences: Sequence[Difference]

    @property
    def holds(self) -> bool:
        """Whether both models give the same."""
        return all(each.holds for each in self.differences)

    def to_json(self) -> dict[str, Any]:
        """As it is printed."""
        listed = [asdict(each) for each in self.differences]
        return {
            "modelDigest": self.digest,
            "format": self.format,
            "file": str(self.file),
            "holds": self.holds,
            "differences": listed,
        }


def give_flag(code: str) -> str:
    """What to do about code that may not run, for who types the command."""
    return f"give --allow-{code}"


def _convert_elsewhere(code: str) -> str:
    """The same for a step of a run, which has no such parameter."""
    return f"convert it by mooring ci convert --allow-{code}, where its code may run"


def convert(
    uri: str,
    out: Path,
    allow: Sequence[str] = (),
    tolerance: float = TOLERANCE,
    field: str = "model_uri",
    how_to_allow: Callable[[str], str] = give_flag,
) -> Converted:
    """Write the exported program or TorchScript at `uri` as `model.onnx` into the folder `out`.

    Both are run by the serving runtime's backends on the same random inputs. Where they differ by more than
    `tolerance` nothing is written. What lies beside the model goes along, but for what is about the file itself.
    `field` is how an error message calls `uri`, `how_to_allow` what it says to do about code that may not run.

    Raises:
        InputError: there is no such model, PyTorch cannot write it as ONNX, or the file is there already.
        ModuleNotFoundError: PyTorch or its exporter is not installed.
    """
    from mooring_inference.backends.torch.onnx_export import write_onnx

    target = out / MODEL
    if target.exists():
        raise InputError(f"{target} exists: remove it, or name another folder")
    with TemporaryDirectory() as place:
        source, written = Path(place, "source"), Path(place, "onnx")
        written.mkdir()
        fetched = fetch_model(uri, source, field=field)
        file, kind = _file(source, uri)
        before = open_model(source, uri, allow=allow, how_to_allow=how_to_allow)
        samples = _samples(before, uri)
        try:
            write_onnx(kind, file, written / MODEL, before.signature, samples[0])
        except ModelLoadError as error:
            raise InputError(f"model {uri!r}: {error}") from error
        _check_names(before, after := open_model(written, f"{uri}, as ONNX"))
        found = Converted(fetched.digest, kind, target, compare(before, after, samples, tolerance))
        if found.holds:
            _copy_beside(file, written)
            out.mkdir(parents=True, exist_ok=True)
            for each in written.iterdir():
                shutil.move(each, out / each.name)
    return found


def convert_to(uri: str, target_uri: str, tolerance: float = TOLERANCE) -> Converted:
    """Convert the exported program at `uri` as `convert` does, and write the folder to `target_uri`.

    Raises:
        InputError: it cannot be converted, or differs as ONNX: then nothing is written. Or it cannot be written.
    """
    parse(target_uri, "converted_uri")
    with TemporaryDirectory() as place:
        out = Path(place, "out")
        try:
            found = convert(uri, out, (), tolerance, how_to_allow=_convert_elsewhere)
        except ModuleNotFoundError as error:
            raise InputError(
                f"converting needs {error.name}, which is not in this image: MOORING_COMPONENTS_IMAGE with the extras "
                "torch and convert has it"
            ) from error
        if worst := next((each for each in found.differences if not each.holds), None):
            raise InputError(
                f"as ONNX output {worst.output!r:.100} of the model differs by {worst.difference:.3g}, which is more "
                f"than the tolerance of {tolerance:g} allows: {worst.before:.6g} became {worst.after:.6g} at "
                f"{list(worst.position)} of {worst.batch} rows; nothing is written"
            )
        for file in sorted(path for path in out.rglob("*") if path.is_file()):
            put_file(file, below(target_uri, *file.relative_to(out).parts), "converted_uri")
    return found


def _copy_beside(model: Path, target: Path) -> None:
    """Copy what lies beside a model's file: documents, names of features, guards; no other form of the model."""
    for path in model.parent.rglob("*"):
        left_out = path.name in _OF_THE_FILE or path.suffix in MODEL_SUFFIXES
        if path == model or left_out or not path.is_file():
            continue
        copied = target / path.relative_to(model.parent)
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copied)


def compare(before: Model, after: Model, samples: Sequence[Inputs], tolerance: float) -> list[Difference]:
    """The largest difference of each output over all samples.

    Raises:
        InputError: one of them fails, or their outputs have other shapes.
    """
    names, worst = before.signature.output_names, dict[str, Difference]()
    for inputs in samples:
        answers = zip(names, _run(before, inputs), _run(after, inputs), strict=True)
        rows = len(next(iter(inputs.values())))
        for name, old, new in answers:
            if old.shape != new.shape:
                raise InputError(f"output {name!r} has the shape {old.shape}, and as ONNX {new.shape}")
            if old.size:
                found = difference_of(name, rows, old, new, tolerance)
                worst[name] = max(
                    worst.get(name, found), found, key=lambda each: (not each.holds, each.difference)
                )
    return list(worst.values())


def difference_of(name: str, batch: int, old: Array, new: Array, tolerance: float) -> Difference:
    """The largest difference between two arrays of one shape that hold something."""
    one, two = (np.asarray(each, np.float64) for each in (old, new))
    with np.errstate(invalid="ignore"):
        same = (one == two) | (np.isnan(one) & np.isnan(two))
        apart = np.where(same, 0.0, np.abs(one - two))
        apart = np.where(np.isfinite(apart), apart, np.inf)
        allowed = tolerance * (1 + np.abs(one)) if old.dtype.kind == "f" else np.zeros(one.shape)
        wrong = ~(apart <= np.where(np.isfinite(allowed), allowed, 0.0))
    # Of what does not hold the worst, though a larger number may differ by more and hold.
    counted = np.where(wrong, apart, -1.0) if wrong.any() else apart
    place = np.unravel_index(int(counted.argmax()), one.shape)
    return Difference(
        name,
        float(apart[place]),
        batch,
        tuple(int(index) for index in place),
        float(one[place]),
        float(two[place]),
        not wrong.any(),
    )


def _file(folder: Path, uri: str) -> tuple[Path, str]:
    try:
        file = find_model(folder)
        kind = detect_format(file)
    except ModelLoadError as error:
        raise InputError(f"model {uri!r}: {say_unloadable(error, folder)}") from error
    if kind not in _KINDS:
        raise InputError(
            f"model {uri!r}: {file.name} is {kind}; exported programs (.pt2) and TorchScript are converted"
        )
    return file, kind


def _samples(model: Model, uri: str) -> list[Inputs]:
    """Random inputs of some batch sizes that the model takes."""
    refused = ""
    for size in _SIZES:
        samples = list(_random_inputs(model.signature.inputs, size))
        try:
            for inputs in samples:
                _run(model, inputs)
        except InputError as error:
            refused = refused or str(error)
            continue
        return samples
    raise InputError(f"model {uri!r} does not take random inputs of its signature: {refused}")


def _random_inputs(specs: Sequence[TensorSpec], size: int) -> Iterator[Inputs]:
    random = np.random.default_rng(_SEED)
    open_batch = any(spec.shape and spec.shape[0] is None for spec in specs)
    for batch in _BATCHES if open_batch else _BATCHES[:1]:
        yield {spec.name: _random(spec, batch, size, random) for spec in specs}


def _random(spec: TensorSpec, batch: int, size: int, random: np.random.Generator) -> Array:
    shape = [known or (size if axis else batch) for axis, known in enumerate(spec.shape)]
    dtype = spec.datatype.dtype
    # Whole numbers are often places in a table, of which the first two are there.
    made = random.standard_normal(shape) if dtype.kind == "f" else random.integers(0, 2, shape)
    return np.asarray(made).astype(dtype)


def _run(model: Model, inputs: Mapping[str, Array]) -> list[Array]:
    try:
        return model.backend.predict(inputs, model.signature.output_names)
    except RequestError as error:
        raise InputError(str(error)) from error
    except Exception as error:  # what a model raises is up to it
        raise InputError(f"it fails on random inputs: {first_line(error)}") from error


def _check_names(before: Model, after: Model) -> None:
    for what in ("input", "output"):
        old, new = ({spec.name for spec in getattr(each.signature, f"{what}s")} for each in (before, after))
        if missing := sorted(old - new):
            raise InputError(f"as ONNX the model has no {what} {missing[0]!r}")
