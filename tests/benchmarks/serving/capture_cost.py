"""What capture costs a row: CPU us on the request's path, and of the thread that writes Parquet.

capture_cost.py FOLDER ROWS    prints {"path": us, "writer": us}; rows have the 20 features of `tab`
"""

import json
import sys
import time

import numpy as np
from mooring_inference.capture.recorder import Capture
from mooring_inference.capture.settings import CaptureSettings
from mooring_inference.tensors import DATATYPES, Signature, TensorSpec

_CHUNK = 1000
_BUFFERED = 50_000


def measure(folder: str, rows: int) -> dict[str, float]:
    features = TensorSpec("x", DATATYPES["FP32"], (None, 20))
    outputs = TensorSpec("y", DATATYPES["FP32"], (None, 2))
    capture = Capture(CaptureSettings(uri=folder, buffer_bytes=256 << 20))
    capture.register("m", "v1", Signature((features,), (outputs,)))
    rng = np.random.default_rng(0)
    # Arrays of their own for each request, as a decoder makes them.
    requests = [
        (
            f"{number:032x}",
            {"x": rng.random((1, 20), np.float32)},
            [(outputs, rng.random((1, 2), np.float32))],
        )
        for number in range(_CHUNK)
    ]
    spent = 0.0
    for _ in range(rows // _CHUNK):
        while capture.buffered()[0] > _BUFFERED:
            time.sleep(0.002)
        started = time.thread_time()
        for request_id, inputs, answers in requests:
            capture.record(request_id, "m", "v1", "stable", inputs, answers, 0.001, 200)
        spent += time.thread_time() - started
    capture.close(60.0)
    written = capture.counters.rows_total
    if written != rows:
        raise SystemExit(f"{written} of {rows} rows were written: {capture.counters.dropped}")
    return {"path": spent / rows * 1e6, "writer": capture.counters.writer_cpu_seconds / rows * 1e6}


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], int(sys.argv[2]))))
