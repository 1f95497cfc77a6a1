"""What capture costs: ``python -m tests.benchmarks.capture [--rows N] [--features K]``.

Prints CPU time, which a busy machine changes less than time on the clock; the best of some rounds.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from time import thread_time

import numpy as np
import pyarrow as pa
from mooring_inference.capture.recorder import Capture
from mooring_inference.capture.settings import CaptureSettings
from mooring_inference.tensors import DATATYPES, Signature, TensorSpec

_BATCH = 32
_ROUNDS = 3
_PAUSE_ROWS = 2000
# Rows without repetition: as many as a row group has.
_NOISE = 1 << 16


def main() -> None:
    """Measure, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000, help="of a round, one for each request")
    parser.add_argument("--features", type=int, default=50)
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures go, too")
    options = parser.parse_args()
    pa.set_cpu_count(1)
    rows, width = options.rows, options.features
    kept = [measure(rows, width, 1.0) for _ in range(_ROUNDS)]
    left_out = [measure(rows, width, 0.0) for _ in range(_ROUNDS)]
    full = [measure_full(rows, width) for _ in range(_ROUNDS)]
    many = [measure(rows // 100, width, 1.0, request_rows=100) for _ in range(_ROUNDS)]
    found = {
        "rows": rows,
        "features": width,
        "record_us_per_request": best(kept, "record"),
        "record_us_outside_the_sample": best(left_out, "record"),
        "record_us_when_full": min(full),
        "writer_us_per_row": best(kept, "writer"),
        "writer_us_per_row_of_requests_of_100": round(best(many, "writer") / 100, 3),
        "writer_ms_per_100k_rows": round(best(kept, "writer") * 100, 1),
        "writer_ms_per_100k_rows_of_requests_of_100": round(best(many, "writer"), 1),
        "bytes_per_row": round(kept[0]["bytes"] / rows, 1),
    }
    text = json.dumps(found, indent=2)
    print(text)
    if options.json:
        options.json.write_text(text + "\n")


def best(rounds: list[dict[str, float]], name: str) -> float:
    """The smallest value of ``name``."""
    return round(min(values[name] for values in rounds), 3)


def measure(requests: int, width: int, sample: float, request_rows: int = 1) -> dict[str, float]:
    """CPU microseconds for each request: of the caller, and of the thread that writes."""
    signature = make_signature(width)
    make = requests_of(signature, width, request_rows)
    with tempfile.TemporaryDirectory() as folder:
        capture = Capture(CaptureSettings(uri=folder, sample=sample, flush_seconds=3600))
        capture.register("m", "v1", signature)
        spent = 0.0
        for start in range(0, requests, _PAUSE_ROWS):
            # Values of their own for each request, as a server has them.
            arguments = [make() for _ in range(min(_PAUSE_ROWS, requests - start))]
            spent += call_all(capture.record, arguments)
            while capture.buffered()[0]:
                time.sleep(0.001)
        assert capture.close(60)
        counters = capture.counters
        assert sample == 0 or counters.rows_total == requests * request_rows
        assert counters.dropped_total == 0
        size = sum(path.stat().st_size for path in Path(folder).rglob("*.parquet"))
    return {
        "record": spent / requests * 1e6,
        "writer": counters.writer_cpu_seconds / requests * 1e6,
        "bytes": size,
    }


def measure_full(requests: int, width: int) -> float:
    """CPU microseconds of the caller for each request that is dropped."""
    signature = make_signature(width)
    make = requests_of(signature, width, 1)
    with tempfile.TemporaryDirectory() as folder:
        capture = Capture(CaptureSettings(uri=folder, buffer_rows=0))
        capture.register("m", "v1", signature)
        arguments = [make() for _ in range(_PAUSE_ROWS)]
        spent = sum(call_all(capture.record, arguments) for _ in range(requests // _PAUSE_ROWS))
        assert capture.counters.dropped["full"] == requests // _PAUSE_ROWS * _PAUSE_ROWS
        capture.close(60)
    return round(spent / (requests // _PAUSE_ROWS * _PAUSE_ROWS) * 1e6, 3)


def call_all(record: Callable[..., None], arguments: list[tuple[object, ...]]) -> float:
    """CPU seconds of this thread."""
    started = thread_time()
    for values in arguments:
        record(*values)
    return thread_time() - started


def make_signature(width: int) -> Signature:
    """One input of ``width`` features, one output."""
    floats = DATATYPES["FP32"]
    return Signature((TensorSpec("x", floats, (None, width)),), (TensorSpec("y", floats, (None, 1)),))


def requests_of(signature: Signature, width: int, rows: int) -> Callable[[], tuple[object, ...]]:
    """Makes requests: inputs over bytes, as decoders make them, outputs that are rows of a batch."""
    noise = np.random.default_rng(0).normal(size=(_NOISE // rows, rows * width))
    contents = [row.tobytes() for row in noise.astype(np.float32)]
    numbers = itertools.count()
    batch = np.zeros((_BATCH * rows, 1), np.float32)

    def make() -> tuple[object, ...]:
        nonlocal batch
        number = next(numbers)
        place = number % _BATCH * rows
        if place == 0:
            batch = np.zeros((_BATCH * rows, 1), np.float32)
        x = np.frombuffer(bytearray(contents[number % len(contents)]), np.float32).reshape(rows, width)
        outputs = [(signature.outputs[0], batch[place : place + rows])]
        return f"5f3a9c1d2e4b6a78-{number:x}", "m", "v1", "stable", {"x": x}, outputs, 0.001, 200

    return make


if __name__ == "__main__":
    main()
