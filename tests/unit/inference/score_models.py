"""Small ONNX models whose answers a reader can compute, for tests of scoring and streaming."""

from __future__ import annotations

from pathlib import Path

from onnx import TensorProto, helper, save

_TYPES = {"float": TensorProto.FLOAT, "int64": TensorProto.INT64, "string": TensorProto.STRING}


def write_model(folder: Path, nodes, inputs, outputs, initializers=()) -> Path:
    """Save a model; inputs and outputs are (name, type, shape)."""
    folder.mkdir(parents=True, exist_ok=True)

    def value(name, kind, shape):
        return helper.make_tensor_value_info(name, _TYPES[kind], shape)

    graph = helper.make_graph(
        nodes, "g", [value(*one) for one in inputs], [value(*one) for one in outputs], list(initializers)
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    save(model, folder / "model.onnx")
    return folder


def sum_and_negative(folder: Path, width: int = 2, batch: int | str = "n") -> Path:
    """x [n, width] -> total [n, 1], the sum of each row, and negative [n, width]."""
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [1])
    return write_model(
        folder,
        [
            helper.make_node("ReduceSum", ["x", "axes"], ["total"], keepdims=1),
            helper.make_node("Neg", ["x"], ["negative"]),
        ],
        [("x", "float", [batch, width])],
        [("total", "float", [batch, 1]), ("negative", "float", [batch, width])],
        [axes],
    )


def several_inputs(folder: Path) -> Path:
    """age [n, 1] float, name [n, 1] string, vector [n, "k"] float -> out [n, 1] = age + sum(vector); same."""
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [1])
    return write_model(
        folder,
        [
            helper.make_node("ReduceSum", ["vector", "axes"], ["sum"], keepdims=1),
            helper.make_node("Add", ["age", "sum"], ["out"]),
            helper.make_node("Identity", ["name"], ["same"]),
        ],
        [("age", "float", ["n", 1]), ("name", "string", ["n", 1]), ("vector", "float", ["n", "k"])],
        [("out", "float", ["n", 1]), ("same", "string", ["n", 1])],
        [axes],
    )


def row_of_table(folder: Path, rows: int = 5) -> Path:
    """x [n] int64 -> y [n]: ten times x; fails where x is not between -rows and rows - 1."""
    table = helper.make_tensor("table", TensorProto.FLOAT, [rows], [10.0 * index for index in range(rows)])
    return write_model(
        folder,
        [helper.make_node("Gather", ["table", "x"], ["y"])],
        [("x", "int64", ["n"])],
        [("y", "float", ["n"])],
        [table],
    )
