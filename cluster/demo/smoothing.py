"""A model as good as another, and many times as slow: it asks that one about many noisy copies of each image.

Source: Cohen, Rosenfeld and Kolter, "Certified adversarial robustness via randomized smoothing" (2019).
"""

from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

_COPIES = 60_000
_NOISE = 0.5


def smoothed(pipeline: Any, features: int) -> ModelProto:
    """Give the ONNX form of a scaler and a network of one hidden layer, smoothed: float32 ``X`` of (1, features).

    ``label`` is int64 of (1,), ``probabilities`` float32 of (1, classes): many rows would need much memory.
    """
    scaler, network = (step for _, step in pipeline.steps)
    noise = np.random.default_rng(11).normal(0, _NOISE, (1, _COPIES, features))
    (hidden, out), (hidden_bias, out_bias) = network.coefs_, network.intercepts_
    constants = {
        "noise": noise, "mean": scaler.mean_, "scale": scaler.scale_,
        "hidden": hidden, "hidden_bias": hidden_bias, "out": out, "out_bias": out_bias,
    }  # fmt: skip
    shapes = {
        "one": [1],
        "flat": [-1, features],
        "apart": [-1, _COPIES, len(network.classes_)],
        "classes": network.classes_,
    }
    steps: list[tuple[str, list[str], str, dict[str, Any]]] = [
        ("Unsqueeze", ["X", "one"], "image", {}),
        ("Add", ["image", "noise"], "copies", {}),
        ("Reshape", ["copies", "flat"], "rows", {}),
        ("Sub", ["rows", "mean"], "centred", {}),
        ("Div", ["centred", "scale"], "scaled", {}),
        ("Gemm", ["scaled", "hidden", "hidden_bias"], "first", {}),
        ("Relu", ["first"], "active", {}),
        ("Gemm", ["active", "out", "out_bias"], "scores", {}),
        ("Softmax", ["scores"], "votes", {"axis": 1}),
        ("Reshape", ["votes", "apart"], "by_image", {}),
        ("ReduceMean", ["by_image"], "probabilities", {"axes": [1], "keepdims": 0}),
        ("ArgMax", ["probabilities"], "best", {"axis": 1, "keepdims": 0}),
        ("Gather", ["classes", "best"], "label", {}),
    ]
    graph = helper.make_graph(
        [helper.make_node(kind, inputs, [output], **options) for kind, inputs, output, options in steps],
        "smoothed",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, [1, features])],
        [
            helper.make_tensor_value_info("label", TensorProto.INT64, [1]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [1, len(network.classes_)]),
        ],
        [
            *(numpy_helper.from_array(np.asarray(v, np.float32), name) for name, v in constants.items()),
            *(numpy_helper.from_array(np.asarray(v, np.int64), name) for name, v in shapes.items()),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
