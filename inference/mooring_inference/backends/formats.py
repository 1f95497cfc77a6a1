"""Which format a model has, told by its content."""

from __future__ import annotations

import zipfile
from pathlib import Path

from mooring_inference.errors import ModelLoadError

MLMODEL = "MLmodel"
# Where files with such names are, others are not looked at: notes, label lists, weights outside of an ONNX file.
MODEL_SUFFIXES = frozenset({".onnx", ".ort", ".pt2", ".pt", ".pth", ".ts", ".torchscript", ".safetensors"})
# Formats that are not served, by their first bytes.
_OTHERS = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file (Keras)"),
    (b"GGUF", "a GGUF file"),
    (b"\x1f\x8b", "compressed by gzip"),
    (b"\x80\x02", "a pickle, which runs code when it is loaded"),
    (b"\x80\x03", "a pickle, which runs code when it is loaded"),
    (b"\x80\x04", "a pickle, which runs code when it is loaded"),
    (b"\x80\x05", "a pickle, which runs code when it is loaded"),
    (b"version https://git-lfs", "a Git LFS pointer, not the model itself"),
    (b"{", "JSON or text"),
    (b"<", "XML or HTML"),
)
_SERVED = "ONNX, torch.export (.pt2), TorchScript or safetensors"


def find_model(model_dir: Path) -> Path:
    """Return the one model file, or ``MLmodel`` file, in a folder, searched below it where the top holds none.

    Raises:
        ModelLoadError: there is no such path, no model or more than one.
    """
    if model_dir.is_file():
        return model_dir
    if not model_dir.is_dir():
        raise ModelLoadError(f"{model_dir} does not exist")
    found = _find_in(sorted(model_dir.iterdir())) or _find_in(sorted(model_dir.rglob("*")))
    if not found:
        raise ModelLoadError(f"no model in {model_dir}: expected one file of {_SERVED}, or {MLMODEL}")
    if len(found) > 1:
        names = ", ".join(str(path.relative_to(model_dir)) for path in found)
        raise ModelLoadError(f"{len(found)} models in {model_dir}, expected one: {names}")
    return found[0]


def detect_format(path: Path) -> str:
    """Return the format of a file: ``onnx``, ``exported``, ``torchscript`` or ``safetensors``.

    Raises:
        ModelLoadError: it has none of these; the message says what it is instead, where that is plain.
    """
    found = _sniff(path)
    if found is None:
        # ONNX has no signature of its own; ONNX Runtime says what is wrong with a file that is called so.
        if path.suffix in (".onnx", ".ort"):
            return "onnx"
        raise ModelLoadError(f"{path.name} is not a model that can be served: expected {_SERVED}")
    return found


def _find_in(paths: list[Path]) -> list[Path]:
    files = [path for path in paths if not _is_hidden(path) and path.is_file()]
    folders = [path for path in files if path.name == MLMODEL]
    if folders:
        return folders
    named = [path for path in files if path.suffix in MODEL_SUFFIXES]
    return named or [path for path in files if not path.suffix and _is_model(path)]


def _is_hidden(path: Path) -> bool:
    return path.name.startswith(".")


def _is_model(path: Path) -> bool:
    try:
        return _sniff(path) is not None
    except ModelLoadError:
        return False


def _sniff(path: Path) -> str | None:
    """Return the format by content; None where it is unknown."""
    try:
        with path.open("rb") as file:
            head = file.read(64)
            size = path.stat().st_size
    except OSError as error:
        raise ModelLoadError(f"{path.name} cannot be read: {error.strerror}") from None
    if head.startswith(b"PK\x03\x04"):
        return _sniff_zip(path)
    if len(head) > 8 and head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= size - 8:
        return "safetensors"
    for magic, what in _OTHERS:
        if head.startswith(magic):
            raise ModelLoadError(f"{path.name} is {what}: expected {_SERVED}")
    return "onnx" if _looks_like_onnx(head) or head[4:8] == b"ORTM" else None


def _looks_like_onnx(head: bytes) -> bool:
    """Recognise the message ``ModelProto``, which begins with the version of its representation, 1 to 127."""
    return len(head) > 2 and head[0] == 0x08 and 0 < head[1] < 0x80 and head[2] & 7 in (0, 2)


def _sniff_zip(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.partition("/")[2] for name in archive.namelist()}
            tops = set(archive.namelist())
    except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
        raise ModelLoadError(f"{path.name} is a damaged zip archive: {error}") from None
    if "archive_format" in names:
        return "exported"
    if "constants.pkl" in names and any(name.startswith("code/") for name in names):
        return "torchscript"
    if "serialized_exported_program.json" in tops:
        raise ModelLoadError(
            f"{path.name} was exported by torch 2.7 or older and holds pickles; export it again with a newer torch"
        )
    if "data.pkl" in names:
        raise ModelLoadError(
            f"{path.name} was saved by torch.save and is a pickle, which runs code when it is loaded: "
            "use torch.export.save, ONNX or safetensors"
        )
    raise ModelLoadError(f"{path.name} is a zip archive of something else: expected {_SERVED}")
