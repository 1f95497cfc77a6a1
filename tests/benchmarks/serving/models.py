"""The three models of the benchmark, made from a seed, and the rows sent to them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save

# Widths of the layers: features, hidden layers, outputs.
MODELS: dict[str, tuple[int, ...]] = {
    "tab": (20, 32, 2),
    "mlp": (784, 256, 10),
    "heavy": (784, 2048, 2048, 2048, 2048, 10),
}
_ROWS = 16


def write_models(folder: Path, names: Sequence[str]) -> None:
    """Write FOLDER/NAME/model.onnx for each name: dense layers with ReLU between them, x to y, float32."""
    for name in names:
        file = folder / name / "model.onnx"
        file.parent.mkdir(parents=True, exist_ok=True)
        save(_dense(MODELS[name], np.random.default_rng(0)), file)


def sample_rows(name: str) -> np.ndarray:
    """Different rows of standard normal features, float32, shape (rows, features)."""
    return np.random.default_rng(1).standard_normal((_ROWS, MODELS[name][0]), dtype=np.float32)


def _dense(widths: Sequence[int], rng: np.random.Generator) -> object:
    nodes, weights, value = [], [], "x"
    for index, (rows, columns) in enumerate(itertools.pairwise(widths)):
        # Scaled so that the values keep their size from layer to layer.
        matrix = rng.standard_normal((rows, columns), dtype=np.float32) * np.float32(np.sqrt(2 / rows))
        weights.append(numpy_helper.from_array(matrix, f"w{index}"))
        weights.append(numpy_helper.from_array(np.zeros(columns, np.float32), f"b{index}"))
        is_last = index == len(widths) - 2
        output = "y" if is_last else f"z{index}"
        nodes.append(helper.make_node("Gemm", [value, f"w{index}", f"b{index}"], [output]))
        if not is_last:
            nodes.append(helper.make_node("Relu", [output], [f"a{index}"]))
            value = f"a{index}"
    graph = helper.make_graph(
        nodes,
        "dense",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", widths[0]])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", widths[-1]])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
