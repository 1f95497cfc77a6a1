"""V2 over gRPC, as Triton's client and plain gRPC clients use it, against a real server process."""

from __future__ import annotations

import asyncio
import signal
from contextlib import asynccontextmanager

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from mooring_inference.grpc_front.schema import SERVICE, message
from mooring_inference.tensors import DATATYPES
from onnx import TensorProto, helper, save
from tritonclient.grpc import InferenceServerClient, InferenceServerException, InferInput

from tests.unit.inference.inference_process import running, save_negation, save_slow

ONNX_TYPES = {
    "BOOL": TensorProto.BOOL,
    "UINT8": TensorProto.UINT8,
    "INT8": TensorProto.INT8,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "UINT64": TensorProto.UINT64,
    "FP16": TensorProto.FLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BYTES": TensorProto.STRING,
}


def values_of(datatype, rows):
    if datatype == "BYTES":
        return np.array([[f"é{i}", ""] for i in range(rows)], dtype=object).reshape(rows, 2)
    return np.array([[i, i % 2] for i in range(rows)]).reshape(rows, 2).astype(DATATYPES[datatype].dtype)


@pytest.fixture(scope="module")
def identities(tmp_path_factory):
    """A repository of a model for each datatype that gives back what it is given."""
    folder = tmp_path_factory.mktemp("identities")
    for datatype, onnx_type in ONNX_TYPES.items():
        (folder / datatype).mkdir()
        graph = helper.make_graph(
            [helper.make_node("Identity", ["x"], ["y"])],
            "g",
            [helper.make_tensor_value_info("x", onnx_type, ["n", 2])],
            [helper.make_tensor_value_info("y", onnx_type, ["n", 2])],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        save(model, folder / datatype / "model.onnx")
    return folder


@asynccontextmanager
async def grpc_running(model_dir, *flags, ready=1, **options):
    async with running(
        model_dir, "--grpc_port=0", "--drain_seconds=0", *flags, ready=ready, **options
    ) as server:
        port = next(line["port"] for line in server.lines if line["message"] == "listening for gRPC")
        yield server, f"127.0.0.1:{port}"


def triton_infer(address, model, datatype, array, version=""):
    with InferenceServerClient(address) as client:
        tensor = InferInput("x", list(array.shape), datatype)
        tensor.set_data_from_numpy(array)
        answer = client.infer(model, [tensor], model_version=version, request_id="r1", client_timeout=20)
        return answer.get_response(), answer.as_numpy("y")


async def test_triton_s_client_gets_back_every_datatype(identities):
    flags = [f"--model_repository={identities}"]
    async with grpc_running(None, *flags, ready=len(ONNX_TYPES)) as (_, address):
        for datatype in ONNX_TYPES:
            for rows in (0, 1, 3):
                array = values_of(datatype, rows)
                response, found = await asyncio.to_thread(triton_infer, address, datatype, datatype, array)
                assert (response.id, response.model_version) == ("r1", "1")
                if datatype == "BYTES":
                    found = np.array([v.decode() for v in found.ravel()], dtype=object).reshape(found.shape)
                assert found.dtype == array.dtype
                np.testing.assert_array_equal(found, array)


async def test_triton_s_client_over_http_with_binary_tensors_and_compression(identities):
    from tritonclient import http

    def ask(port, datatype, array, binary):
        with http.InferenceServerClient(f"127.0.0.1:{port}") as client:
            tensor = http.InferInput("x", list(array.shape), datatype)
            tensor.set_data_from_numpy(array, binary_data=binary)
            output = http.InferRequestedOutput("y", binary_data=binary)
            compression = "gzip" if binary else None
            answer = client.infer(
                datatype, [tensor], outputs=[output], request_compression_algorithm=compression
            )
            assert client.is_server_ready()
            assert client.get_model_metadata(datatype)["inputs"][0]["datatype"] == datatype
            return answer.as_numpy("y")

    flags = [f"--model_repository={identities}", "--drain_seconds=0"]
    async with running(None, *flags, ready=len(ONNX_TYPES)) as server:
        for datatype in ONNX_TYPES:
            for binary in (True, False):
                if datatype == "FP16" and not binary:
                    continue  # Triton's client has no JSON for it
                array = values_of(datatype, 3)
                found = await asyncio.to_thread(ask, server.port, datatype, array, binary)
                if datatype == "BYTES":
                    found = np.array(
                        [v.decode() if isinstance(v, bytes) else v for v in found.ravel()], dtype=object
                    ).reshape(found.shape)
                np.testing.assert_array_equal(found, array)


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory):
    return save_negation(tmp_path_factory.mktemp("model"))


def unary(channel, method):
    return channel.unary_unary(
        f"/{SERVICE}/{method}",
        request_serializer=message(f"{method}Request").SerializeToString,
        response_deserializer=message(f"{method}Response").FromString,
    )


def infer_request(values=(1.0, 2.0), name="x", datatype="FP32", shape=(1, 2), model="m"):
    request = message("ModelInferRequest")(model_name=model)
    tensor = request.inputs.add(name=name, datatype=datatype, shape=shape)
    tensor.contents.fp32_contents.extend(values)
    return request


