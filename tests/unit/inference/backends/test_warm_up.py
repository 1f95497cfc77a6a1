"""Warm-up: rows of several callers run together only where that changes nothing for any of them."""

from __future__ import annotations

import numpy as np
import pytest
from mooring_inference.backends.base import LoadOptions
from mooring_inference.backends.onnx.backend import OnnxBackend
from mooring_inference.backends.warm_up import make_inputs, warm_up
from mooring_inference.tensors import DATATYPES, Signature, TensorSpec
from onnx import TensorProto, helper

from tests.unit.inference.backends.test_onnx import write_onnx


def model(tmp_path, nodes, inputs, outputs, initializers=()):
    path = write_onnx(tmp_path / "m.onnx", nodes, inputs, outputs, initializers)
    return OnnxBackend(path, LoadOptions(device="cpu"))


node = helper.make_node


@pytest.mark.parametrize(
    ("nodes", "inputs", "outputs", "initializers"),
    [
        pytest.param(
            [node("Mul", ["x", "x"], ["y"])],
            [("x", "FP32", ["n", 3])],
            [("y", "FP32", ["n", 3])],
            [],
            id="elements",
        ),
        pytest.param(
            [node("Softmax", ["x"], ["y"], axis=1), node("Greater", ["x", "y"], ["z"])],
            [("x", "FP16", ["n", "m"])],
            [("y", "FP16", ["n", "m"]), ("z", "BOOL", ["n", "m"])],
            [],
            id="two outputs",
        ),
        pytest.param(
            [node("Where", ["c", "x", "x"], ["y"])],
            [("c", "BOOL", ["n"]), ("x", "BYTES", ["n"])],
            [("y", "BYTES", ["n"])],
            [],
            id="strings",
        ),
        pytest.param(
            [node("Gather", ["table", "i"], ["y"])],
            [("i", "INT64", ["n"])],
            [("y", "FP32", ["n", 2])],
            [helper.make_tensor("table", TensorProto.FLOAT, [1, 2], [1, 2])],
            id="an index of which only 0 is in range",
        ),
        pytest.param(
            [node("Log", ["x"], ["y"])],
            [("x", "FP64", ["n"])],
            [("y", "FP64", ["n"])],
            [],
            id="infinite results",
        ),
        pytest.param(
            [node("Sqrt", ["minus"], ["root"]), node("Add", ["x", "root"], ["y"])],
            [("x", "FP64", ["n"])],
            [("y", "FP64", ["n"])],
            [helper.make_tensor("minus", TensorProto.DOUBLE, [1], [-1.0])],
            id="results that are not numbers",
        ),
        pytest.param(
            [node("Conv", ["x", "w"], ["y"])],
            [("x", "FP32", ["n", 1, "length"])],
            [("y", "FP32", ["n", 1, "shorter"])],
            [helper.make_tensor("w", TensorProto.FLOAT, [1, 1, 5], [1, 2, 3, 4, 5])],
            id="a series that must have some length",
        ),
    ],
)
def test_models_whose_rows_are_independent_are_batched(tmp_path, nodes, inputs, outputs, initializers):
    found = warm_up(model(tmp_path, nodes, inputs, outputs, initializers))
    assert (found.batchable, found.reason) == (True, "")
    assert 0 < found.seconds < 60


