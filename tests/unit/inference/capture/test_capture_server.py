"""Requests, predictions and labels as they pass through a real server into Parquet files."""

from __future__ import annotations

import signal

import numpy as np
import pyarrow.dataset as ds
import pytest
from mooring_artifacts.window_states import parse_state, prepare

from tests.unit.inference.inference_process import BODY, running, save_negation, spawn

INFER = "/v2/models/m/infer"


async def test_a_model_with_a_profile_has_its_requests_counted(tmp_path):
    model = save_negation(tmp_path / "model")
    random = np.random.default_rng(0).normal(size=(2, 1000)).astype(np.float32)
    profile = prepare({"x[0]": random[0], "x[1]": random[1]})
    (model / "profile.bin").write_bytes(profile.content)
    async with running(model, f"--capture_uri={tmp_path}/capture", "--drain_seconds=0") as (process, client):
        for _ in range(20):
            assert (await client.post(INFER, json=BODY)).status_code == 200
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    files = list((tmp_path / "capture" / "deployment=m" / "revision=1").glob("*/*/*.state"))
    assert sum(parse_state(file.read_bytes(), profile).rows for file in files) == 20
    # Kilobytes, whatever the traffic.
    assert max(file.stat().st_size for file in files) < 10_000


async def test_a_profile_that_is_none_is_told_before_the_server_is_ready(tmp_path):
    model = save_negation(tmp_path / "model")
    (model / "profile.bin").write_bytes(b"profile")
    process = await spawn(
        "--model_name=m", f"--model_dir={model}", "--http_port=0", f"--capture_uri={tmp_path}/capture"
    )
    output, errors = await process.communicate()
    assert process.returncode != 0
    assert b"profile.bin" in output + errors


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory):
    return save_negation(tmp_path_factory.mktemp("model"))


def rows(folder):
    """All captured rows, and all labels."""
    found = [
        ds.dataset(
            [str(file) for file in sorted(folder.rglob("*.parquet")) if ("labels" in file.parts) == labels]
        )
        .to_table()
        .to_pylist()
        for labels in (False, True)
    ]
    return sorted(found[0], key=lambda row: row["request"]["id"]), found[1]


@pytest.mark.parametrize("flags", [[], ["--workers=2"]])
async def test_what_was_answered_is_in_files_after_sigterm(model_dir, tmp_path, flags):
    capture = [f"--capture_uri={tmp_path}/capture", "--deployment=d", "--revision=r7", "--drain_seconds=0"]
    async with running(model_dir, *capture, *flags) as (process, client):
        for number in range(20):
            body = BODY | {"id": f"id-{number:02}"}
            headers = {"x-mooring-route": "shadow"} if number == 19 else {}
            assert (await client.post(INFER, json=body, headers=headers)).status_code == 200
        label = {"labels": [{"id": "id-03", "value": 1.5}, {"id": "id-04", "value": "cat"}]}
        assert (await client.post("/v2/models/m/labels", json=label)).status_code == 202
        wrong = await client.post("/v2/models/m/labels", json={"id": 3, "value": 1})
        assert (wrong.status_code, wrong.json()["field"]) == (400, "id")
        metrics = (await client.get("/metrics")).text
        assert 'mooring_inference_capture_dropped_total{reason="full"} 0.0' in metrics
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    requests, labels = rows(tmp_path / "capture")
    assert [row["request"]["id"] for row in requests] == [f"id-{number:02}" for number in range(20)]
    first, last = requests[0], requests[-1]
    assert (first["x[0]"], first["x[1]"], first["prediction.y[0]"]) == (1, 2, -1)
    assert (first["request"]["revision"], first["request"]["status"]) == ("r7", 200)
    assert (first["request"]["route"], last["request"]["route"]) == ("stable", "shadow")
    assert [(row["id"], row["value"], row["text"]) for row in labels] == [
        ("id-03", 1.5, "1.5"),
        ("id-04", None, "cat"),
    ]
    assert list((tmp_path / "capture").glob("deployment=d/revision=r7/*/*/*.parquet"))


async def test_grpc_requests_are_captured_as_well(model_dir, tmp_path):
    import grpc
    from mooring_inference.grpc_front.schema import SERVICE, message

    flags = [f"--capture_uri={tmp_path}/capture", "--grpc_port=0", "--drain_seconds=0"]
    async with running(model_dir, *flags) as server:
        port = next(line["port"] for line in server.lines if line["message"] == "listening for gRPC")
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            request = message("ModelInferRequest")(model_name="m", id="g1")
            request.inputs.add(name="x", datatype="FP32", shape=[1, 2]).contents.fp32_contents.extend([3, 4])
            await channel.unary_unary(
                f"/{SERVICE}/ModelInfer",
                request_serializer=lambda sent: sent.SerializeToString(),
                response_deserializer=message("ModelInferResponse").FromString,
            )(request)
        server.process.send_signal(signal.SIGTERM)
        assert await server.process.wait() == 0
    (row,) = ds.dataset(str(tmp_path / "capture")).to_table().to_pylist()
    assert (row["request"]["id"], row["x[0]"], row["prediction.y[1]"]) == ("g1", 3, -4)


async def test_labels_are_refused_where_nothing_is_captured(model_dir):
    async with running(model_dir, "--drain_seconds=0") as (_, client):
        refused = await client.post("/v2/models/m/labels", json={"id": "a", "value": 1})
        assert (refused.status_code, "--capture_uri" in refused.json()["error"]) == (409, True)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--capture_sample=0.5"], "--capture_sample: needs --capture_uri"),
        (["--capture_uri=/tmp/x", "--capture_sample=7"], "capture_sample"),
        (["--capture_uri=/tmp/x", "--capture_features=z"], "z"),
    ],
)
async def test_settings_that_are_wrong_are_one_line(model_dir, flags, said, tmp_path):
    flags = [flag.replace("/tmp/x", str(tmp_path)) for flag in flags]
    process = await spawn(
        "--model_name=m", f"--model_dir={model_dir}", "--http_port=0", "--host=127.0.0.1", *flags
    )
    _, stderr = await process.communicate()
    assert process.returncode == 1
    assert said in stderr.decode()
    assert stderr.count(b"\n") == 1, stderr
