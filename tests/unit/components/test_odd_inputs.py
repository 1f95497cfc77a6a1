"""What nobody trained a model on is tried, and counts where the server would have to call it an internal error."""

import httpx2 as httpx
import numpy as np
import onnx
import orjson
import pyarrow as pa
import pytest
from mooring_components.datasets import TestData
from mooring_components.endpoints import RefusedError, open_endpoint
from mooring_components.feeding import feed_model
from mooring_components.models import ModelNeedsMemory, open_model
from mooring_components.odd_inputs import try_odd_inputs
from mooring_components.options import TestOptions
from mooring_components.quality import evaluate
from mooring_inference.errors import RequestError
from onnx import TensorProto, helper

from tests.unit.components.test_importances import linear, rows_of, save

FLOATS = ["NaN", "infinity", "largest numbers"]
ROWS = ["no rows", "many rows"]


def problems(found):
    return {each.kind: each.problem for each in found}


def test_a_sum_answers_whatever_it_is_asked(tmp_path):
    found = problems(try_odd_inputs(feed_model(linear(tmp_path), rows_of(), {})))
    assert found == dict.fromkeys([*FLOATS, *ROWS], "")


def test_a_table_of_codes_fails_beyond_its_end(tmp_path):
    table = helper.make_tensor("t", TensorProto.FLOAT, [3, 1], [0.1, 0.2, 0.3])
    code = helper.make_tensor_value_info("x", TensorProto.INT64, [None])
    model = save(tmp_path, [helper.make_node("Gather", ["t", "x"], ["y"])], [code], [table])
    data = TestData({"x": pa.array([0, 1, 2])}, np.array([0.1, 0.2, 0.3]), "codes")
    found = evaluate(model, data)
    assert found.metrics["oddInputsFailed"] == 2.0
    told = problems(found.evidence.odd_inputs)
    assert "out of" in told["largest integers"]
    assert "out of" in told["smallest integers"]
    assert (told["no rows"], told["many rows"]) == ("", "")


def test_a_model_of_one_row_fails_on_more(tmp_path):
    one = helper.make_tensor("one", TensorProto.INT64, [2], [1, 4])
    row = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 4])
    model = save(tmp_path, [helper.make_node("Reshape", ["x", "one"], ["y"])], [row], [one])
    found = problems(try_odd_inputs(feed_model(model, rows_of(), {})))
    assert all(found[kind] for kind in ROWS)
    assert not any(found[kind] for kind in FLOATS)


def test_text_is_empty_long_and_of_any_script(tmp_path):
    text = helper.make_tensor_value_info("x", TensorProto.STRING, [None])
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "g",
        [text],
        [helper.make_tensor_value_info("y", TensorProto.STRING, [None])],
    )
    model = save_graph(tmp_path, graph)
    data = TestData({"x": pa.array(["a", "b"])}, np.array(["a", "b"], dtype=object), "texts")
    found = problems(try_odd_inputs(feed_model(model, data, {})))
    assert found == dict.fromkeys(["empty text", "long text", "text that is not ASCII", *ROWS], "")


def save_graph(folder, graph):
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), folder / "m.onnx"
    )
    return open_model(folder)


class Raising:
    """A model that takes the rows it was trained on alone."""

    def __init__(self, backend, error):
        self._backend, self._error = backend, error
        self.signature, self.platform, self.device = backend.signature, backend.platform, backend.device

    def predict(self, inputs, outputs):
        if any(len(array) != 1 or not np.isfinite(array).all() for array in inputs.values()):
            raise self._error
        return self._backend.predict(inputs, outputs)

    def close(self):
        self._backend.close()


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RequestError("no"), ""),
        (RefusedError("no"), ""),
        (ModelNeedsMemory("too large"), "too large"),
        (ZeroDivisionError(), "ZeroDivisionError"),
        (ValueError("first\nsecond"), "first"),
    ],
    ids=["refused", "refused by its server", "memory", "without a word", "lines"],
)
def test_a_refusal_is_an_answer_and_an_error_is_none(tmp_path, error, told):
    fed = feed_model(linear(tmp_path), rows_of(), {})
    object.__setattr__(fed, "model", type(fed.model)(Raising(fed.model.backend, error), {}))
    found = problems(try_odd_inputs(fed))
    assert found == {**dict.fromkeys([*FLOATS, *ROWS], told), "largest numbers": ""}


def said(status, document):
    return httpx.Response(status, stream=httpx.ByteStream(orjson.dumps(document)))


@pytest.mark.parametrize(("status", "failed"), [(400, 0), (422, 0), (500, 5), (503, 5)])
def test_a_server_may_refuse_and_not_fail(monkeypatch, status, failed):
    def answer(request):
        if request.method == "GET":
            form = {"name": "x", "datatype": "FP64", "shape": [-1, 4]}
            return said(200, {"inputs": [form], "outputs": [{**form, "name": "y"}]})
        sent = orjson.loads(request.content)["inputs"][0]
        usual = sent["shape"] == [1, 4] and None not in sent["data"] and max(sent["data"]) < 1e9
        if not usual:
            return said(status, {"error": "no"})
        return said(200, {"outputs": [{**sent, "name": "y"}]})

    transport = httpx.MockTransport(answer)
    original = httpx.Client
    monkeypatch.setattr(
        "mooring_components.endpoints.httpx.Client", lambda **given: original(transport=transport, **given)
    )
    data = rows_of(3)
    opened = open_endpoint("http://host/v2/models/m", data, TestOptions())
    found = try_odd_inputs(feed_model(opened, data, {}))
    assert sum(bool(each.problem) for each in found) == failed