async def test_typed_contents_metadata_health_and_reflection(model_dir):
    async with (
        grpc_running(model_dir, "--revision=r7") as (_, address),
        grpc.aio.insecure_channel(address) as channel,
    ):
        answer = await unary(channel, "ModelInfer")(infer_request())
        assert (answer.model_version, list(answer.outputs[0].contents.fp32_contents)) == ("r7", [-1, -2])
        assert answer.id
        assert (await unary(channel, "ServerLive")(message("ServerLiveRequest")())).live
        assert (await unary(channel, "ServerReady")(message("ServerReadyRequest")())).ready
        assert (await unary(channel, "ModelReady")(message("ModelReadyRequest")(name="m"))).ready
        metadata = await unary(channel, "ModelMetadata")(message("ModelMetadataRequest")(name="m"))
        assert (list(metadata.inputs[0].shape), list(metadata.versions)) == ([-1, 2], ["r7"])
        server = await unary(channel, "ServerMetadata")(message("ServerMetadataRequest")())
        assert server.name == "mooring-inference"
        health = await health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest(service=SERVICE)
        )
        assert health.status == health_pb2.HealthCheckResponse.SERVING

        async def asked():
            yield reflection_pb2.ServerReflectionRequest(list_services="")
            yield reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE)

        listed, described = [
            r async for r in reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(asked())
        ]
        assert SERVICE in {s.name for s in listed.list_services_response.service}
        assert described.file_descriptor_response.file_descriptor_proto


@pytest.mark.parametrize(
    ("request_", "code", "said"),
    [
        (infer_request(model="other"), grpc.StatusCode.NOT_FOUND, "other"),
        (infer_request(name="z"), grpc.StatusCode.INVALID_ARGUMENT, "inputs[0].name: expected ['x'], got z"),
        (
            infer_request(datatype="INT8"),
            grpc.StatusCode.INVALID_ARGUMENT,
            "inputs[0].datatype: expected FP32",
        ),
        (infer_request(shape=(1, 3)), grpc.StatusCode.INVALID_ARGUMENT, "inputs[0].shape: expected [-1, 2]"),
        (infer_request(values=(1.0,)), grpc.StatusCode.INVALID_ARGUMENT, "2 elements for shape [1, 2]"),
    ],
)
async def test_refusals_say_what_was_expected(model_dir, request_, code, said):
    async with grpc_running(model_dir) as (server, address), grpc.aio.insecure_channel(address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await unary(channel, "ModelInfer")(request_)
        assert refused.value.code() == code
        assert said in refused.value.details()
        if code is grpc.StatusCode.INVALID_ARGUMENT:
            metrics = (await server.client.get("/metrics")).text
            assert 'requests_total{code="400",model="m",protocol="grpc",revision="1"} 1.0' in metrics


async def test_many_callers_share_batches_and_each_gets_its_own_rows(model_dir):
    async with grpc_running(model_dir) as (server, address), grpc.aio.insecure_channel(address) as channel:
        infer = unary(channel, "ModelInfer")
        answers = await asyncio.gather(*(infer(infer_request((i, 2 * i))) for i in range(300)))
        assert [list(a.outputs[0].contents.fp32_contents) for a in answers] == [
            [-i, -2 * i] for i in range(300)
        ]
        metrics = (await server.client.get("/metrics")).text
        assert 'requests_total{code="200",model="m",protocol="grpc",revision="1"} 300.0' in metrics
        assert 'requests_in_flight{model="m",revision="1"} 0.0' in metrics


async def test_keys_are_needed_over_grpc_as_well(model_dir, tmp_path):
    (tmp_path / "keys").write_text("correct-horse-battery\n")
    flags = [f"--api_keys={tmp_path}/keys"]
    async with grpc_running(model_dir, *flags) as (_, address), grpc.aio.insecure_channel(address) as channel:
        infer = unary(channel, "ModelInfer")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await infer(infer_request())
        assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED
        await infer(infer_request(), metadata=[("authorization", "Bearer correct-horse-battery")])
        assert (await unary(channel, "ServerLive")(message("ServerLiveRequest")())).live


async def test_a_call_in_flight_is_finished_after_sigterm_and_one_past_its_deadline_is_told(tmp_path):
    save_slow(tmp_path)
    async with grpc_running(tmp_path) as (server, address), grpc.aio.insecure_channel(address) as channel:
        infer = unary(channel, "ModelInfer")
        request = message("ModelInferRequest")(model_name="m")
        request.inputs.add(name="x", datatype="FP32", shape=[1, 1]).contents.fp32_contents.append(1)
        in_flight = asyncio.ensure_future(infer(request))
        while "requests_in_flight" not in (text := (await server.client.get("/metrics")).text) or (
            'requests_in_flight{model="m",revision="1"} 1.0' not in text
        ):
            assert not in_flight.done()
        with pytest.raises(grpc.aio.AioRpcError) as late:
            await infer(request, timeout=0.01)
        assert late.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        server.process.send_signal(signal.SIGTERM)
        assert (await in_flight).outputs
        assert await server.process.wait() == 0


async def test_models_are_loaded_by_either_spelling_where_that_is_allowed(identities):
    flags = [f"--model_repository={identities}", "--allow_repository_changes"]
    async with (
        grpc_running(None, *flags, ready=len(ONNX_TYPES)) as (_, address),
        grpc.aio.insecure_channel(address) as channel,
    ):
        with InferenceServerClient(address) as triton:
            await asyncio.to_thread(triton.unload_model, "FP32")
            assert not await asyncio.to_thread(_is_ready, triton, "FP32")
            await asyncio.to_thread(triton.load_model, "FP32")
            assert await asyncio.to_thread(_is_ready, triton, "FP32")
        kserve = message("RepositoryModelLoadRequest")(model_name="INT8")
        assert (await unary(channel, "RepositoryModelLoad")(kserve)).isLoaded
        index = await unary(channel, "RepositoryIndex")(message("RepositoryIndexRequest")(ready=True))
        assert {row.name for row in index.models} == set(ONNX_TYPES)


def _is_ready(client, model):
    try:
        return client.is_model_ready(model)
    except InferenceServerException:
        return False
