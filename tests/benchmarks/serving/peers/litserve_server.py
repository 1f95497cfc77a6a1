"""An ONNX model behind LitServe with batching.

litserve_server.py MODEL.onnx PORT
"""

import sys

import litserve
import numpy as np
import onnxruntime


class OnnxAPI(litserve.LitAPI):
    def __init__(self, path):
        super().__init__(max_batch_size=64, batch_timeout=0.002)
        self.path = path

    def setup(self, device):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(self.path, options, providers=["CPUExecutionProvider"])

    def decode_request(self, request):
        return np.asarray(request["x"], dtype=np.float32)

    def predict(self, x):
        (result,) = self.session.run(None, {"x": x})
        return result

    def encode_response(self, output):
        return {"y": output.tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(OnnxAPI(sys.argv[1]), accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(sys.argv[2]), num_api_servers=1, generate_client_file=False)
