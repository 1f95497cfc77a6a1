"""The REST protocols over a real ONNX model and a real socket."""

from __future__ import annotations

import asyncio
import json
import threading
from time import perf_counter

import numpy as np
import pytest
from mooring_inference.backends.base import LoadOptions
from mooring_inference.backends.cores import cgroup_limit, usable_cores
from mooring_inference.backends.formats import find_model
from mooring_inference.backends.loading import load_model
from mooring_inference.backends.onnx.backend import OnnxBackend
from mooring_inference.errors import ModelLoadError
from mooring_inference.models.batching.queue import BatchLimits
from mooring_inference.rest.http_server.connection import HttpLimits
from onnx import TensorProto, helper, save

from tests.unit.inference.model_server import serving

INFER = "/v2/models/m/infer"
BODY = {"id": "a1", "inputs": [{"name": "x", "datatype": "FP32", "shape": [2, 2], "data": [1, 2, 3, 4]}]}


def save_model(path, *, factor=2.0):
    """y = x * factor on [n, 2], and greater = x > 2."""
    nodes = [
        helper.make_node("Mul", ["x", "factor"], ["y"]),
        helper.make_node("Greater", ["x", "two"], ["greater"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])],
        [
            helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2]),
            helper.make_tensor_value_info("greater", TensorProto.BOOL, ["n", 2]),
        ],
        [
            helper.make_tensor("factor", TensorProto.FLOAT, [1], [factor]),
            helper.make_tensor("two", TensorProto.FLOAT, [1], [2.0]),
        ],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    save_model(path)
    return OnnxBackend(path, LoadOptions())


@pytest.fixture
async def running(engine):
    async with serving({"m": {"r7": Lent(engine)}}, limits=HttpLimits(max_body_bytes=2000)) as both:
        yield both


@pytest.fixture
def server(running):
    return running[0]


@pytest.fixture
def client(running):
    return running[1]


class Lent:
    """A backend that stays open for the next test."""

    def __init__(self, backend):
        self.signature, self.platform, self.device = backend.signature, "onnx_onnxv1", "cpu"
        self.predict = backend.predict

    def close(self):
        pass


async def test_v2_infer(client):
    response = await client.post(INFER, json=BODY)
    assert response.status_code == 200
    assert response.headers["x-mooring-revision"] == "r7"
    assert response.headers["x-request-id"] == "a1"
    assert response.json() == {
        "model_name": "m",
        "model_version": "r7",
        "id": "a1",
        "outputs": [
            {"name": "y", "datatype": "FP32", "shape": [2, 2], "data": [2.0, 4.0, 6.0, 8.0]},
            {"name": "greater", "datatype": "BOOL", "shape": [2, 2], "data": [False, False, True, True]},
        ],
    }


async def test_only_the_outputs_asked_for_come_back(client):
    body = BODY | {"outputs": [{"name": "greater"}]}
    assert [o["name"] for o in (await client.post(INFER, json=body)).json()["outputs"]] == ["greater"]


async def test_an_id_is_made_where_the_caller_gave_none(client):
    made = [(await client.post(INFER, json={"inputs": BODY["inputs"]})).json()["id"] for _ in range(2)]
    assert all(made)
    assert made[0] != made[1]


async def test_the_id_may_come_in_the_header(client):
    response = await client.post(INFER, json={"inputs": BODY["inputs"]}, headers={"x-request-id": "h1"})
    assert (response.json()["id"], response.headers["x-request-id"]) == ("h1", "h1")


async def test_an_id_that_is_not_safe_in_a_header_stays_in_the_body(client):
    response = await client.post(INFER, json=BODY | {"id": "a\r\nset-cookie: b"})
    assert response.json()["id"] == "a\r\nset-cookie: b"
    assert "x-request-id" not in response.headers


