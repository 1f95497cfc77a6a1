"""Ask a model over gRPC: ``python -m tests.cluster.ask_by_grpc PORT HOST COUNT [NAME=VALUE ...]``.

A process of its own, since gRPC connects from threads that the process keeps: those that an earlier test
began are in the network of then, whichever network the test is in.
"""

from __future__ import annotations

import sys

import grpc
from mooring_inference.grpc_front.schema import SERVICE, message


def main(port, host, count, *metadata):
    """Send so many requests, one after the other, with the metadata given; raises where one fails."""
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2], "contents": {"fp32_contents": [1, 2]}}
    request = message("ModelInferRequest")(model_name="digits", inputs=[tensor])
    with grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.default_authority", host)]) as channel:
        infer = channel.unary_unary(
            f"/{SERVICE}/ModelInfer",
            request_serializer=lambda sent: sent.SerializeToString(),
            response_deserializer=message("ModelInferResponse").FromString,
        )
        for _ in range(int(count)):
            infer(request, timeout=10, metadata=[tuple(pair.split("=", 1)) for pair in metadata])


if __name__ == "__main__":
    main(*sys.argv[1:])
