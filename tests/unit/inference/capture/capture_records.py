"""Requests to capture, and what was captured of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from mooring_inference.capture.recorder import Capture
from mooring_inference.capture.settings import CaptureSettings, parse_capture
from mooring_inference.tensors import DATATYPES, Signature, TensorSpec

# Ends waits that would otherwise hang; generous for a busy machine.
SECONDS = 60.0
# 2026-11-24 13:59:50 UTC.
NOON = 1_795_528_790.0


def spec(name, datatype="FP32", shape=(None, 2)):
    return TensorSpec(name, DATATYPES[datatype], shape)


def signature(inputs=(), outputs=()):
    return Signature(tuple(inputs) or (spec("x"),), tuple(outputs) or (spec("y", shape=(None, 1)),))


def settings(uri, **values):
    values = {
        f"capture_{name}" if name not in ("route", "deployment") else name: v for name, v in values.items()
    }
    found = parse_capture({"capture_uri": str(uri), **values})
    assert isinstance(found, CaptureSettings)
    return found


class Clock:
    """A clock that tests set."""

    def __init__(self, now=NOON):
        self.now = now

    def __call__(self):
        return self.now


def record(capture, request_id="r1", x=((1.0, 2.0),), y=((3.0,),), *, sig=None, **changes):
    """One request to model m, revision v1; ``x`` and ``y`` are arrays of any kind, or {name: array}."""
    sig = sig or signature()
    inputs = _arrays(sig.inputs, x)
    outputs = None if y is None else [(sig.outputs_by_name[n], a) for n, a in _arrays(sig.outputs, y).items()]
    fields = {"model": "m", "revision": "v1", "route": "stable", "seconds": 0.25, "status": 200, **changes}
    capture.record(request_id=request_id, inputs=inputs, outputs=outputs, **fields)


def _arrays(specs, values):
    named = values if isinstance(values, dict) else {specs[0].name: values}
    known = {s.name: s for s in specs}
    return {name: np.asarray(value, known[name].datatype.dtype) for name, value in named.items()}


def parts(folder):
    return sorted(Path(folder).rglob("*.parquet"))


def read(folder):
    """All captured rows as a table."""
    return pa.concat_tables([pq.ParquetFile(path).read() for path in parts(folder)])


def rows(folder):
    return read(folder).to_pylist()


def capturing(uri, *, sig=None, names=None, clock=None, monotonic=None, environ=None, **values):
    """A capture of model m, revision v1."""
    clocks = {"clock": clock} if clock else {}
    if monotonic:
        clocks["monotonic"] = monotonic
    capture = Capture(settings(uri, **values), environ=environ or {}, **clocks)
    capture.register("m", "v1", sig or signature(), names)
    return capture