async def test_v1_predict(client):
    response = await client.post("/v1/models/m:predict", json={"instances": [[1, 2], [3, 4]]})
    assert response.json() == {
        "predictions": [
            {"y": [2.0, 4.0], "greater": [False, False]},
            {"y": [6.0, 8.0], "greater": [True, True]},
        ]
    }


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (
            "/v2",
            {
                "name": "mooring-inference",
                "version": "0",
                "extensions": ["binary_tensor_data", "classification", "model_repository"],
            },
        ),
        ("/", {"status": "alive"}),
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready", {"ready": True}),
        ("/v2/models/m/ready", {"name": "m", "ready": True}),
        ("/v2/models/m/versions/r7/ready", {"name": "m", "ready": True}),
        ("/v1/models", {"models": ["m"]}),
        ("/v1/models/m", {"name": "m", "ready": True}),
    ],
)
async def test_documents(client, path, expected):
    response = await client.get(path)
    assert (response.status_code, response.json()) == (200, expected)


async def test_metadata_is_the_same_with_and_without_the_version(client):
    plain, versioned = (
        (await client.get("/v2/models/m")).json(),
        (await client.get("/v2/models/m/versions/r7")).json(),
    )
    assert plain == versioned
    assert plain["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}]
    assert plain["versions"] == ["r7"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v2/models/other/infer", 404),
        ("POST", "/v2/models/m/versions/r6/infer", 404),
        ("POST", "/v1/models/other:predict", 404),
        ("GET", "/v2/models/other", 404),
        ("GET", "/v1", 404),
        ("POST", "/", 405),
        ("GET", INFER, 405),
        ("POST", "/v2/models/m", 405),
    ],
)
async def test_what_is_not_served(client, method, path, status):
    response = await client.request(method, path)
    assert response.status_code == status
    assert response.json()["error"]


async def test_a_bad_request_says_what_was_expected(client):
    response = await client.post(INFER, json={"inputs": [BODY["inputs"][0] | {"shape": [2, 3]}]})
    assert response.status_code == 400
    assert response.json() == {
        "error": "inputs[0].shape: expected [-1, 2], got [2, 3]",
        "field": "inputs[0].shape",
        "expected": [-1, 2],
        "got": [2, 3],
    }


async def test_a_body_over_the_limit_is_413(client):
    response = await client.post(INFER, content=b"x" * 2001)
    assert (response.status_code, response.json()["expected"], response.json()["got"]) == (413, 2000, 2001)


async def test_a_streamed_body_over_the_limit_is_413(client):
    async def chunks():
        for _ in range(3):
            yield b"x" * 1000

    assert (await client.post(INFER, content=chunks())).status_code == 413


async def test_the_binary_extension(client):
    array = np.array([[1, 2], [3, 4]], np.float32)
    head = json.dumps(
        {
            "inputs": [
                {"name": "x", "datatype": "FP32", "shape": [2, 2], "parameters": {"binary_data_size": 16}}
            ],
            "outputs": [{"name": "greater", "parameters": {"binary_data": True}}, {"name": "y"}],
        }
    ).encode()
    headers = {"inference-header-content-length": str(len(head))}
    response = await client.post(INFER, content=head + array.tobytes(), headers=headers)
    length = int(response.headers["inference-header-content-length"])
    greater, y = json.loads(response.content[:length])["outputs"]
    assert (greater["parameters"], "data" in greater) == ({"binary_data_size": 4}, False)
    assert np.frombuffer(response.content[length:], bool).tolist() == [False, False, True, True]
    assert y["data"] == [2, 4, 6, 8]
    assert response.headers["content-type"] == "application/octet-stream"


@pytest.mark.parametrize(
    ("change", "length", "field"),
    [
        ({}, "x", "inference-header-content-length"),
        ({}, "100000", "inference-header-content-length"),
        ({"binary_data_size": 17}, None, "inputs[0].parameters.binary_data_size"),
        ({"binary_data_size": 12}, None, "inputs[0].data"),
        ({"binary_data_size": -1}, None, "inputs[0].parameters.binary_data_size"),
        ({"binary_data_size": "16"}, None, "inputs[0].parameters.binary_data_size"),
        ({}, None, "inputs[0].data"),
    ],
)
async def test_malformed_binary_requests_say_what_is_wrong(client, change, length, field):
    entry = {"name": "x", "datatype": "FP32", "shape": [2, 2], "parameters": change}
    head = json.dumps({"inputs": [entry]}).encode()
    headers = {"inference-header-content-length": length or str(len(head))}
    response = await client.post(INFER, content=head + bytes(16), headers=headers)
    assert (response.status_code, response.json()["field"]) == (400, field)


