"""The gRPC server in this process: threads, deadlines, refusals, drain, TLS."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import threading
from contextlib import asynccontextmanager
from pathlib import Path
from time import sleep

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from mooring_inference.backends.base import LoadOptions
from mooring_inference.backends.onnx.backend import OnnxBackend
from mooring_inference.draining import until_drained
from mooring_inference.grpc_front.front import GrpcFront
from mooring_inference.grpc_front.schema import SERVICE, message
from mooring_inference.grpc_front.server import GrpcServer, read_credentials

from tests.benchmarks.serving.stops.balancer import Balancer
from tests.unit.inference.access.test_tls import CLIENTS, OTHERS, SERVERS, Files
from tests.unit.inference.grpc_front.test_grpc_front import infer_request, unary
from tests.unit.inference.inference_process import save_negation
from tests.unit.inference.model_server import Server

LONG = 60
SERVER_OPTIONS = (
    "max_inferences",
    "max_connection_seconds",
    "max_call_seconds",
    "max_connections",
    "max_message_bytes",
    "budget",
)
# The type of HTTP/2's frame.
GOAWAY = 7
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_negation(tmp_path_factory.mktemp("model")) / "model.onnx"


class Held:
    """An ONNX model whose runs wait until they are let go, or fail."""

    def __init__(self, path):
        self._backend = OnnxBackend(path, LoadOptions())
        self.signature, self.platform, self.device = self._backend.signature, self._backend.platform, "cpu"
        self.entered, self.free, self.failure = threading.Event(), threading.Event(), None
        self.free.set()

    def predict(self, inputs, outputs):
        self.entered.set()
        # So slow that it has a thread of its own.
        sleep(0.002)
        assert self.free.wait(LONG)
        if self.failure is not None:
            raise self.failure
        return self._backend.predict(inputs, outputs)

    def hold(self):
        self.entered.clear()
        self.free.clear()

    def close(self):
        """Nothing: a test may load it again."""


class World:
    def __init__(self, backend, server, grpc_server, channel, address):
        self.backend, self.server, self.grpc, self.channel, self.address = (
            backend,
            server,
            grpc_server,
            channel,
            address,
        )
        self.infer = unary(channel, "ModelInfer")

    async def held_call(self, **options):
        """A call that the model has begun to answer."""
        self.backend.hold()
        call = asyncio.ensure_future(self.infer(infer_request(), timeout=LONG, **options))
        assert await asyncio.to_thread(self.backend.entered.wait, LONG)
        return call

    def metrics(self):
        return self.server.metrics.exposition()[0].decode()

    async def until_metrics_say(self, text):
        async with asyncio.timeout(LONG):
            while text not in self.metrics():
                await asyncio.sleep(0.01)


@asynccontextmanager
async def world(model, *, start=True, credentials=None, **options):
    backend = Held(model)
    server = Server(
        {"m": {"1": backend}},
        timeout=options.pop("request_timeout", None),
        allows_repository_changes=options.pop("allows_repository_changes", False),
        observers=options.pop("observers", ()),
        batching=options.pop("batching", None),
    )
    server_options = {name: options.pop(name) for name in SERVER_OPTIONS if name in options}
    front = GrpcFront(server.service, asyncio.get_running_loop(), name="n", version="0", **options)
    made = GrpcServer(front, **{"max_message_bytes": 100_000, **server_options})
    address = f"127.0.0.1:{made.start('127.0.0.1:0', credentials)}"
    try:
        if start:
            await server.repository.start()
            made.set_ready(True)
        async with grpc.aio.insecure_channel(address) as channel:
            yield World(backend, server, made, channel, address)
    finally:
        backend.free.set()
        await made.stop(LONG)
        await server.repository.close()


async def refused(call):
    with pytest.raises(grpc.aio.AioRpcError) as found:
        await call
    return found.value


def health(channel, service=""):
    return health_pb2_grpc.HealthStub(channel).Check(
        health_pb2.HealthCheckRequest(service=service), timeout=LONG
    )


async def test_the_server_is_not_ready_before_its_models_are(model):
    async with world(model, start=False) as w:
        for service in ("", SERVICE):
            assert (await health(w.channel, service)).status == NOT_SERVING
        assert not (await unary(w.channel, "ServerReady")(message("ServerReadyRequest")())).ready
        assert (await unary(w.channel, "ServerLive")(message("ServerLiveRequest")())).live
        w.grpc.set_ready(True)
        for service in ("", SERVICE):
            assert (await health(w.channel, service)).status == SERVING


async def test_probes_are_answered_while_inferences_wait_for_the_model(model):
    async with world(model) as w:
        calls = [await w.held_call()]
        calls += [asyncio.ensure_future(w.infer(infer_request(), timeout=LONG)) for _ in range(5)]
        await w.until_metrics_say('requests_in_flight{model="m",revision="1"} 6.0')
        assert (await health(w.channel)).status == SERVING
        for method, field in (("ServerLive", "live"), ("ServerReady", "ready")):
            answer = await unary(w.channel, method)(message(f"{method}Request")(), timeout=LONG)
            assert getattr(answer, field)
        ready = await unary(w.channel, "ModelReady")(message("ModelReadyRequest")(name="m"), timeout=LONG)
        assert ready.ready
        assert not any(call.done() for call in calls)
        w.backend.free.set()
        for answer in await asyncio.gather(*calls):
            assert list(answer.outputs[0].contents.fp32_contents) == [-1, -2]


async def test_calls_beyond_those_that_may_wait_are_turned_away_with_a_time_to_come_back(model):
    async with world(model, max_inferences=4) as w:
        first = await w.held_call()
        calls = [asyncio.ensure_future(w.infer(infer_request(), timeout=LONG)) for _ in range(20)]
        turned_away = []
        for call in asyncio.as_completed(calls):
            try:
                await call
            except grpc.aio.AioRpcError as error:
                turned_away.append((error.code(), dict(error.trailing_metadata())["retry-after"]))
                if len(turned_away) == 17:
                    # No more than one beside the first runs, and two wait.
                    w.backend.free.set()
        assert set(turned_away) == {(grpc.StatusCode.RESOURCE_EXHAUSTED, "1")}
        assert 17 <= len(turned_away) < 20
        assert (await first).outputs


async def test_open_reflection_streams_keep_nobody_from_an_answer(model):
    async with world(model) as w:
        streams = [await reflection_stream(w.channel) for _ in range(2)]
        assert (await w.infer(infer_request(), timeout=LONG)).outputs
        for stream in streams:
            stream.cancel()


async def reflection_stream(channel):
    """A stream that has told of the services, and stays open."""
    stream = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo()
    await stream.write(reflection_pb2.ServerReflectionRequest(list_services=""))
    listed = await stream.read()
    assert {SERVICE, "grpc.health.v1.Health"} <= {s.name for s in listed.list_services_response.service}
    return stream


async def test_a_stop_finishes_calls_in_flight_takes_no_more_and_ends_streams(model):
    async with world(model) as w:
        stub = health_pb2_grpc.HealthStub(w.channel)
        watch = stub.Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == SERVING
        reflection = await reflection_stream(w.channel)
        call = await w.held_call()
        stopping = asyncio.ensure_future(w.grpc.stop(10 * LONG))
        assert await watch.code() == grpc.StatusCode.CANCELLED
        assert await reflection.code() == grpc.StatusCode.CANCELLED
        async with grpc.aio.insecure_channel(w.address) as late:
            error = await refused(unary(late, "ModelInfer")(infer_request(), timeout=LONG))
        assert error.code() == grpc.StatusCode.UNAVAILABLE
        assert not call.done()
        assert not stopping.done()
        w.backend.free.set()
        assert list((await call).outputs[0].contents.fp32_contents) == [-1, -2]
        await asyncio.wait_for(stopping, LONG)


async def test_connections_are_renewed_without_the_loss_of_a_call(model):
    async with world(model, max_connection_seconds=0.2) as w:
        is_over = asyncio.Event()

        async def call_on(number):
            count = 0
            while not is_over.is_set():
                answer = await w.infer(infer_request((number, count)), timeout=LONG)
                assert list(answer.outputs[0].contents.fp32_contents) == [-number, -count]
                count += 1
            return count

        callers = [asyncio.ensure_future(call_on(number)) for number in range(8)]
        for _ in range(3):
            await told_to_go(w.address)
        is_over.set()
        assert all(await asyncio.gather(*callers))


async def told_to_go(address):
    """A connection without calls, until it is told that there should be none any more."""
    reader, writer = await asyncio.open_connection(*address.split(":"))
    # The preface of HTTP/2, and empty settings.
    writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0)))
    async with asyncio.timeout(LONG):
        while (head := await reader.readexactly(9))[3] != GOAWAY:
            await reader.readexactly(int.from_bytes(head[:3], "big"))
    writer.close()


async def test_who_calls_late_in_a_drain_is_told_to_leave_before_calls_are_cancelled(model):
    is_ready = True

    async def ready():
        return is_ready

    async with world(model, max_connection_seconds=0.3) as w:
        balancer = Balancer(notice_seconds=0)
        async with (
            balancer.listening(),
            grpc.aio.insecure_channel(f"127.0.0.1:{balancer.port}") as channel,
        ):
            port = int(w.address.rpartition(":")[2])
            following = asyncio.ensure_future(balancer.follow(port, ready))
            await balancer.until_open(port)
            infer = unary(channel, "ModelInfer")
            await infer(infer_request(), timeout=LONG)
            # From here on the load balancer knows no server; the connection stays.
            is_ready = False
            await following
            w.grpc.begin_drain()

            async def call_until_refused():
                while True:
                    await infer(infer_request(), timeout=LONG)

            calling = asyncio.ensure_future(refused(call_until_refused()))
            await infer(infer_request(), timeout=LONG)
            await until_drained(0.3, count_calls=lambda: w.grpc.late_calls, seconds_left=w.grpc.seconds_left)
            await w.grpc.stop(LONG)
            # It was told to connect anew, which is what fails.
            error = await calling
            assert error.code() == grpc.StatusCode.UNAVAILABLE
            assert "failed to connect" in error.details()


async def test_a_watcher_is_told_of_the_drain_before_it_is_let_go(model):
    async with world(model) as w:
        watch = health_pb2_grpc.HealthStub(w.channel).Watch(health_pb2.HealthCheckRequest(service=SERVICE))
        assert (await watch.read()).status == SERVING
        w.grpc.begin_drain()
        assert (await watch.read()).status == NOT_SERVING


async def test_the_caller_s_deadline_ends_its_wait_and_not_that_of_others(model):
    async with world(model) as w:
        first = await w.held_call()
        late = await refused(w.infer(infer_request((3, 4)), timeout=0.5))
        assert late.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        await w.until_metrics_say('requests_total{code="504",model="m",protocol="grpc",revision="1"} 1.0')
        w.backend.free.set()
        assert list((await first).outputs[0].contents.fp32_contents) == [-1, -2]


async def test_a_call_without_a_deadline_waits_for_the_batch_after(model):
    async with world(model) as w:
        first = await w.held_call()
        second = asyncio.ensure_future(w.infer(infer_request((3, 4))))
        await w.until_metrics_say('requests_in_flight{model="m",revision="1"} 2.0')
        w.backend.free.set()
        assert list((await second).outputs[0].contents.fp32_contents) == [-3, -4]
        assert (await first).outputs


async def test_a_failing_model_is_an_internal_error_that_can_be_found_in_the_log(model, caplog):
    async with world(model) as w:
        w.backend.failure = ValueError("secret path /etc/x")
        request = infer_request()
        request.id = "order-7"
        with caplog.at_level(logging.ERROR, "mooring_inference.inference"):
            error = await refused(w.infer(request))
        assert (error.code(), error.details()) == (grpc.StatusCode.INTERNAL, "internal error")
        assert dict(error.trailing_metadata())["x-request-id"] == "order-7"
        assert [r.fields for r in caplog.records] == [{"request_id": "order-7", "model": "m"}]
        assert 'requests_total{code="500",model="m",protocol="grpc",revision="1"} 1.0' in w.metrics()


@pytest.mark.parametrize(
    "request_",
    [
        infer_request(name="é" * 40_000),
        infer_request(model="z" * 90_000),
        infer_request(shape=[1] * 40_000),
    ],
    ids=["name", "model", "shape"],
)
async def test_however_long_the_mistake_is_its_refusal_arrives(model, request_):
    async with world(model) as w:
        error = await refused(w.infer(request_, timeout=LONG))
        assert error.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND)
        assert "..." in error.details()
        assert len(error.details()) < 2100


async def test_bytes_that_are_no_message_are_the_caller_s_mistake(model, caplog):
    async with world(model) as w:
        for method in ("ModelInfer", "ModelReady"):
            call = w.channel.unary_unary(f"/{SERVICE}/{method}")
            error = await refused(call(b"\xff\xff\xff", timeout=LONG))
            assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
            assert error.details() == f"request: expected a {method}Request, got bytes that are none"
        assert caplog.text == ""


async def test_what_is_too_large_or_unknown_is_refused(model):
    async with world(model) as w:
        large = await refused(w.infer(infer_request([1.0] * 30_000, shape=(15_000, 2)), timeout=LONG))
        assert large.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        unknown = await refused(w.channel.unary_unary(f"/{SERVICE}/ModelConfig")(b"", timeout=LONG))
        assert unknown.code() == grpc.StatusCode.UNIMPLEMENTED


async def test_changes_of_the_repository_are_refused_unless_allowed_and_as_they_are(model):
    request = message("RepositoryModelLoadRequest")(triton_model_name="m")
    async with world(model) as w:
        error = await refused(unary(w.channel, "RepositoryModelLoad")(request))
        assert error.code() == grpc.StatusCode.PERMISSION_DENIED
    async with world(model, allows_repository_changes=True) as w:
        load = unary(w.channel, "RepositoryModelLoad")
        # A repository's name, in the field where KServe has the model's.
        request.model_name = "repository"
        answer = await load(request)
        assert (answer.model_name, answer.isLoaded) == ("m", True)
        request.parameters["config"].string_param = "{}"
        error = await refused(load(request))
        assert (error.code(), error.details()) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            "parameters: expected none, got config",
        )
        missing = await refused(load(message("RepositoryModelLoadRequest")(model_name="other")))
        assert missing.code() == grpc.StatusCode.NOT_FOUND


async def test_a_port_that_is_not_shared_is_taken(model):
    loop = asyncio.get_running_loop()
    made = [
        GrpcServer(
            GrpcFront(Server({}).service, loop, name="n", version="0"),
            max_message_bytes=1000,
            shares_port=False,
        )
        for _ in range(2)
    ]
    port = made[0].start("127.0.0.1:0")
    with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{port}"):
        made[1].start(f"127.0.0.1:{port}")
    await asyncio.gather(*(server.stop(0) for server in made))


def secure_channel(address, authority, client=None):
    cert, key = client or (None, None)
    return grpc.aio.secure_channel(
        address,
        grpc.ssl_channel_credentials(authority.pem, key, cert),
        options=[("grpc.ssl_target_name_override", "localhost"), ("grpc.use_local_subchannel_pool", 1)],
    )


async def is_live_for(address, authority, client=None):
    """Whether a new connection gets an answer, and not a refused handshake."""
    async with secure_channel(address, authority, client) as channel:
        try:
            return (await unary(channel, "ServerLive")(message("ServerLiveRequest")(), timeout=LONG)).live
        except grpc.aio.AioRpcError as error:
            if error.code() != grpc.StatusCode.UNAVAILABLE:
                raise
            return False


async def test_only_clients_with_a_certificate_of_the_authority_are_served(model, tmp_path):
    files = Files(tmp_path)
    files.write(*SERVERS.issue("first"))
    credentials = read_credentials(files.cert, files.key, files.client_ca)
    async with world(model, credentials=credentials) as w:
        assert await is_live_for(w.address, SERVERS, CLIENTS.issue("c"))
        assert not await is_live_for(w.address, SERVERS)
        assert not await is_live_for(w.address, SERVERS, OTHERS.issue("c"))


async def test_renewed_files_are_used_as_soon_as_they_can_be(model, tmp_path):
    files = Files(tmp_path)
    files.write(*SERVERS.issue("first"))
    async with world(model, credentials=read_credentials(files.cert, files.key, None, interval=0)) as w:
        assert await is_live_for(w.address, SERVERS)
        certificate, key = OTHERS.issue("second")
        files.write(certificate, key)
        # Seen while it cannot be read: the old one goes on, and the new one is not forgotten.
        files.key.rename(tmp_path / "away")
        assert await is_live_for(w.address, SERVERS)
        (tmp_path / "away").rename(files.key)
        assert await is_live_for(w.address, OTHERS)
        assert not await is_live_for(w.address, SERVERS)


KSERVE = Path(__file__).parents[4] / "build" / "peers" / "kserve" / "bin" / "python"
KSERVE_CLIENT = """
import asyncio, json, sys
import numpy as np
from kserve import InferInput, InferRequest
from kserve.inference_client import InferenceGRPCClient

