"""An ONNX model behind kserve.ModelServer, as KServe's guide to custom predictors writes it.

kserve_server.py MODEL.onnx --http_port P --grpc_port Q    (the flags are kserve's own)
"""

import sys

import onnxruntime
from kserve import Model, ModelServer
from kserve.utils.utils import get_predict_response


class OnnxModel(Model):
    def __init__(self, name, path):
        super().__init__(name)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.ready = True

    def predict(self, payload, headers=None, response_headers=None):
        (result,) = self.session.run(None, {"x": payload.inputs[0].as_numpy()})
        return get_predict_response(payload, result, self.name)


if __name__ == "__main__":
    path = sys.argv.pop(1)
    ModelServer().start([OnnxModel("m", path)])
