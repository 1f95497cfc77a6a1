"""What a file is, told by its bytes: formats of models, and what is taken for one.

One list for who loads models and for who looks through them before.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

ZIP = b"PK\x03\x04"
_CODE = "which runs code when it is loaded"


@dataclass(frozen=True)
class Content:
    """A kind of file.

    name: in a word. told: what is said of a file behind its name. runs_code: whether it can run code of its author's
    when it is loaded.
    """

    name: str
    told: str
    runs_code: bool = False


ONNX = Content("onnx", "is ONNX")
EXPORTED = Content("exported", "is an exported program (.pt2)")
TORCHSCRIPT = Content("torchscript", f"is TorchScript, {_CODE}", runs_code=True)
SAFETENSORS = Content("safetensors", "is safetensors")
PICKLE = Content("pickle", f"is a pickle, {_CODE}", runs_code=True)
TORCH_SAVE = Content("torch-save", f"was saved by torch.save and is a pickle, {_CODE}", runs_code=True)
OLD_EXPORTED = Content("old-exported", "was exported by torch 2.7 or older and holds pickles", runs_code=True)
PROGRAM = Content("program", "is a program or a library of machine code", runs_code=True)
LAMBDA = Content("keras-lambda", f"holds a Lambda layer of Keras, {_CODE}", runs_code=True)
HDF5 = Content("hdf5", "is an HDF5 file (Keras)")
GZIP = Content("gzip", "is compressed by gzip")
ZIP_OTHER = Content("zip", "is a zip archive of something else")

LOADED = {content.name: content for content in (ONNX, EXPORTED, TORCHSCRIPT, SAFETENSORS)}
"""What this runtime loads, TorchScript where that is allowed."""

_BY_MAGIC = (
    (b"\x89HDF\r\n\x1a\n", HDF5),
    (b"GGUF", Content("gguf", "is a GGUF file")),
    (b"\x1f\x8b", GZIP),
    (b"\x80\x02", PICKLE),
    (b"\x80\x03", PICKLE),
    (b"\x80\x04", PICKLE),
    (b"\x80\x05", PICKLE),
    (b"\x7fELF", PROGRAM),
    (b"version https://git-lfs", Content("git-lfs", "is a Git LFS pointer, not the model itself")),
    (b"{", Content("text", "is JSON or text")),
    (b"<", Content("text", "is XML or HTML")),
)


def identify(head: bytes, size: int) -> Content | None:
    """Tell a file that is no zip archive by its first bytes, 64 or more where it has them; None where it is unknown.

    size: of all of it, in bytes.
    """
    if len(head) > 8 and head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= size - 8:
        return SAFETENSORS
    for magic, content in _BY_MAGIC:
        if head.startswith(magic):
            return content
    return ONNX if _looks_like_onnx(head) or head[4:8] == b"ORTM" else None


def identify_archive(members: Collection[str]) -> Content:
    """Tell a zip archive by the names of its members."""
    names = {name.partition("/")[2] for name in members}
    if "archive_format" in names:
        return EXPORTED
    if "constants.pkl" in names and any(name.startswith("code/") for name in names):
        return TORCHSCRIPT
    if "serialized_exported_program.json" in members:
        return OLD_EXPORTED
    return TORCH_SAVE if "data.pkl" in names else ZIP_OTHER


def _looks_like_onnx(head: bytes) -> bool:
    """Recognise the message ``ModelProto``, which begins with the version of its representation, 1 to 127."""
    return len(head) > 2 and head[0] == 0x08 and 0 < head[1] < 0x80 and head[2] & 7 in (0, 2)
