"""Which content a model of a format may have: what is not on the list is refused before anything is loaded.

Two lists: the formats of the files that the serving runtime loads, and where files may be that run code of their
author's when they are loaded. Formats that are not known here, such as those of servers of one's own, refuse nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mooring_inference.backends.contents import (
    EXPORTED,
    LAMBDA,
    OLD_EXPORTED,
    ONNX,
    PICKLE,
    PROGRAM,
    SAFETENSORS,
    TORCH_SAVE,
    TORCHSCRIPT,
    Content,
)

_NONE: frozenset[Content] = frozenset()
_PICKLES = frozenset({PICKLE, TORCH_SAVE})
_ALL = frozenset({PICKLE, TORCH_SAVE, TORCHSCRIPT, OLD_EXPORTED, LAMBDA, PROGRAM})

_HELD: Mapping[str, frozenset[Content]] = {
    "onnx": frozenset({ONNX}),
    "pytorch": frozenset({EXPORTED, TORCHSCRIPT, SAFETENSORS}),
    "safetensors": frozenset({SAFETENSORS}),
}
# KServe's names of formats, and what their servers load that runs code.
_RUNNING: Mapping[str, frozenset[Content]] = {
    "catboost": _NONE,
    "huggingface": _PICKLES,
    "keras": frozenset({LAMBDA}),
    "lightgbm": _NONE,
    "mlflow": _ALL - {PROGRAM},
    "onnx": _NONE,
    "paddle": _NONE,
    "pmml": _NONE,
    "pytorch": _PICKLES | {TORCHSCRIPT},
    "safetensors": _NONE,
    "sklearn": _PICKLES,
    "tensorflow": frozenset({LAMBDA}),
    "tensorrt": _NONE,
    "triton": _ALL,
    "xgboost": _NONE,
}


@dataclass(frozen=True)
class Allowed:
    """What files of one model may be.

    running: content that may run code; None: any, for nobody knows the format. held: what the file that the serving
    runtime loads may be; None: whatever it loads.
    """

    declared: str
    running: frozenset[Content] | None
    held: frozenset[Content] | None = None
    elsewhere: bool = False

    def refuses(self, content: Content) -> str:
        """Say why a file of this content may not be there; nothing where it may."""
        if not content.runs_code or self.running is None or content in self.running:
            return ""
        if not self.elsewhere and content in _RUNNING[self.declared.lower()]:
            return f"for format {self.declared} that is tested where it is served: spec.ci.target Endpoint"
        return f"format {self.declared} allows none in its folder"


def allowed_in(declared: str, allow: Sequence[str], *, elsewhere: bool) -> Allowed:
    """What a model may hold whose format is `declared` as; empty: that is not known.

    Args:
        declared: KServe's name of the format.
        allow: code that the serving runtime may run, as `open_model` takes it.
        elsewhere: whether another server than Mooring's may load it.
    """
    known = _RUNNING.get(declared.lower())
    if known is None:
        return Allowed(declared, None, elsewhere=elsewhere)
    if elsewhere:
        return Allowed(declared, known, elsewhere=True)
    running = _RUNNING["mlflow"] if "pyfunc" in allow else _NONE
    if "torchscript" in allow:
        running |= {TORCHSCRIPT}
    return Allowed(declared, running, _HELD.get(declared.lower()))
