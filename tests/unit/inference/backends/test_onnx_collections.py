"""Maps and sequences of ONNX models are tensors, with the names of their columns."""

from __future__ import annotations

import numpy as np
import orjson
import pytest
from mooring_inference.backends.base import LoadOptions
from mooring_inference.backends.loading import load_model
from mooring_inference.backends.onnx.collections import CollectionError, find_collection
from mooring_inference.backends.warm_up import warm_up
from onnx import TensorProto, helper, save
from skl2onnx import to_onnx
from sklearn.linear_model import LogisticRegression

from tests.unit.inference.model_server import serving

ROWS = np.array([[0, 0], [1, 1], [0, 1], [1, 0], [2, 2], [2, 3]], np.float32)
CLASSES = {"numbers": [0, 1, 1, 0, 5, 5], "text": ["no", "yes", "yes", "no", "may, be", "may, be"]}


def classifier(folder, classes):
    model = LogisticRegression().fit(ROWS, classes)
    (folder / "model.onnx").write_bytes(to_onnx(model, ROWS[:1]).SerializeToString())
    return model, load_model(folder, LoadOptions())


@pytest.mark.parametrize("classes", CLASSES.values(), ids=CLASSES.keys())
async def test_a_classifier_with_zipmap_answers_probabilities_by_class(tmp_path, classes):
    model, backend = classifier(tmp_path, classes)
    assert warm_up(backend).batchable
    async with serving({"m": {"1": backend}}) as (_, client):
        (_, spec) = (await client.get("/v2/models/m")).json()["outputs"]
        assert spec["shape"] == [-1, 3]
        assert spec["parameters"] == {"columns": [str(name) for name in model.classes_]}
        tensor = {"name": "X", "datatype": "FP32", "shape": list(ROWS.shape), "data": ROWS.ravel().tolist()}
        answer = await client.post("/v2/models/m/infer", json={"inputs": [tensor]})
        labels, probabilities = answer.json()["outputs"]
    assert labels["data"] == [
        label if isinstance(label, str) else int(label) for label in model.predict(ROWS)
    ]
    found = np.array(probabilities["data"]).reshape(probabilities["shape"])
    np.testing.assert_allclose(found, model.predict_proba(ROWS), rtol=1e-4, atol=1e-6)


async def test_no_rows_have_no_maps(tmp_path):
    _, backend = classifier(tmp_path, CLASSES["text"])
    (found,) = backend.predict({"X": ROWS[:0]}, [backend.signature.outputs[1].name])
    assert (found.shape, found.dtype) == ((0, 3), np.float32)


def test_a_sequence_of_tensors_is_stacked(tmp_path):
    graph = helper.make_graph(
        [helper.make_node("SequenceConstruct", ["x", "x"], ["s"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])],
        [helper.make_tensor_sequence_value_info("s", TensorProto.FLOAT, None)],
    )
    save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9),
        tmp_path / "m.onnx",
    )
    backend = load_model(tmp_path, LoadOptions())
    assert backend.signature.outputs[0].metadata() == {"name": "s", "datatype": "FP32", "shape": [-1, -1, -1]}
    (stacked,) = backend.predict({"x": ROWS[:3]}, ["s"])
    assert stacked.tolist() == [ROWS[:3].tolist()] * 2
    assert orjson.dumps(stacked, option=orjson.OPT_SERIALIZE_NUMPY)


def test_what_differs_from_row_to_row_is_the_models_fault():
    maps = find_collection("p", "seq(map(string,tensor(float)))")
    assert maps.learn([{"b": 1.0, "a": 2.0}]).columns == ("b", "a")
    assert maps.to_tensor([{"a": 1.0, "b": 2.0}]).tolist() == [[2.0, 1.0]]
    with pytest.raises(CollectionError, match="output p differs in form from row to row: 'b'"):
        maps.to_tensor([{"a": 1.0}])
    tensors = find_collection("s", "seq(tensor(float))")
    with pytest.raises(CollectionError, match="output s differs"):
        tensors.to_tensor([np.zeros(2), np.zeros(3)])


def test_one_map_is_one_row_of_named_values():
    one = find_collection("p", "map(int64,tensor(float))")
    assert (one.learn({3: 0.5, 7: 1.5}).shape, one.to_tensor({3: 0.5, 7: 1.5}).tolist()) == ((2,), [0.5, 1.5])


@pytest.mark.parametrize(
    "kind",
    [
        "tensor(float)",
        "seq(map(string,tensor(bfloat16)))",
        "optional(tensor(float))",
        "seq(seq(tensor(float)))",
    ],
)
def test_what_no_tensor_can_be_made_of_is_no_collection(kind):
    assert find_collection("x", kind) is None
