"""The real process: start, refusal to start, SIGTERM under load."""

from __future__ import annotations

import asyncio
import signal

import httpx
import pytest
from mooring_artifacts.storage import content_digest

from tests.unit.inference.inference_process import (
    BODY,
    SLOW_BODY,
    running,
    save_negation,
    save_slow,
    save_slow_to_load,
    spawn,
)


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory):
    return save_negation(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def slow_model_dir(tmp_path_factory):
    return save_slow(tmp_path_factory.mktemp("slow"))


async def test_sigterm_under_load_loses_nothing(model_dir):
    codes, failures = [], []
    async with running(model_dir, "--drain_seconds=1") as (process, client):
        stop, loaded = asyncio.Event(), asyncio.Event()

        async def call():
            while not stop.is_set():
                try:
                    codes.append((await client.post("/v2/models/m/infer", json=BODY)).status_code)
                except httpx.HTTPError as exc:
                    failures.append(repr(exc))
                if len(codes) + len(failures) >= 100:
                    loaded.set()

        async def watch_readiness():
            # What a Service does: callers stop coming once the readiness probe fails.
            while (await client.get("/v2/health/ready")).status_code == 200:
                pass
            stop.set()

        callers = [asyncio.create_task(call()) for _ in range(8)]
        await loaded.wait()
        process.send_signal(signal.SIGTERM)
        await asyncio.gather(watch_readiness(), *callers)
        assert await process.wait() == 0
    assert failures == []
    assert set(codes) == {200}


async def test_a_request_in_flight_is_finished_after_sigterm(slow_model_dir):
    async with running(slow_model_dir, "--drain_seconds=0") as (process, client):
        request = asyncio.create_task(client.post("/v2/models/m/infer", json=SLOW_BODY))
        while 'requests_in_flight{model="m",revision="1"} 1.0' not in (await client.get("/metrics")).text:
            assert not request.done()
        process.send_signal(signal.SIGTERM)
        assert (await request).status_code == 200
        assert await process.wait() == 0


async def test_a_client_that_sends_too_much_gets_to_read_413(model_dir):
    async with running(model_dir, "--max_request_bytes=1000") as (_, client):
        response = await client.post("/v2/models/m/infer", content=b"x" * 8_000_000)
        assert (response.status_code, response.json()["field"]) == (413, "body")
        assert (await client.post("/v2/models/m/infer", json=BODY)).status_code == 200


async def test_the_revision_may_come_from_the_environment(model_dir):
    async with running(model_dir, env={"MOORING_REVISION": "v9"}) as (_, client):
        response = await client.post("/v2/models/m/infer", json=BODY)
        assert response.json()["model_version"] == "v9"


async def test_dashes_work_as_well(model_dir):
    process = await spawn(
        "--model-name=m", f"--model-dir={model_dir}/none", "--http-port=0", "--host=127.0.0.1"
    )
    _, stderr = await process.communicate()
    assert process.returncode == 1
    assert b"does not exist" in stderr


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({}, "no model in"),
        ({"a.onnx": b"junk"}, "a.onnx is not a usable ONNX model"),
        ({"a.onnx": b"", "b.onnx": b""}, "expected one: a.onnx, b.onnx"),
    ],
)
async def test_a_model_that_cannot_be_loaded_is_one_line_and_exit_code_1(tmp_path, files, reason):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    process = await spawn("--model_name=m", f"--model_dir={tmp_path}", "--http_port=0", "--host=127.0.0.1")
    _, stderr = await process.communicate()
    assert process.returncode == 1
    assert reason in stderr.decode()
    assert stderr.decode().count("\n") == 1


@pytest.mark.parametrize("how", ["flag", "variable", "repository", "score", "stream"])
async def test_files_that_were_not_tested_are_not_loaded(tmp_path, how):
    save_negation(tmp_path / "models" / "m")
    folder = tmp_path / "models" if how == "repository" else tmp_path / "models" / "m"
    (rows := tmp_path / "rows.csv").write_text("a,b\n1,2\n")
    other = "sha256:" + "0" * 64
    served = ("--http_port=0", "--host=127.0.0.1")
    flags = {
        "repository": (f"--model_repository={folder}", *served),
        "score": (
            "score",
            f"--model_dir={folder}",
            f"--input={rows.as_uri()}",
            f"--output={tmp_path.as_uri()}/out",
        ),
        "stream": (
            "stream",
            f"--model_dir={folder}",
            "--source=redis://r/a",
            "--sink=redis://r/b",
            "--group=g",
        ),
    }.get(how, ("--model_name=m", f"--model_dir={folder}", *served))
    told = {"MOORING_MODEL_DIGEST": other} if how == "variable" else {}
    process = await spawn(*flags, *([] if told else [f"--model_digest={other}"]), env=told)
    _, stderr = await process.communicate()
    assert process.returncode == 1, stderr
    said = stderr.decode().splitlines()[-1]
    assert f"model_digest '{other}' does not match the content of '{folder}', which is 'sha256:" in said
    assert said.endswith("it is not the model that was tested")


async def test_files_that_were_tested_are_loaded_and_others_later_are_refused(tmp_path):
    model = save_negation(tmp_path)
    digest = content_digest(model.as_uri())
    (model / "empty").touch()
    flags = ("--allow_repository_changes", f"--model_digest={digest}")
    async with running(model, *flags) as (_, client):
        assert (await client.post("/v2/models/m/infer", json=BODY)).status_code == 200
        assert (await client.post("/v2/repository/models/m/load", json={})).status_code == 200
        (model / "more.txt").write_text("new")
        refused = await client.post("/v2/repository/models/m/load", json={})
        assert (refused.status_code, "it is not the model that was tested" in refused.text) == (400, True)
        assert (await client.post("/v2/models/m/infer", json=BODY)).status_code == 200


async def test_what_is_no_digest_is_wrong_usage(tmp_path):
    process = await spawn("--model_name=m", "--model_digest=md5:1")
    _, stderr = await process.communicate()
    assert process.returncode == 2
    assert b"argument --model_digest: expected sha256: and 64 hex digits, got 'md5:1'" in stderr


@pytest.mark.parametrize("flags", [[], ["--workers=2"]])
async def test_sigterm_ends_a_server_that_loads_a_large_model(tmp_path, flags):
    async with running(save_slow_to_load(tmp_path), *flags, ready=0) as server:
        await server.line("listening")
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", trust_env=False) as client:
            assert (await client.get("/v2/health/live")).status_code == 200
            assert (await client.get("/v2/health/ready")).status_code == 503
        server.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(server.process.wait(), 60) == 0
        assert b"told to stop before the models are loaded" in await server.process.stdout.read()