@pytest.mark.parametrize(
    ("nodes", "inputs", "outputs", "reason"),
    [
        pytest.param(
            [node("Identity", ["x"], ["y"])],
            [("x", "FP32", [1, 3])],
            [("y", "FP32", [1, 3])],
            "the first dimension of input x is not open",
            id="a fixed batch",
        ),
        pytest.param(
            [node("Mul", ["x", "scale"], ["y"])],
            [("x", "FP32", ["n", 3]), ("scale", "FP32", [])],
            [("y", "FP32", ["n", 3])],
            "the first dimension of input scale is not open",
            id="a 0-d input beside the rows",
        ),
        pytest.param(
            [node("Softmax", ["x"], ["y"], axis=0)],
            [("x", "FP32", ["n", 3])],
            [("y", "FP32", ["n", 3])],
            "a row's results depend on the other rows",
            id="a softmax over the rows",
        ),
        pytest.param(
            [node("ReduceMean", ["x"], ["mean"], axes=[0], keepdims=1), node("Sub", ["x", "mean"], ["y"])],
            [("x", "FP32", ["n", 3])],
            [("y", "FP32", ["n", 3])],
            "a row's results depend on the other rows",
            id="rows less their mean",
        ),
        pytest.param(
            [node("ReduceSum", ["x"], ["y"], keepdims=0)],
            [("x", "FP32", ["n", 3])],
            [("y", "FP32", [])],
            r"output y has shape \[\] for 1 rows",
            id="a 0-d output",
        ),
        pytest.param(
            [node("Transpose", ["x"], ["y"])],
            [("x", "FP32", ["n", 1])],
            [("y", "FP32", [1, "n"])],
            r"output y has shape \[1, 2\] for 2 rows",
            id="rows that became columns",
        ),
        pytest.param(
            [node("NonZero", ["x"], ["y"])],
            [("x", "FP32", ["n"])],
            [("y", "INT64", ["one", "found"])],
            r"output y has shape \[1, 1\] for 2 rows",
            id="as many results as there are",
        ),
    ],
)
def test_models_whose_rows_belong_together_are_not_batched(tmp_path, nodes, inputs, outputs, reason):
    found = warm_up(model(tmp_path, nodes, inputs, outputs))
    assert not found.batchable
    assert found.reason == reason.replace("\\", "")
    assert found.seconds > 0


class Scripted:
    """A backend that answers with a function of its input; the rarities that ONNX has no operator for."""

    platform, device = "test", "cpu"

    def __init__(self, answer, outputs=(None,), shape=(None, 2)):
        kind = DATATYPES["FP32"]
        self.signature = Signature((TensorSpec("x", kind, shape),), (TensorSpec("y", kind, outputs),))
        self.answer = answer

    def predict(self, inputs, outputs):
        return [self.answer(inputs["x"]) for _ in outputs]

    def close(self):
        pass


def test_a_model_that_fails_on_made_up_input_is_judged_by_its_signature():
    def refuse(rows):
        raise ValueError("only real cats\nwill do")

    found = warm_up(Scripted(refuse))
    assert found.batchable
    assert found.reason == "it could not be tried on made-up input: only real cats"
    assert found.seconds == 0
    assert not warm_up(Scripted(refuse, outputs=(3,))).batchable
    assert not warm_up(Scripted(refuse, outputs=())).batchable
    fixed = warm_up(Scripted(refuse, shape=(1, 2)))
    assert (fixed.batchable, fixed.reason) == (False, "the first dimension of input x is not open")


def test_a_model_that_takes_one_row_at_a_time_is_not_batched():
    def only_one(rows):
        if len(rows) > 1:
            raise ValueError("cannot reshape")
        return rows[:, 0]

    found = warm_up(Scripted(only_one))
    assert (found.batchable, found.reason) == (
        False,
        "it takes one row at a time, and fails on two: cannot reshape",
    )
    assert found.one_row


def test_a_model_that_samples_is_judged_by_its_number_of_rows():
    random = np.random.default_rng(1)
    found = warm_up(Scripted(lambda rows: random.random(len(rows), np.float32)))
    assert found.batchable
    assert "differ from run to run" in found.reason
    assert not warm_up(Scripted(lambda rows: random.random(3, np.float32))).batchable


def test_rounding_does_not_count_as_a_difference():
    found = warm_up(Scripted(lambda rows: (rows[:, 0] + 1) * np.float32(1 + 1e-6 * len(rows))))
    assert (found.batchable, found.reason) == (True, "")


def test_made_up_input_fits_the_signature():
    signature = Signature(
        tuple(
            TensorSpec(f"{name}{len(shape)}", datatype, shape)
            for name, datatype in DATATYPES.items()
            for shape in ((), (None,), (None, 2, None), (4, None))
        ),
        (),
    )
    for fillers in ([0], [1], [0, 1]):
        for size in (1, 32):
            for name, array in make_inputs(signature, fillers, size).items():
                spec = signature.inputs_by_name[name]
                assert spec.accepts(array.shape)
                assert array.dtype == spec.datatype.dtype
                if spec.shape and spec.shape[0] is None:
                    assert len(array) == len(fillers)
                if spec.datatype.name == "BYTES":
                    assert {type(value) for value in array.ravel().tolist()} == {str}
