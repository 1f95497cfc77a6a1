"""The serving agent against a real API server: its own process, watched from outside."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from collections import Counter

import httpx
import psutil
import pytest
from lightkube import AsyncClient, KubeConfig
from lightkube.core.exceptions import ApiError
from lightkube.resources.apiextensions_v1 import CustomResourceDefinition
from lightkube.types import PatchType
from onnx import TensorProto, helper, save

from cluster.serving.api import InferenceService
from cluster.serving.inferenceservice_crd import LABELS, inferenceservice_crd

NAMESPACE = "default"
BODY = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 1], "data": [1]}]}


def save_model(path, factor):
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
    for version in (1, 2):
        save_model(root / f"v{version}", version)
    (root / "bad").mkdir()
    (root / "bad" / "model.onnx").write_bytes(b"junk")
    return root


class Caller:
    """One InferenceService as its users see it: written through the API, asked over the front."""

    def __init__(self, api, http, models, name):
        self.api, self.http, self.models, self.name = api, http, models, name

    def model(self, version, **rest):
        # KServe's own definition requires name and modelFormat of a canary's model; its webhook adds them.
        uri = f"file://{self.models}/{version}"
        return {"model": {"name": "", "modelFormat": {"name": "onnx"}, "storageUri": uri}, **rest}

    def canary(self, percent, version="v2", **rest):
        return {"trafficPercent": percent, "predictor": self.model(version, name="v2", minReplicas=1, **rest)}

    async def create(self, *, mode="Standard", **spec):
        annotations = {"serving.kserve.io/deploymentMode": mode}
        metadata = {"namespace": NAMESPACE, "name": self.name, "annotations": annotations}
        await self.api.create(InferenceService(metadata=metadata, spec=spec))

    async def replace(self, **spec):
        patch = [{"op": "replace", "path": "/spec", "value": spec}]
        await self.api.patch(
            InferenceService, self.name, patch, namespace=NAMESPACE, patch_type=PatchType.JSON
        )

    async def delete(self):
        await self.api.delete(InferenceService, self.name, namespace=NAMESPACE)

    async def until(self, holds):
        """Watch until ``holds(status)``; gives the status."""
        async with asyncio.timeout(60):
            watch = self.api.watch(InferenceService, namespace=NAMESPACE, fields={"metadata.name": self.name})
            async with contextlib.aclosing(watch):
                async for _, obj in watch:
                    status = obj.get("status") or {}
                    if holds(status):
                        return status
        raise AssertionError("the watch ended")

    async def ask(self):
        url = f"/{NAMESPACE}/{self.name}/v2/models/{self.name}/infer"
        response = await self.http.post(url, json=BODY)
        assert response.status_code == 200, response.text
        return response.json()["outputs"][0]["data"][0]

    async def pids(self):
        """Process ids by predictor."""
        for service in (await self.http.get("/-/routes")).json():
            if service["name"] == self.name:
                return {
                    p["name"]: [replica["pid"] for replica in p["replicas"]] for p in service["predictors"]
                }
        return {}

    @contextlib.asynccontextmanager
    async def continuous_requests(self):
        """The answers so far, while the block runs; a single refused request fails it."""
        answers, stop, enough = [], asyncio.Event(), asyncio.Event()

        async def call():
            while not stop.is_set():
                answers.append(await self.ask())
                enough.set()

        async with asyncio.TaskGroup() as tasks:
            for _ in range(4):
                tasks.create_task(call())
            await enough.wait()
            try:
                yield answers
            finally:
                stop.set()


def is_true(*conditions):
    def holds(status):
        found = {c["type"] for c in status.get("conditions", []) if c["status"] == "True"}
        return found.issuperset(conditions)

    return holds


@contextlib.asynccontextmanager
async def running_agent(kubeconfig, models):
    """(process, port) of an agent."""
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "cluster.serving"],
        *["--kubeconfig", str(kubeconfig), "--models-root", str(models), "--port", "0"],
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(60):
            entry = {}
            while entry.get("message") != "listening":
                line = await process.stdout.readline()
                assert line, "the agent did not start"
                entry = json.loads(line)
        # Its log is read to the end, so that it never waits for a reader.
        reader = asyncio.create_task(process.stdout.read())
        yield process, entry["port"]
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), 60) == 0
        await reader
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.fixture
async def api(control_plane):
    client = AsyncClient(config=KubeConfig.from_file(str(control_plane.kubeconfig)).get(), trust_env=False)
    yield client
    await client.close()


@pytest.fixture
async def caller(control_plane, api, models, request):
    """An agent and the InferenceService of this test, which is deleted at its end."""
    name = request.node.name.removeprefix("test_").replace("_", "-")[:40]
    async with running_agent(control_plane.kubeconfig, models) as (process, port):
        base_url = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(base_url=base_url, timeout=30, trust_env=False) as http:
            caller = Caller(api, http, models, name)
            caller.process, caller.base_url = process, base_url
            yield caller
            with contextlib.suppress(ApiError):
                await caller.delete()


async def test_stable_up(caller):
    await caller.create(predictor=caller.model("v1"))
    status = await caller.until(is_true("Ready"))
    assert status["url"] == f"{caller.base_url}/{NAMESPACE}/{caller.name}"
    assert status["modelStatus"]["transitionStatus"] == "UpToDate"
    assert await caller.ask() == 1


async def test_canary_split(caller):
    await caller.create(predictor=caller.model("v1"), canary=[caller.canary(25)])
    status = await caller.until(is_true("Ready", "CanaryPredictorReady"))
    assert [(c["name"], c["ready"], c["trafficPercent"]) for c in status["canaryStatuses"]] == [
        ("v2", True, 25)
    ]
    answers = Counter(await asyncio.gather(*(caller.ask() for _ in range(200))))
    assert answers == {1: 150, 2: 50}


async def test_unready_canary(caller):
    await caller.create(predictor=caller.model("v1"), canary=[caller.canary(50, "bad")])

    def told(status):
        return any("not a usable ONNX model" in c.get("message", "") for c in status.get("conditions", []))

    await caller.until(is_true("Ready"))
    status = await caller.until(told)
    assert status["canaryStatuses"][0]["ready"] is False
    assert {await caller.ask() for _ in range(20)} == {1}


async def test_promotion(caller):
    await caller.create(predictor=caller.model("v1"), canary=[caller.canary(10)])
    await caller.until(is_true("Ready", "CanaryPredictorReady"))
    before = (await caller.pids())[f"{caller.name}-v2-predictor"]
    async with caller.continuous_requests() as answers:
        for percent in (50, 100):
            await caller.replace(predictor=caller.model("v1"), canary=[caller.canary(percent)])
            await caller.until(lambda s, p=percent: s["canaryStatuses"][0]["trafficPercent"] == p)
        await caller.replace(predictor=caller.model("v2", name="v2", minReplicas=1))
        await caller.until(lambda s: "canaryStatuses" not in s and is_true("Ready")(s))
        assert (await caller.pids())[f"{caller.name}-v2-predictor"] == before
    assert set(answers) == {1, 2}
    assert {await caller.ask() for _ in range(10)} == {2}


async def test_rollback(caller):
    await caller.create(predictor=caller.model("v1"), canary=[caller.canary(50)])
    await caller.until(is_true("Ready", "CanaryPredictorReady"))
    async with caller.continuous_requests():
        await caller.replace(predictor=caller.model("v1"))
        await caller.until(lambda s: "canaryStatuses" not in s)
    assert {await caller.ask() for _ in range(10)} == {1}


async def test_bad_model(caller):
    await caller.create(predictor=caller.model("bad"))
    status = await caller.until(lambda s: "lastFailureInfo" in s.get("modelStatus", {}))
    assert status["modelStatus"]["lastFailureInfo"]["reason"] == "ModelLoadFailed"
    assert "not a usable ONNX model" in status["modelStatus"]["lastFailureInfo"]["message"]
    assert status["modelStatus"]["transitionStatus"] == "BlockedByFailedLoad"
    await caller.replace(predictor=caller.model("v2"))
    await caller.until(is_true("Ready"))


async def test_knative(caller):
    await caller.create(mode="Knative", predictor=caller.model("v1"))
    await caller.until(is_true("Ready"))
    async with caller.continuous_requests():
        await caller.replace(predictor=caller.model("v2", canaryTrafficPercent=20))
        status = await caller.until(
            lambda s: len(s["components"]["predictor"]["traffic"]) == 2 and is_true("Ready")(s)
        )
        component = status["components"]["predictor"]
        assert component["latestReadyRevision"] == f"{caller.name}-predictor-00002"
        assert component["latestRolledoutRevision"] == f"{caller.name}-predictor-00001"
    assert Counter(await asyncio.gather(*(caller.ask() for _ in range(100)))) == {1: 80, 2: 20}
    await caller.replace(predictor=caller.model("v2"))
    revision = f"{caller.name}-predictor-00002"
    await caller.until(lambda s: s["components"]["predictor"]["latestRolledoutRevision"] == revision)
    assert await caller.ask() == 2


async def test_deletion(caller):
    await caller.create(predictor=caller.model("v1"))
    await caller.until(is_true("Ready"))
    children = psutil.Process(caller.process.pid).children()
    await caller.delete()
    gone, alive = await asyncio.to_thread(psutil.wait_procs, children, 30)
    assert (len(gone), alive) == (1, [])


async def test_the_end_of_the_agent_ends_its_children(caller):
    await caller.create(predictor=caller.model("v1"))
    await caller.until(is_true("Ready"))
    children = psutil.Process(caller.process.pid).children()
    caller.process.kill()
    gone, alive = await asyncio.to_thread(psutil.wait_procs, children, 30)
    assert (len(gone), alive) == (1, [])


@pytest.fixture
async def own_rules(api, caller):
    """The rules of KServe's webhook are in our definition only."""
    definition = await api.get(CustomResourceDefinition, inferenceservice_crd()["metadata"]["name"])
    if not LABELS.items() <= (definition.metadata.labels or {}).items():
        pytest.skip("the API server has another definition")


