"""What callers over gRPC may take of a server: threads, memory, connections."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from time import perf_counter

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from mooring_inference.access.memory_budget import MemoryBudget
from mooring_inference.grpc_front.schema import message
from mooring_inference.models.batching.queue import BatchLimits

from tests.unit.inference.grpc_front.test_grpc_front import infer_request, unary
from tests.unit.inference.grpc_front.test_grpc_server import LONG, health, refused, world
from tests.unit.inference.inference_process import save_negation
from tests.unit.inference.rest.http_server.http_world import until

MIB = 1 << 20
INFER = "/inference.GRPCInferenceService/ModelInfer"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_negation(tmp_path_factory.mktemp("model")) / "model.onnx"


def rows(count):
    request = message("ModelInferRequest")(model_name="m")
    request.inputs.add(name="x", datatype="FP32", shape=[count, 2])
    request.raw_input_contents.append(np.zeros((count, 2), np.float32).tobytes())
    return request


@asynccontextmanager
async def sweeping(grpc_server):
    async def sweep():
        while True:
            await asyncio.sleep(0.25)
            grpc_server.sweep()

    task = asyncio.create_task(sweep())
    try:
        yield
    finally:
        task.cancel()


@asynccontextmanager
async def silent(address, method, count):
    """Calls that have begun and whose message does not come, on connections of their own."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    channels = [grpc.aio.insecure_channel(address, options=options) for _ in range(4)]
    calls = [channels[i % 4].stream_unary(method)(timeout=LONG) for i in range(count)]
    await asyncio.gather(*(channel.channel_ready() for channel in channels))
    try:
        yield calls
    finally:
        for call in calls:
            call.cancel()
        await asyncio.gather(*(channel.close() for channel in channels))


async def test_calls_whose_message_does_not_come_do_not_keep_others_from_an_answer(model):
    async with world(model) as w, sweeping(w.grpc), silent(w.address, INFER, 100) as calls:
        await until(lambda: w.grpc._inferences.in_flight == 100)
        started = perf_counter()
        await w.infer(infer_request(), timeout=LONG)
        assert perf_counter() - started < 20
        for call in calls[:16]:
            # Unavailable where its connection was renewed meanwhile.
            assert await call.code() in (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE)


async def test_calls_whose_message_does_not_come_make_room_before_others_are_turned_away(model):
    async with world(model, max_inferences=8) as w, silent(w.address, INFER, 8) as calls:
        await until(lambda: w.grpc._inferences.in_flight == 8)
        error = await refused(w.infer(infer_request(), timeout=LONG))
        assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        started = perf_counter()
        async with sweeping(w.grpc):
            await until(lambda: w.grpc._inferences.in_flight == 0)
        # Where nobody needs the room they have ten seconds.
        assert perf_counter() - started < 8
        assert (await w.infer(infer_request(), timeout=LONG)).outputs
        assert await calls[0].code() in (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE)


@pytest.mark.parametrize(
    "method",
    [
        "/grpc.health.v1.Health/Check",
        "/grpc.health.v1.Health/Watch",
        "/inference.GRPCInferenceService/ModelReady",
        "/inference.GRPCInferenceService/ModelMetadata",
        "/inference.GRPCInferenceService/ServerLive",
    ],
)
async def test_probes_whose_message_does_not_come_do_not_keep_others_from_an_answer(model, method):
    async with world(model) as w, sweeping(w.grpc), silent(w.address, method, 60):
        for asked in ("ServerLive", "ServerReady"):
            answer = await unary(w.channel, asked)(message(f"{asked}Request")(), timeout=LONG)
            assert answer is not None
        assert (await health(w.channel)).status == health_pb2.HealthCheckResponse.SERVING
        await w.infer(infer_request(), timeout=LONG)


async def test_a_message_that_is_under_way_may_take_its_time(model):
    async with world(model) as w:
        call = w.channel.stream_unary(INFER)(timeout=LONG)
        await call.wait_for_connection()
        for _ in range(3):
            w.grpc.sweep()
        await call.write(infer_request().SerializeToString())
        assert message("ModelInferResponse").FromString(await call).outputs


async def test_a_call_without_a_message_is_refused(model):
    async with world(model) as w:
        call = w.channel.stream_unary(INFER)(timeout=LONG)
        await call.done_writing()
        assert await call.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert "expected one message" in await call.details()


async def test_messages_beyond_the_budget_are_refused_and_nothing_stays_counted(model):
    budget = MemoryBudget(16 * MIB)
    # The queue has room for all: it is the budget alone that refuses.
    batching = BatchLimits(max_queue_rows=10_000_000)
    async with world(model, budget=budget, max_message_bytes=4 * MIB, batching=batching) as w:
        first = await w.held_call()
        # Each twice, as it is read, and its answer.
        large = [asyncio.ensure_future(w.infer(rows(250_000), timeout=LONG)) for _ in range(6)]
        errors = []
        for call in asyncio.as_completed(large):
            try:
                await call
            except grpc.aio.AioRpcError as error:
                errors.append((error.code(), dict(error.trailing_metadata()).get("retry-after")))
            if len(errors) == 4:
                break
        # Two have room, beside the first; they wait for the queue or in it.
        assert errors == [(grpc.StatusCode.UNAVAILABLE, "1")] * 4
        assert budget.held <= 16 * MIB
        w.backend.free.set()
        assert (await first).outputs
        await asyncio.gather(*large, return_exceptions=True)
        await until(lambda: budget.held == 0)


async def test_who_goes_away_gives_back_what_it_held(model):
    budget = MemoryBudget(16 * MIB)
    async with world(model, budget=budget, max_message_bytes=4 * MIB) as w:
        first = await w.held_call()
        call = w.infer(rows(4000), timeout=LONG)
        await until(lambda: budget.held > 140_000)
        call.cancel()
        await until(lambda: budget.held < 70_000)
        w.backend.free.set()
        assert (await first).outputs
        await until(lambda: budget.held == 0)


async def test_an_answer_that_can_never_have_room_is_refused(model):
    async with world(model, budget=MemoryBudget(2 * MIB), max_message_bytes=MIB) as w:
        error = await refused(w.infer(rows(120_000), timeout=LONG))
        assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "send fewer rows" in error.details()


async def test_there_are_so_many_connections(model):
    async with world(model, max_connections=3) as w:
        await w.infer(infer_request(), timeout=LONG)
        options = [("grpc.use_local_subchannel_pool", 1)]
        channels = [grpc.aio.insecure_channel(w.address, options=options) for _ in range(6)]
        asked = [
            asyncio.ensure_future(unary(channel, "ModelInfer")(infer_request(), timeout=2))
            for channel in channels
        ]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert sum(isinstance(answer, grpc.aio.AioRpcError) for answer in answers) == 4
        await w.infer(infer_request(), timeout=LONG)
        await asyncio.gather(*(channel.close() for channel in channels))


async def test_what_lasts_longer_than_a_call_may_ends_with_its_connection(model):
    async with world(model, max_connection_seconds=0.3, max_call_seconds=0.3) as w:
        watching = health_pb2_grpc.HealthStub(w.channel).Watch(health_pb2.HealthCheckRequest(), timeout=LONG)
        assert (await watching.read()).status == health_pb2.HealthCheckResponse.SERVING
        started = perf_counter()
        assert await watching.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
        assert perf_counter() - started < 20


async def test_ids_are_short(model):
    async with world(model) as w:
        request = infer_request()
        request.id = "i" * 257
        error = await refused(w.infer(request, timeout=LONG))
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert "at most 256 characters, got 257" in error.details()