async def test_the_classification_extension(client):
    outputs = [{"name": "y", "parameters": {"classification": 1}}]
    (output,) = (await client.post(INFER, json=BODY | {"outputs": outputs})).json()["outputs"]
    assert output == {
        "name": "y",
        "datatype": "BYTES",
        "shape": [2, 1],
        "data": ["4.000000:1", "8.000000:1"],
    }


async def test_503_while_the_model_is_loaded(engine):
    async with serving({"m": {"r7": Lent(engine)}}, start=False) as (_, client):
        assert (await client.post(INFER, json=BODY)).status_code == 503
        assert (await client.get("/v2/health/ready")).status_code == 503
        assert (await client.get("/v2/models/m/ready")).status_code == 503
        assert (await client.get("/v2/health/live")).status_code == 200


async def test_a_draining_server_is_not_ready_but_answers_and_closes(server, client):
    server.repository.is_draining = server.http.is_draining = True
    assert (await client.get("/v2/health/ready")).status_code == 503
    response = await client.post(INFER, json=BODY)
    assert (response.status_code, response.headers["connection"]) == (200, "close")


class Broken(Lent):
    def __init__(self, backend):
        super().__init__(backend)
        self.predict = self._predict

    def _predict(self, inputs, outputs):
        raise RuntimeError("secret path")


async def test_a_failing_model_is_500_without_internals(engine):
    async with serving({"m": {"r7": Broken(engine)}}) as (_, client):
        response = await client.post(INFER, json=BODY)
    assert (response.status_code, response.json()) == (
        500,
        {"error": "internal error", "id": response.json()["id"]},
    )


class Slow(Lent):
    """Waits where a row holds a 9."""

    def __init__(self, backend):
        super().__init__(backend)
        self.started, self.release = threading.Event(), threading.Event()
        self._fast, self.predict = self.predict, self._predict

    def _predict(self, inputs, outputs):
        if (inputs["x"] == 9).any():
            self.started.set()
            assert self.release.wait(20)
        return self._fast(inputs, outputs)


NINE = {"inputs": [BODY["inputs"][0] | {"data": [9, 9, 9, 9]}]}


async def test_probes_are_answered_while_the_model_computes(engine):
    slow = Slow(engine)
    async with serving({"m": {"r7": slow}}) as (server, client):
        server.repository.find("m").batcher._average_seconds = 1.0
        inference = asyncio.create_task(client.post(INFER, json=NINE))
        assert await asyncio.to_thread(slow.started.wait, 20)
        assert (await client.get("/v2/health/ready")).status_code == 200
        metrics = (await client.get("/metrics")).text
        assert 'mooring_inference_requests_in_flight{model="m",revision="r7"} 1.0' in metrics
        slow.release.set()
        assert (await inference).status_code == 200


async def test_a_full_queue_is_429_and_a_passed_deadline_504(engine):
    slow = Slow(engine)
    batching = BatchLimits(max_batch_rows=2, max_queue_rows=2)
    async with serving({"m": {"r7": slow}}, batching=batching, timeout=300) as (server, client):
        server.repository.find("m").batcher._average_seconds = 1.0
        running = asyncio.create_task(client.post(INFER, json=NINE))
        assert await asyncio.to_thread(slow.started.wait, 20)
        waiting = asyncio.create_task(client.post(INFER, json=BODY))
        while not server.repository.find("m").batcher.queued_rows:
            await asyncio.sleep(0.01)
        refused = await client.post(INFER, json=BODY)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        server.repository.expire(perf_counter() + 600)
        assert [(await r).status_code for r in (running, waiting)] == [504, 504]
        slow.release.set()
        assert (await client.post(INFER, json=BODY)).status_code == 200


