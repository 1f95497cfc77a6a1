"""The inference service: whatever the door, a request is guarded, timed and told of in the same way."""

from __future__ import annotations

import asyncio
import gc
import logging
import math
from contextlib import asynccontextmanager
from time import time

import grpc
import numpy as np
import pytest
from mooring_inference.backends.base import LoadOptions
from mooring_inference.backends.onnx.backend import OnnxBackend
from mooring_inference.errors import RequestError
from mooring_inference.grpc_front.front import GrpcFront
from mooring_inference.grpc_front.infer_call import seconds_to_wait
from mooring_inference.grpc_front.schema import message
from mooring_inference.grpc_front.server import GrpcServer
from mooring_inference.guards import parse_guards
from mooring_inference.inference import Inference
from mooring_inference.models.batching.call import Call
from mooring_inference.rest.http_server.exchange import Exchange
from mooring_inference.rest.inference import InferenceExchange

from tests.unit.inference.grpc_front.test_grpc_front import unary
from tests.unit.inference.inference_process import save_negation
from tests.unit.inference.model_server import serving

DOORS = ("v1", "v2", "grpc")
PARTS_OF_A_REQUEST = (Call, Exchange, Inference, InferenceExchange)
CLIPS = {"inputs": {"x": {"all": {"max": 10, "range": "clip"}}}}
REJECTS = {"inputs": {"x": {"all": {"max": 10, "range": "reject"}}}}


class Notified:
    """An observer that keeps what it is notified of."""

    def __init__(self):
        self.inferences = []

    def answered(self, inference):
        self.inferences.append(inference)


class Failing:
    def answered(self, inference):
        raise ValueError("not today")


@pytest.fixture
def backend(tmp_path):
    return OnnxBackend(save_negation(tmp_path / "model") / "model.onnx", LoadOptions(threads=1))


@asynccontextmanager
async def doors(backend, guards=None, **options):
    """(ask(door, rows, outputs) -> HTTP or gRPC status, server); ``ask.told`` has the headers of the answer."""
    async with serving({"m": {"1": backend}}, **options) as (server, client):
        if guards is not None:
            server.repository.find("m").guards = parse_guards(guards, backend.signature)
        front = GrpcFront(server.service, asyncio.get_running_loop(), name="n", version="0")
        made = GrpcServer(front, max_message_bytes=100_000)
        address = f"127.0.0.1:{made.start('127.0.0.1:0')}"

        async def over_grpc(rows, outputs):
            request = message("ModelInferRequest")(model_name="m", id="a-1")
            tensor = request.inputs.add(name="x", datatype="FP32", shape=[len(rows), len(rows[0])])
            tensor.contents.fp32_contents.extend(np.ravel(rows))
            for output in outputs:
                wanted = request.outputs.add(name=output["name"])
                wanted.parameters["classification"].int64_param = output["parameters"]["classification"]
            try:
                await unary(channel, "ModelInfer")(request)
            except grpc.aio.AioRpcError as error:
                ask.told = dict(error.trailing_metadata())
                return error.code().name
            return 200

        async def ask(door, rows, outputs=()):
            if door == "grpc":
                return await over_grpc(rows, outputs)
            tensor = {"name": "x", "datatype": "FP32", "shape": [len(rows), len(rows[0])], "data": rows}
            path, body = {
                "v1": ("/v1/models/m:predict", {"instances": rows}),
                "v2": ("/v2/models/m/infer", {"id": "a-1", "inputs": [tensor], "outputs": list(outputs)}),
            }[door]
            answer = await client.post(path, json=body, headers={"x-request-id": "a-1"})
            ask.told = answer.headers
            return answer.status_code

        try:
            async with grpc.aio.insecure_channel(address) as channel:
                yield ask, server
        finally:
            await made.stop(1)


@pytest.mark.parametrize("door", DOORS)
async def test_observers_see_what_the_model_got_and_gave(backend, door):
    seen = Notified()
    async with doors(backend, CLIPS, observers=[Failing(), seen]) as (ask, server):
        assert await ask(door, [[1, 50], [2, 3]]) == 200
        (inference,) = seen.inferences
        assert (inference.protocol, inference.request_id, inference.status) == (door, "a-1", 200)
        assert inference.model.name == "m"
        np.testing.assert_array_equal(inference.inputs["x"], [[1, 10], [2, 3]])
        ((spec, array),) = inference.outputs
        assert spec.name == "y"
        np.testing.assert_array_equal(array, [[-1, -10], [-2, -3]])
        assert inference.call.batch_rows == 2
        assert inference.seconds > 0
        assert server.repository.find("m").series.in_flight == 0


