"""One row as each server takes it, and the row of outputs that each answers with."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
from mooring_inference.grpc_front.schema import message

from tests.benchmarks.serving.http1 import Http1Exchange, post
from tests.benchmarks.serving.http2 import Http2Exchange
from tests.benchmarks.serving.load import Exchange
from tests.benchmarks.serving.servers import HOST, Running

PROTOCOLS = ("JSON", "binary", "gRPC")
_GRPC_PATH = "/inference.GRPCInferenceService/ModelInfer"
_JSON_TYPE = {"Content-Type": "application/json"}


def address(running: Running, protocol: str) -> tuple[str, int]:
    """Where the server takes the protocol."""
    return running.grpc if protocol == "gRPC" else running.http


def make_exchange(running: Running, protocol: str, row: np.ndarray) -> Callable[[], Exchange] | None:
    """How to make a connection's exchange for one row, shape (features,); None if the server has none."""
    if protocol != "JSON" and running.server.body != "v2":
        return None
    if protocol == "gRPC":
        message = _grpc_request(row)
        return lambda: Http2Exchange(f"{HOST}:{running.place.grpc_port}", _GRPC_PATH, message)
    if protocol == "binary":
        body, headers = _binary_request(row)
    else:
        body, headers = _json_request(running.server.body, row), _JSON_TYPE
    request = post(f"{HOST}:{running.place.http_port}", running.server.path, body, headers)
    return lambda: Http1Exchange(request)


def decode_answer(running: Running, protocol: str, answer: bytes) -> np.ndarray:
    """The outputs, shape (outputs,); raises ValueError, KeyError or TypeError for what is none."""
    if protocol == "gRPC":
        return _grpc_outputs(answer)
    if protocol == "binary":
        text = answer.decode("latin-1")
        header, end = json.JSONDecoder().raw_decode(text)
        size = header["outputs"][0]["parameters"]["binary_data_size"]
        return np.frombuffer(answer[end : end + size], np.float32)
    decoded = json.loads(answer)
    if running.server.body == "v2":
        decoded = decoded["outputs"][0]["data"]
    elif running.server.body == "row":
        decoded = decoded["y"]
    return np.asarray(decoded, np.float32).ravel()


def _json_request(body: str, row: np.ndarray) -> bytes:
    # The digits that json and orjson write for `array.tolist()`, which is what clients send.
    if body == "v2":
        tensor = {"name": "x", "datatype": "FP32", "shape": [1, len(row)], "data": row.tolist()}
        return json.dumps({"inputs": [tensor]}).encode()
    return json.dumps({"x": [row.tolist()] if body == "rows" else row.tolist()}).encode()


def _binary_request(row: np.ndarray) -> tuple[bytes, dict[str, str]]:
    raw = row.astype("<f4").tobytes()
    tensor = {
        "name": "x",
        "datatype": "FP32",
        "shape": [1, len(row)],
        "parameters": {"binary_data_size": len(raw)},
    }
    header = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    headers = {
        "Content-Type": "application/octet-stream",
        "Inference-Header-Content-Length": str(len(header)),
    }
    return header + raw, headers


def _grpc_request(row: np.ndarray) -> bytes:
    request = message("ModelInferRequest")(model_name="m")
    request.inputs.add(name="x", datatype="FP32", shape=[1, len(row)])
    request.raw_input_contents.append(row.astype("<f4").tobytes())
    return request.SerializeToString()


def _grpc_outputs(answer: bytes) -> np.ndarray:
    response = message("ModelInferResponse").FromString(answer)
    if response.raw_output_contents:
        return np.frombuffer(response.raw_output_contents[0], np.float32)
    return np.asarray(response.outputs[0].contents.fp32_contents, np.float32)