async def test_a_caller_may_set_a_shorter_deadline(engine):
    slow = Slow(engine)
    async with serving({"m": {"r7": slow}}) as (server, client):
        server.repository.find("m").batcher._average_seconds = 1.0
        running = asyncio.create_task(
            client.post(INFER, json=NINE | {"parameters": {"timeout": 200_000_000}})
        )
        assert await asyncio.to_thread(slow.started.wait, 20)
        server.repository.expire(perf_counter() + 100)
        server.repository.expire(perf_counter() + 300)
        assert (await running).status_code == 504
        slow.release.set()


async def test_a_caller_that_goes_away_is_counted_and_not_run(engine):
    slow = Slow(engine)
    async with serving({"m": {"r7": slow}}) as (server, client):
        batcher = server.repository.find("m").batcher
        batcher._average_seconds = 1.0
        running = asyncio.create_task(client.post(INFER, json=NINE))
        assert await asyncio.to_thread(slow.started.wait, 20)
        waiting = asyncio.create_task(client.post(INFER, json=BODY))
        while not batcher.queued_rows:
            await asyncio.sleep(0.01)
        waiting.cancel()
        while 'code="499"' not in (await client.get("/metrics")).text:
            await asyncio.sleep(0.01)
        slow.release.set()
        assert (await running).status_code == 200
        assert server.repository.find("m").series.in_flight == 0


async def test_metrics_carry_the_revision(client):
    await client.post(INFER, json=BODY)
    await client.post(INFER, content=b"")
    await client.post("/v1/models/m:predict", json={"instances": [[1, 2]]})
    text = (await client.get("/metrics")).text
    identity = 'model="m",protocol="v2",revision="r7"'
    assert f'mooring_inference_requests_total{{code="200",{identity}}} 1.0' in text
    assert f'mooring_inference_requests_total{{code="400",{identity}}} 1.0' in text
    assert f"mooring_inference_request_duration_seconds_count{{{identity}}} 2.0" in text
    assert 'mooring_inference_model_load_seconds{model="m",revision="r7"}' in text
    assert 'mooring_inference_batch_rows_count{model="m",revision="r7"} 2.0' in text
    stages = 'mooring_inference_stage_duration_seconds_count{model="m",revision="r7",stage='
    assert f'{stages}"queue"}} 2.0' in text
    assert f'{stages}"compute"}} 2.0' in text


def test_a_folder_must_hold_exactly_one_model(tmp_path):
    with pytest.raises(ModelLoadError, match="no model in"):
        find_model(tmp_path)
    (tmp_path / "a.onnx").touch()
    assert find_model(tmp_path) == find_model(tmp_path / "a.onnx")
    (tmp_path / "b.onnx").touch()
    with pytest.raises(ModelLoadError, match=r"expected one: a\.onnx, b\.onnx"):
        find_model(tmp_path)
    with pytest.raises(ModelLoadError, match="does not exist"):
        find_model(tmp_path / "nowhere")


def test_a_file_that_is_not_a_model_is_one_line(tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"not a model")
    with pytest.raises(ModelLoadError, match=r"a\.onnx is not a usable ONNX model") as caught:
        load_model(tmp_path, LoadOptions())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("operator", "opset", "ir", "said"),
    [
        ("Abs", 99, 9, "ONNX Runtime only \\*guarantees\\* support .* Opset 99 is under development"),
        ("Abs", 17, 99, "Unsupported model IR version: 99, max supported IR version: "),
        ("Frobnicate", 17, 9, "This is an invalid model.*No Op registered for Frobnicate"),
    ],
)
def test_why_a_model_does_not_load_is_said_without_paths_and_functions(tmp_path, operator, opset, ir, said):
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 2]) for name in "xy")
    graph = helper.make_graph([helper.make_node(operator, ["x"], ["y"])], "g", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir)
    save(model, tmp_path / "a.onnx")
    with pytest.raises(ModelLoadError, match=rf"^a\.onnx is not a usable ONNX model: {said}"):
        load_model(tmp_path, LoadOptions())


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "50000", "cpu/cpu.cfs_period_us": "100000"}, 0.5),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ({}, None),
    ],
)
def test_the_cpu_limit_comes_from_the_cgroup(tmp_path, files, limit):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert cgroup_limit(tmp_path) == limit
    if limit is not None:
        assert usable_cores(tmp_path) == 1
