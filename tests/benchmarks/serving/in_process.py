"""The limit: how many rows/s onnxruntime does by itself on one thread.

in_process.py MODEL.onnx SECONDS BATCH...    prints {"BATCH": rows per second}
"""

import json
import sys
import time

import numpy as np
import onnxruntime


def measure(path: str, seconds: float, batch: int) -> float:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    features = session.get_inputs()[0].shape[1]
    rows = np.random.default_rng(1).standard_normal((batch, features), dtype=np.float32)
    session.run(None, {"x": rows})
    runs, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds:
        session.run(None, {"x": rows})
        runs += 1
    return runs * batch / elapsed


if __name__ == "__main__":
    print(json.dumps({batch: measure(sys.argv[1], float(sys.argv[2]), int(batch)) for batch in sys.argv[3:]}))
