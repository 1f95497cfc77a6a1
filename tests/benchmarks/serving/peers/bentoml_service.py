"""An ONNX model as a BentoML service with batching.

MODEL=MODEL.onnx bentoml serve bentoml_service:OnnxService --port P
"""

import os

import bentoml
import numpy as np
import onnxruntime


@bentoml.service(workers=1)
class OnnxService:
    def __init__(self):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            os.environ["MODEL"], options, providers=["CPUExecutionProvider"]
        )

    @bentoml.api(batchable=True, max_batch_size=64, max_latency_ms=1000)
    def predict(self, x: np.ndarray) -> np.ndarray:
        (result,) = self.session.run(None, {"x": x.astype(np.float32, copy=False)})
        return result
