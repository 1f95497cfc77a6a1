"""What a model does with inputs that nobody trained it on, but that somebody will send.

Each kind is one request, made of a row of the test data. Whatever has a row for each row that was asked is an answer,
and a refusal is one too. What the serving runtime would have to call an internal error is neither.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from mooring_artifacts.errors import first_line
from mooring_inference.errors import RequestError
from mooring_inference.tensors import Array

from mooring_components.endpoints import RefusedError
from mooring_components.evidence import LONGEST_REASON, OddInput
from mooring_components.feeding import FedModel, count_rows
from mooring_components.models import ModelNeedsMemory

METRIC = "oddInputsFailed"
MANY_ROWS = 1024
_SECONDS = 5.0
_LONGEST_TEXT = 1 << 16

Request = Mapping[str, Array]


def try_odd_inputs(fed: FedModel) -> list[OddInput]:
    """Ask a model of each kind that its inputs allow, and give what became of it.

    Raises:
        InputError: the first row does not fit, or the model fails on that.
        MemoryError: the model takes more memory than there is for the row.
    """
    [row] = fed.single_rows(1)
    start = time.perf_counter()
    fed.answer(row)
    taken = time.perf_counter() - start
    found = [
        OddInput(kind=kind, problem=_ask(fed, request))
        for kind, change in _CHANGES.items()
        if (request := _changed(row, change)) is not None
    ]
    if fed.takes_several_rows:
        # A slow model is asked for as many as it takes in some seconds.
        many = int(np.clip(_SECONDS / max(taken, 1e-9), 2, MANY_ROWS))
        for kind, rows in (("no rows", 0), ("many rows", many)):
            asked = {name: np.repeat(array, rows, axis=0) for name, array in row.items()}
            found.append(OddInput(kind=kind, problem=_ask(fed, asked)))
    return found


def _filled(dtype_kind: str, value: Callable[[np.dtype[Any]], object]) -> Callable[[Array], Array | None]:
    """Fill arrays of one kind of numbers; None for others."""

    def change(array: Array) -> Array | None:
        if array.dtype.kind not in dtype_kind:
            return None
        return np.full_like(array, value(array.dtype))

    return change


# What becomes of each input, None where it stays as it is.
_CHANGES: dict[str, Callable[[Array], Array | None]] = {
    "NaN": _filled("f", lambda dtype: np.nan),
    "infinity": _filled("f", lambda dtype: np.inf),
    "largest numbers": _filled("f", lambda dtype: np.finfo(dtype).max),
    "largest integers": _filled("iu", lambda dtype: np.iinfo(dtype).max),
    "smallest integers": _filled("iu", lambda dtype: np.iinfo(dtype).min),
    "empty text": _filled("O", lambda dtype: ""),
    "long text": _filled("O", lambda dtype: "word " * (_LONGEST_TEXT // 5)),
    "text that is not ASCII": _filled("O", lambda dtype: "\U0001f40d \u0000 \u202e\u0301 語"),
}


def _changed(row: Request, change: Callable[[Array], Array | None]) -> Request | None:
    changed = {name: new for name, array in row.items() if (new := change(array)) is not None}
    return {**row, **changed} if changed else None


def _ask(fed: FedModel, request: Request) -> str:
    """Why the model neither answers nor refuses a request; empty where it does."""
    signature = fed.model.signature
    try:
        given = fed.model.backend.predict(request, signature.output_names)
    except (RequestError, RefusedError):
        return ""
    except ModelNeedsMemory as error:
        return str(error)[:LONGEST_REASON]
    except Exception as error:  # what a model raises is up to it
        return first_line(error)[:LONGEST_REASON] or type(error).__name__
    rows = count_rows(request)
    for spec, array in zip(signature.outputs, given, strict=True):
        if spec.shape[:1] == (None,) and array.shape[:1] != (rows,):
            return f"output {spec.name} has shape {list(array.shape)} for {rows} rows"
    return ""