@pytest.mark.parametrize("door", DOORS)
async def test_an_answered_request_is_freed_without_the_garbage_collector(backend, door):
    async with doors(backend) as (ask, _):
        assert await ask(door, [[1, 2]]) == 200
        gc.collect()
        gc.disable()
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            assert await ask(door, [[1, 2]]) == 200
            # The collector keeps what only it would have freed.
            gc.collect()
            left = [type(kept).__name__ for kept in gc.garbage if isinstance(kept, PARTS_OF_A_REQUEST)]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()
        assert left == []


@pytest.mark.parametrize(("door", "status"), [("v1", 400), ("v2", 400), ("grpc", "INVALID_ARGUMENT")])
async def test_what_guards_refuse_reaches_no_model_and_no_capture(backend, door, status):
    seen = Notified()
    async with doors(backend, REJECTS, observers=[seen]) as (ask, server):
        assert await ask(door, [[1, 50]]) == status
        (inference,) = seen.inferences
        assert (inference.status, dict(inference.inputs), inference.outputs) == (400, {}, None)
        assert inference.call is None
        assert server.repository.find("m").series.in_flight == 0


@pytest.mark.parametrize(("door", "status"), [("v2", 500), ("grpc", "INTERNAL")])
async def test_an_answer_that_cannot_be_encoded_is_not_one(backend, door, status, caplog, monkeypatch):
    seen = Notified()

    def fail(*_):
        raise ValueError("a fault of ours")

    monkeypatch.setattr("mooring_inference.protocols.v2.classify", fail)
    monkeypatch.setattr("mooring_inference.grpc_front.codec.classify", fail)
    async with doors(backend, observers=[seen]) as (ask, _):
        with caplog.at_level(logging.ERROR, "mooring_inference.inference"):
            outputs = [{"name": "y", "parameters": {"classification": 1}}]
            assert await ask(door, [[1, 2]], outputs) == status
        (inference,) = seen.inferences
        assert (inference.status, inference.outputs) == (500, None)
        assert [record.fields for record in caplog.records] == [{"request_id": "a-1", "model": "m"}]


@pytest.mark.parametrize("door", ["v2", "grpc"])
async def test_errors_that_are_not_the_caller_s_name_the_request(backend, door, monkeypatch):
    def refuse(*_, **__):
        raise RequestError("no room", status=503)

    monkeypatch.setattr(Inference, "submit", refuse)
    async with doors(backend) as (ask, _):
        assert await ask(door, [[1, 2]]) in (503, "UNAVAILABLE")
        assert ask.told["x-request-id"] == "a-1"


@pytest.mark.parametrize(
    ("limit", "wanted", "seconds"),
    [(None, None, None), (60.0, None, 60.0), (60.0, 5.0, 5.0), (5.0, 60.0, 5.0), (None, 5.0, 5.0)],
)
async def test_the_nearest_deadline_holds(backend, limit, wanted, seconds):
    deadlines = []

    class Batcher:
        def submit(self, call):
            deadlines.append(call.deadline)

    async with serving({"m": {"1": backend}}, timeout=limit) as (server, _):
        inference = server.service.begin(
            "m", None, protocol="grpc", started=1000.0, request_id=None, headers={}
        )
        inference.model = type("Model", (), {"batcher": Batcher(), "guards": None})()
        inference.submit(
            {"x": np.zeros((1, 2), np.float32)},
            ("y",),
            lambda _: None,
            timeout=wanted,
            reserve=lambda _: None,
        )
    assert deadlines == [None if seconds is None else 1000 + seconds]


@pytest.mark.parametrize(
    ("wanted", "left", "seconds"), [(None, 5.0, 5.0), (5.0, 90.0, 5.0), (30.0, 5.0, 5.0), (5.0, -1.0, 0.0)]
)
def test_a_caller_over_grpc_waits_until_its_deadline_or_less(wanted, left, seconds):
    assert seconds_to_wait(wanted, time() + left) == pytest.approx(seconds, abs=0.5)


@pytest.mark.parametrize("wanted", [None, 5.0])
def test_a_caller_over_grpc_without_a_deadline_waits_as_long_as_it_says(wanted):
    assert seconds_to_wait(wanted, math.inf) == wanted


async def test_requests_without_an_id_get_one_that_no_other_has(backend):
    async with serving({"m": {"1": backend}}) as (server, _):

        def begin(request_id):
            found = server.service.begin(
                "m", "1", protocol="v2", started=0.0, request_id=request_id, headers={}
            )
            assert isinstance(found, Inference)
            return found.request_id

        assert begin("mine") == "mine"
        made = {begin(given) for given in (None, "", None)}
        assert len(made) == 3
        assert all(made)