@pytest.mark.usefixtures("own_rules")
@pytest.mark.parametrize("percents", [(60, 60), (101,), (-1,)])
async def test_a_canary_that_does_not_add_up_is_refused(caller, percents):
    canary = [{"trafficPercent": p, "predictor": {"name": f"v{i}"}} for i, p in enumerate(percents)]
    with pytest.raises(ApiError, match="canary"):
        await caller.create(predictor=caller.model("v1"), canary=canary)


@pytest.mark.usefixtures("own_rules")
async def test_canary_names_are_unique_and_not_stables(caller):
    for canary in ([caller.canary(1), caller.canary(2)], [caller.canary(1)]):
        with pytest.raises(ApiError, match=r"canary predictor\.name"):
            await caller.create(predictor=caller.model("v1", name="v2"), canary=canary)


@pytest.mark.usefixtures("own_rules")
async def test_a_canary_has_no_more_replicas_than_stable(caller):
    for extra in ({"minReplicas": 2}, {"maxReplicas": 2}):
        canary = [{"trafficPercent": 5, "predictor": {"name": "v2", **extra}}]
        with pytest.raises(ApiError, match="fixed replicas"):
            await caller.create(predictor=caller.model("v1"), canary=canary)


@pytest.mark.usefixtures("own_rules")
async def test_a_new_name_needs_a_new_model(caller):
    await caller.create(predictor=caller.model("v1"))
    with pytest.raises(ApiError, match="requires a model change"):
        await caller.replace(predictor=caller.model("v1", name="v2"))