async def main(address):
    client = InferenceGRPCClient(address)
    found = {"live": await client.is_server_live(), "ready": await client.is_server_ready(),
             "model": await client.is_model_ready("m")}
    for is_raw in (True, False):
        tensor = InferInput("x", [1, 2], "FP32")
        tensor.set_data_from_numpy(np.array([[1, 2.5]], np.float32), binary_data=is_raw)
        answer = await client.infer(InferRequest("m", [tensor], request_id="r1"))
        output = answer.outputs[0]
        found[str(is_raw)] = [answer.id, output.name, output.datatype, output.as_numpy().tolist()]
    await client.close()
    print(json.dumps(found))

asyncio.run(main(sys.argv[1]))
"""


@pytest.mark.skipif(not KSERVE.exists(), reason=f"no environment with kserve in {KSERVE.parents[1]}")
async def test_kserve_s_own_client_is_answered_raw_and_typed(model):
    async with world(model) as w:
        result = await asyncio.to_thread(
            subprocess.run,
            [KSERVE, "-c", KSERVE_CLIENT, w.address],
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )
    assert result.returncode == 0, result.stderr
    answer = ["r1", "y", "FP32", np.array([[-1, -2.5]]).tolist()]
    assert json.loads(result.stdout.splitlines()[-1]) == {
        "live": True,
        "ready": True,
        "model": True,
        "True": answer,
        "False": answer,
    }
