"""Copies of a request are known by their ids, by whatever door they come: two real servers keep the same requests."""

from __future__ import annotations

import json
import signal
from datetime import UTC, datetime, timedelta

import grpc
from mooring_artifacts.measuring import QUESTION
from mooring_components.agreement.__main__ import run
from mooring_inference.grpc_front.schema import SERVICE, message

from tests.unit.inference.inference_process import BODY, running, save_negation


async def ask_by_grpc(server, request_id):
    port = next(line["port"] for line in server.lines if line["message"] == "listening for gRPC")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        request = message("ModelInferRequest")(model_name="m")
        request.inputs.add(name="x", datatype="FP32", shape=[1, 2]).contents.fp32_contents.extend([3, 4])
        call = channel.unary_unary(
            f"/{SERVICE}/ModelInfer",
            request_serializer=lambda sent: sent.SerializeToString(),
            response_deserializer=message("ModelInferResponse").FromString,
        )
        answer = await call(request, metadata=(("x-request-id", request_id),))
        assert answer.id == request_id


async def answer_all(model, capture, revision):
    """Have a revision answer requests that a gateway gave ids to, by each protocol, and one that has none."""
    flags = [f"--capture_uri={capture}", "--deployment=iris", f"--revision={revision}", "--grpc_port=0"]
    async with running(model, *flags, "--drain_seconds=0") as server:
        process, client = server.process, server.client
        for number in range(5):
            headers = {"x-request-id": f"v2-{number}"}
            assert (await client.post("/v2/models/m/infer", json=BODY, headers=headers)).status_code == 200
            headers = {"x-request-id": f"v1-{number}"}
            body = {"instances": [[1.0, 2.0], [3.0, float(number)]]}
            assert (await client.post("/v1/models/m:predict", json=body, headers=headers)).status_code == 200
        await ask_by_grpc(server, "grpc-0")
        assert (await client.post("/v2/models/m/infer", json=BODY)).status_code == 200
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0


async def test_copies_are_joined_by_the_header_of_a_gateway(tmp_path):
    began = datetime.now(UTC) - timedelta(seconds=1)
    model = save_negation(tmp_path / "model")
    for revision in ("s", "c"):
        await answer_all(model, tmp_path / "capture", revision)
    folder = f"file://{tmp_path}/capture/deployment=iris"
    question = {
        "stable": f"{folder}/revision=s",
        "candidate": f"{folder}/revision=c",
        "since": began.isoformat(),
        "until": (datetime.now(UTC) + timedelta(seconds=1)).isoformat(),
        "output": "",
        "tolerance": 0.0,
    }
    assert run({QUESTION: json.dumps(question)}, tmp_path / "says") == 0
    found = json.loads((tmp_path / "says").read_text())
    assert (found["pairs"], found["disagreements"], found["failed"]) == (11, 0, 0)
    # The one without an id is each process' own.
    assert (found["stable"], found["candidate"]) == (12, 12)
