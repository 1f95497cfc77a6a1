"""The agent with real model servers and its front, over InferenceServices that are kept in memory."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import httpx
import psutil
import pytest
from onnx import TensorProto, helper, save

import cluster.serving
from cluster.serving.agent import Agent
from cluster.serving.backend import Backend, BackendError
from cluster.serving.directory import Directory
from cluster.serving.front import Front
from cluster.serving.replica import Runtime
from cluster.serving.runtimes import LOCAL, Runtimes

PREDICT = "/shop/iris/v2/models/iris/infer"
BODY = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 1], "data": [1]}]}


class MemoryApi:
    """InferenceServices without a server; changes come to watchers as they do from one."""

    def __init__(self):
        self.routes = {}
        self.objects = {}
        self.changes = asyncio.Queue()
        self.written = asyncio.Condition()
        self.writes = 0

    async def list(self):
        return list(copy.deepcopy(list(self.objects.values()))), "1"

    async def watch(self, resource_version):
        while True:
            kind, obj = await self.changes.get()
            yield kind, obj

    async def runtimes(self, namespace):
        return Runtimes(cluster=[LOCAL])

    async def runtime_changes(self, kind):
        await asyncio.Event().wait()
        yield ""

    async def write_route(self, service, route, now):
        self.routes[route["metadata"]["name"]] = route["spec"]

    async def write_status(self, namespace, name, status):
        self.writes += 1
        if (namespace, name) in self.objects:
            self.objects[namespace, name]["status"] = copy.deepcopy(status)
            self.emit("MODIFIED", namespace, name)
        async with self.written:
            self.written.notify_all()

    def emit(self, kind, namespace, name):
        self.changes.put_nowait((kind, copy.deepcopy(self.objects[namespace, name])))

    def apply(self, name="iris", **spec):
        key = ("shop", name)
        kind = "MODIFIED" if key in self.objects else "ADDED"
        obj = self.objects.setdefault(
            key, {"metadata": {"namespace": "shop", "name": name, "uid": name}, "spec": {}}
        )
        obj["spec"] = spec
        self.emit(kind, *key)

    def delete(self, name="iris"):
        self.emit("DELETED", "shop", name)
        del self.objects["shop", name]

    async def until(self, holds, name="iris"):
        """Wait until ``holds(status)``."""
        async with asyncio.timeout(60), self.written:
            await self.written.wait_for(lambda: holds(self.objects["shop", name].get("status") or {}))
        return self.objects["shop", name]["status"]


def is_true(condition):
    return lambda status: any(
        c["type"] == condition and c["status"] == "True" for c in status.get("conditions", [])
    )


def save_model(path: Path, factor):
    path.mkdir(parents=True)
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "factor"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1])],
        [helper.make_tensor("factor", TensorProto.FLOAT, [1], [float(factor)])],
    )
    save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9),
        path / "model.onnx",
    )


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    for version in (1, 2, 3):
        save_model(root / f"v{version}", version)
    (root / "bad").mkdir()
    (root / "bad" / "model.onnx").write_bytes(b"junk")
    return root


def model_servers():
    """The model servers among this process's children; some of those may have ended, and are nobody's to wait for."""
    alive = [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
    return [child for child in alive if "mooring_inference" in child.cmdline()]


@pytest.fixture
async def world(models, tmp_path):
    """(api, client of the front) with the agent running."""
    api, directory = MemoryApi(), Directory("example.com")
    runtime = Runtime([models], tmp_path, probe_seconds=0.3)
    agent = asyncio.create_task(Agent(api, runtime, directory, "http://front").run())
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(Front(directory)), base_url="http://front"
    ) as client:
        yield api, client
    agent.cancel()
    await asyncio.gather(agent, return_exceptions=True)
    assert model_servers() == []
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def model(models, version, **rest):
    return {"model": {"modelFormat": {"name": "onnx"}, "storageUri": f"file://{models}/{version}"}, **rest}


def canary(models, percent=25, version="v2", **rest):
    return {"trafficPercent": percent, "predictor": model(models, version, name="v2", minReplicas=1, **rest)}


async def ask(client, path=PREDICT, **options):
    response = await client.post(path, json=BODY, **options)
    assert response.status_code == 200, response.text
    return response.json()["outputs"][0]["data"][0]


async def pids(client):
    routes = (await client.get("/-/routes")).json()
    return {
        predictor["name"]: [replica["pid"] for replica in predictor["replicas"]]
        for service in routes
        for predictor in service["predictors"]
    }


@contextlib.asynccontextmanager
async def continuous_requests(client, callers=4):
    """Answers while the block runs; each must be 200."""
    answers, stop, enough = [], asyncio.Event(), asyncio.Event()

    async def call():
        while not stop.is_set():
            answers.append(await ask(client))
            enough.set()

    tasks = [asyncio.create_task(call()) for _ in range(callers)]
    await enough.wait()
    try:
        yield answers
    finally:
        stop.set()
        await asyncio.gather(*tasks)


async def test_a_release_from_start_to_promotion(world, models):
    api, client = world
    assert (await client.post(PREDICT, json=BODY)).status_code == 404

    api.apply(predictor=model(models, "v1"))
    status = await api.until(is_true("Ready"))
    assert status["url"] == "http://front/shop/iris"
    assert await ask(client) == 1

    async with continuous_requests(client) as answers:
        api.apply(predictor=model(models, "v1"), canary=[canary(models)])
        await api.until(is_true("CanaryPredictorReady"))
        split = Counter([await ask(client) for _ in range(5)])
        api.apply(predictor=model(models, "v1"), canary=[canary(models, 100)])
        before = (await pids(client))["iris-v2-predictor"]
        api.apply(predictor=model(models, "v2", name="v2", minReplicas=1))
        await api.until(lambda status: "canaryStatuses" not in status)
        assert (await pids(client))["iris-v2-predictor"] == before
        while answers[-4:] != [2] * 4:
            await ask(client)
    assert set(split) <= {1, 2}
    assert set(answers) == {1, 2}
    assert list(await pids(client)) == ["iris-v2-predictor"]
    assert await ask(client) == 2


async def test_the_split_is_exact(world, models):
    api, client = world
    api.apply(predictor=model(models, "v1"), canary=[canary(models, 25)])
    await api.until(lambda status: is_true("Ready")(status) and is_true("CanaryPredictorReady")(status))
    assert Counter([await ask(client) for _ in range(100)]) == {1: 75, 2: 25}
    metrics = (await client.get("/-/metrics")).text
    assert (
        'mooring_front_requests_total{code="200",inferenceservice="iris",namespace="shop",'
        'predictor="iris-v2-predictor",revision="v2"} 25.0'
    ) in metrics
    targets = (await client.get("/-/targets")).json()
    assert {target["labels"]["revision"] for target in targets} == {"iris-predictor", "v2"}


async def test_ways_to_a_predictor(world, models):
    api, client = world
    api.apply(predictor=model(models, "v1"), canary=[canary(models, 0)])
    await api.until(lambda status: is_true("Ready")(status) and is_true("CanaryPredictorReady")(status))
    assert await ask(client, "/v2/models/iris/infer", headers={"host": "iris-shop.example.com"}) == 1
    assert await ask(client, "/shop/iris-predictor/v2/models/iris/infer") == 1
    assert await ask(client, "/shop/iris-v2-predictor/v2/models/iris/infer") == 2
    response = await client.post(PREDICT, json=BODY)
    assert response.headers["x-mooring-revision"] == "iris-predictor"
    assert (await client.post("/shop/other/v2", json=BODY)).status_code == 404
    assert (await client.head("/shop/iris/v2/health/ready")).status_code == 200


async def test_a_bad_canary_leaves_stable_whole_and_says_why(world, models):
    api, client = world
    api.apply(predictor=model(models, "v1"), canary=[canary(models, 50, "bad")])
    await api.until(is_true("Ready"))

    def told(status):
        return any("not a usable ONNX model" in c.get("message", "") for c in status["conditions"])

    status = await api.until(told)
    assert status["canaryStatuses"][0]["ready"] is False
    assert {await ask(client) for _ in range(20)} == {1}


async def test_a_bad_stable_model_says_why_and_recovers(world, models):
    api, client = world
    api.apply(predictor=model(models, "bad"))
    status = await api.until(lambda status: "lastFailureInfo" in status.get("modelStatus", {}))
    failure = status["modelStatus"]["lastFailureInfo"]
    assert (failure["reason"], failure["exitCode"]) == ("ModelLoadFailed", 1)
    assert "not a usable ONNX model" in failure["message"]
    assert (await client.post(PREDICT, json=BODY)).status_code == 503
    api.apply(predictor=model(models, "v3"))
    await api.until(is_true("Ready"))
    assert await ask(client) == 3


async def test_a_new_model_under_the_same_name_loses_no_request(world, models):
    api, client = world
    api.apply(predictor=model(models, "v1"))
    await api.until(is_true("Ready"))
    async with continuous_requests(client) as answers:
        api.apply(predictor=model(models, "v3"))
        while answers[-1] != 3:
            await ask(client)
    assert set(answers) == {1, 3}


async def test_a_killed_process_is_started_again(world, models):
    api, client = world
    api.apply(predictor=model(models, "v1"))
    await api.until(is_true("Ready"))
    (pid,) = (await pids(client))["iris-predictor"]
    os.kill(pid, signal.SIGKILL)
    await api.until(lambda status: not is_true("Ready")(status))
    await api.until(is_true("Ready"))
    assert (await pids(client))["iris-predictor"] != [pid]
    assert await ask(client) == 1


async def test_a_process_that_hangs_is_replaced(world, models):
    api, client = world
    api.apply(predictor=model(models, "v1"))
    await api.until(is_true("Ready"))
    (pid,) = (await pids(client))["iris-predictor"]
    os.kill(pid, signal.SIGSTOP)
    status = await api.until(lambda status: not is_true("Ready")(status))
    assert "does not answer" in status["modelStatus"]["lastFailureInfo"]["message"]
    await api.until(is_true("Ready"))
    assert await ask(client) == 1


async def test_deletion_ends_the_processes(world, models):
    api, client = world
    api.apply(predictor=model(models, "v1"), canary=[canary(models)])
    await api.until(lambda status: is_true("Ready")(status) and is_true("CanaryPredictorReady")(status))
    children = model_servers()
    api.delete()
    gone, alive = await asyncio.to_thread(psutil.wait_procs, children, 20)
    assert (len(gone), alive) == (2, [])
    assert (await client.post(PREDICT, json=BODY)).status_code == 404


async def test_status_is_written_only_on_change(world, models):
    api, _ = world
    api.apply(predictor=model(models, "v1"))
    await api.until(is_true("Ready"))
    writes = api.writes
    api.apply(predictor=model(models, "v1"))
    api.apply("other", predictor={})
    await api.until(lambda status: "lastFailureInfo" in status.get("modelStatus", {}), "other")
    assert (
        api.objects["shop", "other"]["status"]["modelStatus"]["lastFailureInfo"]["reason"]
        == "InvalidPredictorSpec"
    )
    assert api.writes - writes <= 3  # all of them the other's


def test_a_child_ends_with_its_parent():
    launcher = Path(cluster.serving.__file__).with_name("launcher.py")
    program = (
        "import subprocess, sys, os, time\n"
        "child = subprocess.Popen([sys.executable, '-I', '-S', sys.argv[1], str(os.getpid()), '/bin/sleep', '60'])\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, str(launcher)], stdout=subprocess.PIPE, text=True
    )
    child = psutil.Process(int(parent.stdout.readline()))
    while "/bin/sleep" not in child.cmdline():
        pass
    parent.kill()
    parent.communicate()
    gone, _ = psutil.wait_procs([child], 10)
    assert gone == [child]


async def test_a_backend_that_is_gone_is_an_error_not_a_hang():
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    backend = Backend("127.0.0.1", server.sockets[0].getsockname()[1])
    with pytest.raises(BackendError, match="connection"):
        await backend.request("GET", "/")
    server.close()
    await server.wait_closed()
    with pytest.raises(BackendError, match="cannot connect"):
        await backend.request("GET", "/")
    assert backend.in_flight == 0
