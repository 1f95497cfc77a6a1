"""What a model gives at an address, beside what its files give; and servers that answer nonsense."""

import asyncio
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mooring_artifacts.errors import InputError
from mooring_components.datasets import load_test_data
from mooring_components.endpoints import TOKEN, _Version1, check_address, open_endpoint
from mooring_components.feeding import feed_model
from mooring_components.fetching import facts_of_served, fetch_served
from mooring_components.latency import time_requests
from mooring_components.models import open_model
from mooring_components.options import TestOptions
from mooring_components.quality import evaluate
from onnx import TensorProto, helper
from skl2onnx import to_onnx
from sklearn import datasets, linear_model

from tests.unit.components.test_served_models import FLOAT, STRING, model, sum_of
from tests.unit.inference.inference_process import running

PROTOCOLS = ["v1", "v2"]


def rows(folder, **columns):
    pq.write_table(pa.table(columns), folder / "rows.parquet")
    return load_test_data((folder / "rows.parquet").as_uri(), "label")


@pytest.fixture(scope="module")
def cancer(tmp_path_factory):
    """A classifier with labels and probabilities, and rows with holes."""
    folder = tmp_path_factory.mktemp("cancer")
    x, y = datasets.load_breast_cancer(return_X_y=True)
    x = x[:, :4].astype(np.float32)
    fitted = linear_model.LogisticRegression(max_iter=5000).fit(x[:200], y[:200])
    (folder / "model").mkdir()
    made = to_onnx(fitted, x[:1], options={"zipmap": False})
    (folder / "model" / "model.onnx").write_bytes(made.SerializeToString())
    columns = {f"x{i}": x[200:, i] for i in range(4)}
    return folder / "model", rows(folder, **columns, label=y[200:])


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_model_is_measured_at_its_address_as_from_its_files(cancer, protocol):
    folder, data = cancer
    by_files = evaluate(open_model(folder), data, TestOptions())
    async with running(folder) as server:
        address = f"http://127.0.0.1:{server.port}/{protocol}/models/m"
        opened = await asyncio.to_thread(open_endpoint, address, data, TestOptions())
        found = await asyncio.to_thread(evaluate, opened, data, TestOptions())
        taken = await asyncio.to_thread(time_requests, feed_model(opened, data, {}), 5, 1)
        opened.backend.close()
    # V1 gives the first output alone, which is the label.
    compared = by_files.metrics if protocol == "v2" else found.metrics
    assert len(compared) >= 5
    assert found.metrics == pytest.approx({name: by_files.metrics[name] for name in compared})
    assert len(taken) == 5


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_inputs_of_several_names_get_their_columns(tmp_path, protocol):
    inputs = {"a": ["p", "q"], "b": ["r"]}
    data = rows(tmp_path, p=[1.0, 2.0], q=[3.0, 4.0], r=[5.0, 6.0], label=[9.0, 12.5])
    options = TestOptions(inputs=inputs, task="Regression")
    async with running(sum_of(tmp_path / "m", (2,), (1,))) as server:
        address = f"http://127.0.0.1:{server.port}/{protocol}/models/m"
        opened = await asyncio.to_thread(open_endpoint, address, data, options)
        found = await asyncio.to_thread(evaluate, opened, data, options)
    assert found.metrics["mae"] == pytest.approx(0.25)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_text_is_sent_as_text(tmp_path, protocol):
    node = helper.make_node("Identity", ["word"], ["same"])
    folder = model(tmp_path / "m", [node], [("word", STRING, [None, 1])], [("same", STRING, [None, 1])])
    data = rows(tmp_path, word=["yes", "no", "no"], label=["yes", "no", "yes"])
    async with running(folder) as server:
        address = f"http://127.0.0.1:{server.port}/{protocol}/models/m"
        opened = await asyncio.to_thread(open_endpoint, address, data, TestOptions())
        found = await asyncio.to_thread(evaluate, opened, data, TestOptions())
    assert found.metrics["accuracy"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_what_is_missing_is_sent_as_such(tmp_path, protocol):
    nodes = [
        helper.make_node("IsNaN", ["x"], ["missing"]),
        helper.make_node("Cast", ["missing"], ["y"], to=TensorProto.INT64),
    ]
    folder = model(tmp_path / "m", nodes, [("x", FLOAT, [None, 1])], [("y", TensorProto.INT64, [None, 1])])
    data = rows(tmp_path, x=pa.array([1.0, None, 3.0]), label=[0, 1, 0])
    async with running(folder) as server:
        address = f"http://127.0.0.1:{server.port}/{protocol}/models/m"
        opened = await asyncio.to_thread(open_endpoint, address, data, TestOptions())
        found = await asyncio.to_thread(evaluate, opened, data, TestOptions())
    assert found.metrics["accuracy"] == 1.0


@contextmanager
def answering(answers):
    """A server with a canned (status, body) for each path; everything it is sent is kept."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            seen.append((self.path, self.headers.get("Authorization"), body))
            status, answer = answers[self.path]
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_POST = do_GET

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        server.server_close()


def document(value):
    return 200, json.dumps(value).encode()


SILENT = document({"name": "m", "inputs": [], "outputs": []})
KNOWN = {"name": "x", "datatype": "FP64", "shape": [-1, 1]}
NONSENSE = {
    "no JSON": ({"": (200, b"<html>hello")}, "answers what is not JSON: <html>hello"),
    "no object": ({"": document([1])}, "answers nonsense: its metadata is no object"),
    "a strange type": (
        {"": document({"inputs": [{**KNOWN, "datatype": "FP8"}]})},
        "answers nonsense: its metadata holds KeyError('FP8')",
    ),
    "no such model": (
        {"": (404, b'{"error": "Model with name m does not exist."}')},
        "answers 404: Model with name m",
    ),
    "a gateway's page": ({"": (503, b"no healthy upstream\nreally")}, "answers 503: no healthy upstream"),
    "no outputs": ({"": SILENT, "/infer": document({})}, "answers nonsense: there are no outputs"),
    "another shape": (
        {"": SILENT, "/infer": document({"outputs": [{**KNOWN, "shape": [3, 1], "data": [1.0]}]})},
        "answers nonsense: an output holds ValueError",
    ),
    "text for numbers": (
        {"": SILENT, "/infer": document({"outputs": [{**KNOWN, "shape": [1, 1], "data": ["one"]}]})},
        "answers nonsense: an output holds ValueError",
    ),
    "refused": (
        {"": SILENT, "/infer": (400, b'{"error": "expected 4 features"}')},
        "answers 400: expected 4 features",
    ),
}


@pytest.mark.parametrize("case", NONSENSE)
def test_nonsense_ends_the_test_in_one_line(tmp_path, case):
    answers, says = NONSENSE[case]
    data = rows(tmp_path, x=[1.0, 2.0], label=[0, 1])
    at = "/serving/v2/models/m"
    served = answering({at + path: answer for path, answer in answers.items()})
    with served as (server, _), pytest.raises(InputError) as refusal:
        open_endpoint(server + at, data, TestOptions())
    assert str(refusal.value).startswith(f"{server}{at} {says}")
    assert "\n" not in str(refusal.value)


V1_NONSENSE = {
    "too few": ([], "0 predictions for 1 instances"),
    "none": (None, "no predictions for 1 instances"),
    "objects within": ([[{"a": 1}]], "predictions holds neither numbers nor text"),
    "ragged": ([[[1, 2], [3]]], "predictions has rows of several shapes"),
}


@pytest.mark.parametrize("case", V1_NONSENSE)
def test_nonsense_of_the_older_protocol_does_so_too(tmp_path, case):
    predictions, says = V1_NONSENSE[case]
    data = rows(tmp_path, x=[1.0, 2.0], label=[0, 1])
    served = answering({"/v1/models/m:predict": document({"predictions": predictions})})
    with served as (server, _), pytest.raises(InputError, match=f"answers nonsense: {says}"):
        open_endpoint(f"{server}/v1/models/m", data, TestOptions())


def test_predictions_that_are_objects_are_outputs_by_name_and_the_token_is_sent(tmp_path, monkeypatch):
    monkeypatch.setenv(TOKEN, "secret")
    data = rows(tmp_path, x=[1.0], y=[2.0], label=["no"])
    answer = document({"predictions": [{"label": "no", "scores": [0.9, 0.1]}]})
    with answering({"/v1/models/m:predict": answer}) as (server, seen):
        opened = open_endpoint(f"{server}/v1/models/m", data, TestOptions(classes=["no", "yes"]))
        assert [spec.name for spec in opened.signature.outputs] == ["label", "scores"]
        assert evaluate(opened, data, TestOptions(classes=["no", "yes"])).metrics["accuracy"] == 1.0
    assert {authorization for _, authorization, _ in seen} == {"Bearer secret"}
    assert json.loads(seen[0][2]) == {"instances": [[1.0, 2.0]]}


@pytest.mark.parametrize("uri", ["hf://org/model:main", "pvc://models/m", "oci://registry/m", "models:/m/1"])
def test_files_that_a_run_cannot_read_are_known_by_the_digest_that_is_expected(uri, tmp_path):
    assert facts_of_served(fetch_served(uri, tmp_path), "sha256:" + "1" * 64) == {
        "digest": "sha256:" + "1" * 64
    }
    assert facts_of_served(fetch_served(uri, tmp_path)) == {"digest": ""}


def test_files_that_a_run_can_read_are_looked_at(tmp_path):
    (tmp_path / "model.joblib").write_bytes(b"x" * 1000)
    (tmp_path / "copy").mkdir()
    facts = facts_of_served(fetch_served((tmp_path / "model.joblib").as_uri(), tmp_path / "copy"))
    assert facts["modelSizeMB"] == 0.001
    with pytest.raises(InputError, match="does not match"):
        fetch_served((tmp_path / "model.joblib").as_uri(), tmp_path / "copy", "sha256:" + "1" * 64)


def test_nobody_there_is_said(tmp_path):
    with answering({}) as (server, _):
        pass
    with pytest.raises(InputError, match="/v2/models/m does not answer: "):
        open_endpoint(f"{server}/v2/models/m", rows(tmp_path, x=[1.0], label=[0]), TestOptions())


@pytest.mark.parametrize(
    ("address", "base"),
    [
        ("http://h/v2/models/m", "http://h/v2/models/m"),
        (
            "https://h:8443/serving/ns/v2/models/m/versions/3",
            "https://h:8443/serving/ns/v2/models/m/versions/3",
        ),
        ("http://h/v2/models/m/infer", "http://h/v2/models/m"),
        ("http://[::1]:80/v1/models/m:predict", "http://[::1]:80/v1/models/m"),
    ],
)
def test_addresses_of_models(address, base):
    assert check_address(address) == base


@pytest.mark.parametrize(
    "address",
    [
        *("", "h/v2/models/m", "ftp://h/v2/models/m", "http:///v2/models/m", "http://h/v3/models/m"),
        *("http://h/v2/models/", "http://h/v2/models/m?x=1/v2/models/m/x", "http://u:p@h/v2/models/m"),
        *("http://h/v2/models/m/../../admin", "http://h/v2/models/a b", "file:///v2/models/m"),
    ],
)
def test_what_is_no_address_of_a_model_is_refused(address):
    with pytest.raises(InputError, match=r"endpoint .* is not allowed: write http"):
        check_address(address)


@pytest.mark.parametrize(
    ("rows", "given"),
    [
        ([{"a": [0.5, None], "b": None}], {"a": [[0.5, np.nan]], "b": [np.nan]}),
        ([[None, 1], [2, 3]], {"predictions": [[np.nan, 1.0], [2.0, 3.0]]}),
        ([], {"predictions": []}),
    ],
    ids=["in lists by name", "in lists", "of no rows"],
)
def test_null_is_nan_at_any_depth_and_nothing_is_an_answer(monkeypatch, rows, given):
    endpoint = _Version1("http://host/v1/models/m")
    monkeypatch.setattr(endpoint, "_fetch", lambda *_: {"predictions": rows})
    found = endpoint.ask({"x": np.zeros((len(rows), 1))}, ())
    assert found.keys() == given.keys()
    for name, expected in given.items():
        np.testing.assert_array_equal(found[name], np.array(expected))


def test_what_is_neither_numbers_nor_text_is_nonsense(monkeypatch):
    endpoint = _Version1("http://host/v1/models/m")
    monkeypatch.setattr(endpoint, "_fetch", lambda *_: {"predictions": [["a", None]]})
    with pytest.raises(InputError, match="predictions holds neither numbers nor text"):
        endpoint.ask({"x": np.zeros((1, 1))}, ())
