"""What requests may hold of a server's memory and of its event loop, through the REST front."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
import zlib
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest
from mooring_inference.access.json_limits import JsonLimits
from mooring_inference.access.memory_budget import (
    MemoryBudget,
    default_budget,
    least_budget,
    memory_limit,
    parsing_limit,
)
from mooring_inference.models.batching.queue import BatchLimits
from mooring_inference.tensors import DATATYPES, Signature, TensorSpec

from tests.unit.inference.model_server import serving
from tests.unit.inference.rest.http_server.http_world import SECONDS, answer, until

INFER = "/v2/models/m/infer"
MIB = 1 << 20
FP32 = DATATYPES["FP32"]


class Sum:
    """y = the sum of a row, as often as the output is wide; waits while it is held."""

    platform, device = "test", "cpu"

    def __init__(self, width=1, columns=2):
        self.signature = Signature(
            (TensorSpec("x", FP32, (None, columns)),), (TensorSpec("y", FP32, (None, width)),)
        )
        self.width = width
        self.free, self.entered, self.threads = threading.Event(), threading.Event(), []
        self.free.set()

    def predict(self, inputs, outputs):
        self.threads.append(threading.current_thread().name)
        if not self.free.is_set() and len(inputs["x"]):
            self.entered.set()
            assert self.free.wait(SECONDS)
        return [np.repeat(inputs["x"].sum(axis=1, keepdims=True), self.width, axis=1)]

    def close(self):
        pass


def binary(rows, columns=2, value=1.0):
    """(body, headers) of a request of so many rows as binary tensors."""
    content = np.full((rows, columns), value, np.float32).tobytes()
    head = json.dumps(
        {
            "inputs": [
                {
                    "name": "x",
                    "datatype": "FP32",
                    "shape": [rows, columns],
                    "parameters": {"binary_data_size": len(content)},
                }
            ],
            "parameters": {"binary_data_output": True},
        }
    ).encode()
    return head + content, {"inference-header-content-length": str(len(head))}


def text(*rows):
    return {"inputs": [{"name": "x", "datatype": "FP32", "shape": [len(rows), 2], "data": rows}]}


async def test_a_request_holds_its_arrays_and_its_answer_until_it_is_answered():
    model = Sum(width=8)
    async with serving({"m": {"1": model}}) as (server, client):
        body, headers = binary(100_000)
        model.free.clear()
        server.repository.find("m").batcher._average_seconds = 1.0
        asking = asyncio.create_task(client.post(INFER, content=body, headers=headers))
        assert await asyncio.to_thread(model.entered.wait, SECONDS)
        # 800 kB of inputs and 3.2 MB of outputs.
        assert 4_000_000 < server.budget.held < 4_200_000
        model.free.set()
        assert (await asking).status_code == 200
        await until(lambda: server.budget.held < 20_000)


async def test_json_holds_what_its_numbers_take():
    model = Sum()
    async with serving({"m": {"1": model}}) as (server, client):
        model.free.clear()
        server.repository.find("m").batcher._average_seconds = 1.0
        rows = [[1, 2]] * 50_000
        asking = asyncio.create_task(
            client.post(INFER, content=json.dumps(text(*rows), separators=(",", ":")).encode())
        )
        assert await asyncio.to_thread(model.entered.wait, SECONDS)
        assert 600_000 < server.budget.held < 700_000
        model.free.set()
        assert (await asking).status_code == 200


async def test_an_answer_that_can_never_have_room_is_413_and_one_that_has_none_now_503():
    model = Sum(width=1000)
    async with serving({"m": {"1": model}}, budget=64 * MIB) as (server, client):
        model.threads.clear()
        body, headers = binary(100_000)
        refused = await client.post(INFER, content=body, headers=headers)
        assert refused.status_code == 413
        assert "at most 50331648" in refused.json()["error"]
        assert not model.threads
        server.budget.take(40 * MIB)
        body, headers = binary(5000)
        refused = await client.post(INFER, content=body, headers=headers)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        server.budget.release(40 * MIB)
        assert (await client.post(INFER, content=body, headers=headers)).status_code == 200


@pytest.mark.parametrize("batching", [BatchLimits(), BatchLimits(max_batch_rows=1)])
async def test_rows_of_nothing_are_not_run_by_the_billion(batching):
    model = Sum(columns=None)
    async with serving({"m": {"1": model}}, batching=batching) as (_, client):
        body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [2_000_000_000, 0], "data": []}]}
        refused = await client.post(INFER, json=body)
        assert (refused.status_code, refused.json()["field"]) == (413, "inputs")
        body["inputs"][0]["shape"] = [2, 0]
        assert (await client.post(INFER, json=body)).json()["outputs"][0]["data"] == [0, 0]


async def test_many_rows_of_a_fast_model_do_not_hold_up_the_event_loop():
    model = Sum()
    async with serving({"m": {"1": model}}) as (server, client):
        server.repository.find("m").batcher._average_seconds = 0.0
        model.threads.clear()
        assert (await client.post(INFER, json=text([1, 2]))).status_code == 200
        assert model.threads == ["MainThread"]
        body, headers = binary(20_000)
        model.threads.clear()
        assert (await client.post(INFER, content=body, headers=headers)).status_code == 200
        assert set(model.threads) == {"model"}


@pytest.mark.parametrize("ends", ["leaves", "expires"])
async def test_calls_that_nobody_waits_for_hold_no_arrays(ends):
    model = Sum()
    async with serving({"m": {"1": model}}, timeout=300) as (server, client):
        batcher = server.repository.find("m").batcher
        batcher._average_seconds = 1.0
        model.free.clear()
        running = asyncio.create_task(client.post(INFER, json=text([1, 2])))
        assert await asyncio.to_thread(model.entered.wait, SECONDS)
        body, headers = binary(4000)
        waiting = asyncio.create_task(client.post(INFER, content=body, headers=headers))
        await until(lambda: batcher.queued_rows)
        (call,) = batcher._queue
        assert call.inputs
        if ends == "leaves":
            waiting.cancel()
            await until(lambda: not call.inputs)
        else:
            server.repository.expire(perf_counter() + 600)
            assert not call.inputs
            assert (await waiting).status_code == 504
        model.free.set()
        assert (await running).status_code in (200, 504)
        assert (await client.post(INFER, json=text([1, 2]))).status_code == 200


async def test_bodies_are_inflated_beside_the_event_loop_and_answered_in_their_order():
    limits = JsonLimits(max_bytes=64 * MIB)
    async with serving({"m": {"1": Sum()}}, json_limits=limits) as (server, client):
        # Spaces before and after the document: much to inflate and little to read.
        padding = np.random.default_rng(7).choice(np.frombuffer(b" \t\n\r", np.uint8), 3 * MIB).tobytes()
        large = zlib.compress(padding + json.dumps(text([1, 2])).encode() + padding, 1)
        request = b"POST /v2/models/m/infer HTTP/1.1\r\nhost: h\r\ncontent-length: %d\r\n%b\r\n%b"
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        for body, header in (
            (large, b"content-encoding: deflate\r\n"),
            (json.dumps(text([3, 4])).encode(), b""),
            (gzip.compress(json.dumps(text([5, 6])).encode()), b"content-encoding: GZIP\r\n"),
        ):
            writer.write(request % (len(body), header, body))
        found = [json.loads((await answer(reader))[2])["outputs"][0]["data"] for _ in range(3)]
        assert found == [[3], [7], [11]]
        writer.close()
        await client.aclose()
        await until(lambda: server.budget.held == 0)


def test_what_is_inflated_runs_on_threads_of_its_own(monkeypatch):
    threads = []

    async def scenario():
        async with serving({"m": {"1": Sum()}}) as (_, client):
            body = gzip.compress(json.dumps(text([1, 2])).encode())
            await client.post(INFER, content=body, headers={"content-encoding": "gzip"})

    from mooring_inference.rest import inflating

    inflate = inflating.inflate

    def recorded(*arguments):
        threads.append(threading.current_thread().name)
        return inflate(*arguments)

    monkeypatch.setattr(inflating, "inflate", recorded)
    asyncio.run(scenario())
    assert [name.rstrip("0123456789_") for name in threads] == ["inflate"]


async def test_what_inflates_more_than_a_hundredfold_is_refused_and_counted():
    async with serving({"m": {"1": Sum()}}) as (server, client):
        for size, status in ((8 * MIB - 1000, 400), (9 * MIB, 413)):
            bomb = gzip.compress(b" " * size)
            assert len(bomb) < 20_000
            refused = await client.post(INFER, content=bomb, headers={"content-encoding": "gzip"})
            assert refused.status_code == status
        metrics = (await client.get("/metrics")).text
        assert 'requests_total{code="413",model="m",protocol="v2",revision="1"} 1.0' in metrics
        await client.aclose()
        await until(lambda: server.budget.held == 0)


async def test_what_is_inflated_is_counted_in_the_budget():
    noise = np.random.default_rng(7).integers(32, 127, 6 * MIB, np.uint8).tobytes()
    async with serving({"m": {"1": Sum()}}, budget=10 * MIB, json_limits=JsonLimits(max_bytes=MIB * 64)) as (
        server,
        client,
    ):
        body = gzip.compress(noise, 1)
        refused = await client.post(INFER, content=body, headers={"content-encoding": "gzip"})
        assert (refused.status_code, "retry-after" in refused.headers) == (503, True)
        await client.aclose()
        await until(lambda: server.budget.held == 0)


async def test_explanations_are_made_four_at_a_time():
    model = Sum()
    async with serving({"m": {"1": model}}) as (server, client):
        server.repository.find("m").batcher._average_seconds = 1.0
        model.free.clear()
        body = {"instances": [[1, 2]]}
        asked = [asyncio.create_task(client.post("/v1/models/m:explain", json=body)) for _ in range(4)]
        await until(lambda: server.service.explanations.count == 4)
        refused = await client.post("/v1/models/m:explain", json=body)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        model.free.set()
        assert [(await each).status_code for each in asked] == [200] * 4
        assert (await client.post("/v1/models/m:explain", json=body)).status_code == 200


async def test_ids_are_short():
    async with serving({"m": {"1": Sum()}}) as (_, client):
        fine = await client.post(INFER, json=text([1, 2]) | {"id": "i" * 256})
        assert (fine.status_code, fine.headers["x-request-id"]) == (200, "i" * 256)
        refused = await client.post(INFER, json=text([1, 2]) | {"id": "i" * 257})
        assert (refused.status_code, refused.json()["field"]) == (400, "id")
        made = await client.post(INFER, json=text([1, 2]), headers={"x-request-id": "h" * 257})
        assert made.status_code == 200
        assert len(made.json()["id"]) < 60


@pytest.mark.parametrize(
    "change",
    [
        {"name": "n" * MIB},
        {"datatype": "d" * MIB},
        {"shape": [1] * 300_000},
        {"shape": ["s" * MIB]},
        {"data": ["s" * MIB, 1]},
        {"parameters": {"binary_data_size": "p" * MIB}},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_however_long_a_mistake_is_its_refusal_is_short(change):
    async with serving({"m": {"1": Sum()}}) as (_, client):
        body = text([1, 2])
        body["inputs"][0] |= change
        refused = await client.post(INFER, json=body)
        assert refused.status_code == 400
        assert len(refused.content) < 20_000
        assert refused.json()["field"].startswith("inputs[0]")


async def test_a_model_s_name_in_a_refusal_is_short():
    async with serving({"m": {"1": Sum()}}) as (_, client):
        for path in (
            f"/v2/models/{'z' * 20_000}",
            f"/v2/models/m/versions/{'z' * 20_000}/infer",
            f"/{'z' * 20_000}",
        ):
            refused = await client.request("POST" if "infer" in path else "GET", path)
            assert refused.status_code == 404
            assert len(refused.content) < 2000


def test_a_budget_is_a_quarter_of_the_container_s_memory(tmp_path):
    def limited(name, content):
        root = tmp_path / content.strip()
        (root / name).parent.mkdir(parents=True)
        (root / name).write_text(content)
        return root

    two_gib = limited("memory.max", f"{2 << 30}\n")
    assert memory_limit(two_gib) == 2 << 30
    assert memory_limit(limited("memory.max", "max\n")) is None
    assert memory_limit(limited("memory/memory.limit_in_bytes", "9223372036854771712\n")) is None
    assert memory_limit(limited("memory/memory.limit_in_bytes", "1073741824\n")) == 1 << 30
    assert memory_limit(Path("/nonexistent")) is None
    assert default_budget(64 * MIB, 1, two_gib) == 512 * MIB
    assert default_budget(64 * MIB, 2, two_gib) == 256 * MIB
    assert default_budget(64 * MIB, 16, two_gib) == least_budget(64 * MIB) == 128 * MIB
    assert default_budget(64 * MIB, 1, Path("/nonexistent")) == 256 * MIB
    small = limited("memory.max", f"{512 << 20}\n")
    assert [parsing_limit(1, root) for root in (two_gib, small, Path("/nonexistent"))] == [
        1 << 30,
        256 * MIB,
        1 << 30,
    ]


def test_a_budget_keeps_a_quarter_for_what_is_small():
    budget = MemoryBudget(100 * MIB)
    assert budget.take(75 * MIB)
    assert not budget.take(2 * MIB)
    assert budget.refusal(2 * MIB).status == 503
    assert budget.refusal(76 * MIB).status == 413
    assert all(budget.take(MIB) for _ in range(25))
    assert not budget.take(1)
    budget.release(100 * MIB)
    assert budget.held == 0


def test_a_budget_is_right_from_many_threads():
    budget = MemoryBudget(1 << 30)

    def work():
        for _ in range(20_000):
            assert budget.take(3)
            budget.release(3)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert budget.held == 0
