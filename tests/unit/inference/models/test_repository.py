"""Several models and versions in one server; loading, replacing and unloading them while it serves."""

from __future__ import annotations

import asyncio
import threading

import httpx
import numpy as np
import pytest
from mooring_inference.errors import ModelLoadError
from mooring_inference.models.repository import folder_of_models, sorted_versions
from mooring_inference.tensors import DATATYPES, Signature, TensorSpec

from tests.unit.inference.inference_process import running, save_negation
from tests.unit.inference.model_server import serving

SPEC = TensorSpec("x", DATATYPES["FP32"], (None, 1))


class Adds:
    """y = x + amount."""

    signature = Signature((SPEC,), (TensorSpec("y", DATATYPES["FP32"], (None, 1)),))
    platform = "test"
    device = "cpu"

    def __init__(self, amount):
        self.amount = amount
        self.is_closed = False
        self.gate = threading.Event()
        self.gate.set()

    def predict(self, inputs, outputs):
        assert not self.is_closed
        assert self.gate.wait(20)
        return [inputs["x"] + np.float32(self.amount)]

    def close(self):
        self.is_closed = True


def body(value=1.0):
    return {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 1], "data": [value]}]}


async def ask(client, path):
    response = await client.post(f"/v2/models/{path}/infer", json=body())
    assert response.status_code == 200, response.text
    answer = response.json()
    return answer["model_version"], answer["outputs"][0]["data"][0]


async def test_the_newest_version_answers_where_none_is_named():
    backends = {"a": {"2": Adds(2), "10": Adds(10)}, "b": {"1": Adds(5)}}
    async with serving(backends) as (_, client):
        assert await ask(client, "a") == ("10", 11)
        assert await ask(client, "a/versions/2") == ("2", 3)
        assert await ask(client, "b") == ("1", 6)
        assert (await client.get("/v2/models/a")).json()["versions"] == ["10", "2"]
        assert (await client.get("/v1/models")).json() == {"models": ["a", "b"]}
        missing = await client.post("/v2/models/a/versions/3/infer", json=body())
        assert (missing.status_code, missing.json()["expected"]) == (404, ["10", "2"])
        assert (await client.get("/v2/models/c")).json()["expected"] == ["a", "b"]


async def test_models_come_and_go_by_request():
    backends = {"a": {"1": Adds(1)}}
    async with serving(backends) as (_, client):
        assert (await client.post("/v2/repository/models/b/load")).status_code == 404
        backends["b"] = {"1": Adds(2)}
        assert (await client.post("/v2/repository/models/b/load")).status_code == 200
        assert await ask(client, "b") == ("1", 3)
        assert (await client.post("/v2/repository/models/b/unload")).status_code == 200
        assert (await client.post("/v2/models/b/infer", json=body())).status_code == 404
        assert (await client.get("/v2/health/ready")).status_code == 200
        index = (await client.post("/v2/repository/index", json={})).json()
        assert [(row["name"], row["state"]) for row in index] == [("a", "READY"), ("b", "UNAVAILABLE")]
        ready = (await client.post("/v2/repository/index", json={"ready": True})).json()
        assert [row["name"] for row in ready] == ["a"]
        while not backends["b"]["1"].is_closed:
            await asyncio.sleep(0.01)


async def test_requests_in_flight_finish_on_what_was_loaded_before():
    old = Adds(1)
    backends = {"a": {"1": old}}
    async with serving(backends) as (server, client):
        server.repository.find("a").batcher._average_seconds = 1.0
        old.gate.clear()
        in_flight = asyncio.create_task(ask(client, "a"))
        while not server.repository.find("a").batcher._running:
            await asyncio.sleep(0.01)
        backends["a"] = {"1": Adds(2)}
        assert (await client.post("/v2/repository/models/a/load")).status_code == 200
        assert await ask(client, "a") == ("1", 3)
        assert not old.is_closed
        old.gate.set()
        assert await in_flight == ("1", 2)
        while not old.is_closed:
            await asyncio.sleep(0.01)


async def test_a_model_that_cannot_be_loaded_again_leaves_the_old_one():
    backends = {"a": {"1": Adds(1)}}
    async with serving(backends) as (_, client):
        backends["a"] = {"1": ModelLoadError("it is broken")}
        refused = await client.post("/v2/repository/models/a/load")
        assert (refused.status_code, refused.json()["error"]) == (
            400,
            "model a cannot be loaded: it is broken",
        )
        assert await ask(client, "a") == ("1", 2)


async def test_loading_again_under_load_loses_nothing():
    backends = {"a": {"1": Adds(1)}}
    async with (
        serving(backends) as (_, client),
        httpx.AsyncClient(base_url=client.base_url, trust_env=False) as admin,
    ):
        stop = False
        answers = []

        async def call():
            while not stop:
                answers.append((await ask(client, "a"))[1])

        callers = [asyncio.create_task(call()) for _ in range(8)]
        try:
            for amount in range(2, 12):
                backends["a"] = {"1": Adds(amount)}
                # By connections of its own: callers that never rest leave those of a shared pool to nobody.
                loaded = await admin.post("/v2/repository/models/a/load")
                assert loaded.status_code == 200
                assert (await ask(admin, "a"))[1] == amount + 1
        finally:
            stop = True
            await asyncio.gather(*callers)
        assert set(answers) <= {float(amount + 1) for amount in range(1, 12)}


async def test_changes_are_refused_unless_they_are_allowed():
    async with serving({"a": {"1": Adds(1)}}, allows_repository_changes=False) as (_, client):
        for action in ("load", "unload"):
            refused = await client.post(f"/v2/repository/models/a/{action}")
            assert refused.status_code == 403
            assert "--allow_repository_changes" in refused.json()["error"]


async def test_names_may_be_percent_encoded():
    async with serving({"modèle 1": {"1": Adds(1)}}) as (_, client):
        assert await ask(client, "mod%C3%A8le%201") == ("1", 2)


async def test_a_folder_of_models_as_a_process(tmp_path):
    save_negation(tmp_path / "flat")
    for version in ("9", "10"):
        save_negation(tmp_path / "versioned" / version)
    flags = [f"--model_repository={tmp_path}", "--drain_seconds=0", "--allow_repository_changes"]
    async with running(None, *flags, ready=3) as (_, client):
        while (await client.get("/v2/health/ready")).status_code != 200:
            await asyncio.sleep(0.01)
        assert (await client.get("/v2/models/versioned")).json()["versions"] == ["10", "9"]
        assert (await client.get("/v2/models/flat")).json()["versions"] == ["1"]
        save_negation(tmp_path / "later")
        assert (await client.post("/v2/repository/models/later/load")).status_code == 200
        assert (await client.get("/v2/models/later/ready")).status_code == 200


def test_folders_and_versions_in_order(tmp_path):
    for path in ("b/1/x", "b/03/x", "a/x", ".git/x"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    (tmp_path / "README").touch()
    found = folder_of_models(tmp_path)()
    assert {name: set(versions) for name, versions in found.items()} == {"a": {"1"}, "b": {"1", "03"}}
    assert [version for version, _ in sorted_versions(found["b"])] == ["03", "1"]
    with pytest.raises(ModelLoadError, match="does not exist"):
        folder_of_models(tmp_path / "none")()
