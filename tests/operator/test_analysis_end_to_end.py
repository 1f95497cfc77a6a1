"""Real counters: two real runtimes behind a split, a real Prometheus that scrapes them, and the operator that looks."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from mooring_operator.adapters.metrics.prometheus import Access, Prometheus
from mooring_operator.planning.analysis.counting import Counting
from mooring_operator.reconcile.counters import Counters
from onnx import TensorProto, helper, save

from tests.operator.world import World
from tests.real_prometheus import running_prometheus
from tests.unit.inference.inference_process import Running, running

DEADLINE = 150.0
COUNTING = Counting(timedelta(seconds=2), timedelta(seconds=1))
JUDGED = {
    "rollout": {
        "analysis": {"metrics": [{"metric": "errorRate", "points": 2}]},
        "steps": [{"setWeight": 50}, {"analyse": {"duration": "5m"}}, {"setWeight": 100}],
    }
}
KNOWN, UNKNOWN = 1, 7


def save_lookup(folder: Path, rows: int) -> Path:
    """y = table[x]: what is beyond its rows cannot be answered."""
    folder.mkdir()
    table = helper.make_tensor("table", TensorProto.FLOAT, [rows], [0.5] * rows)
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.INT64, ["n"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n"])],
        [table],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    save(model, folder / "model.onnx")
    return folder


@dataclass
class Users:
    """They ask without end: one in ten for what is beyond a small table; who answers follows the candidate's weight."""

    world: World
    servers: dict[str, Running]
    wrong: dict[str, int] = field(default_factory=dict)
    dice: Random = field(default_factory=lambda: Random(1))

    async def ask(self) -> None:
        while True:
            status = self.world.status
            candidate, stable = status.get("candidate"), status.get("stable")
            weight = candidate.get("weight", 0) if candidate else 0
            arm = candidate if self.dice.random() * 100 < weight else stable
            row = UNKNOWN if self.dice.random() < 0.1 else KNOWN
            body = {"inputs": [{"name": "x", "datatype": "INT64", "shape": [1], "data": [row]}]}
            server = self.servers[arm["storageUri"] if arm else "s3://m/v1"]
            answer = await server.client.post("/v2/models/digits/infer", json=body)
            if answer.status_code != 200:
                assert answer.status_code >= 500, answer.text
                revision = arm["revision"] if arm else ""
                self.wrong[revision] = self.wrong.get(revision, 0) + 1
            await asyncio.sleep(0.005)


def scraped(folder: Path, targets: dict[str, int]) -> AbstractAsyncContextManager[str]:
    """A Prometheus that says of each target what a PodMonitor does: its namespace and its revision."""
    jobs = [
        f"{{targets: ['127.0.0.1:{port}'], labels: {{namespace: ns, revision: '{revision}'}}}}"
        for revision, port in targets.items()
    ]
    configuration = (
        "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
        f"scrape_configs: [{{job_name: models, static_configs: [{', '.join(jobs)}]}}]\n"
    )
    return running_prometheus(folder, configuration)


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


async def revision_of(world: World, model: str) -> str:
    """Have a model asked for, and give the revision that it is."""
    world.deploy(model, **JUDGED)
    while (
        world.status.get("candidate", world.status.get("stable", {})).get("storageUri") != f"s3://m/{model}"
    ):
        await world.step()
    return world.status.get("candidate", world.status.get("stable"))["revision"]


@pytest.mark.parametrize(("rows", "phase"), [(5, "RolledBack"), (10, "Promoted")])
async def test_real_counters_decide(world: World, tmp_path: Path, rows: int, phase: str):
    world.now = now()
    await world.promote("v1", **JUDGED)
    stable, candidate = world.status["stable"]["revision"], await revision_of(world, "v2")
    async with AsyncExitStack() as stack:
        servers: dict[str, Any] = {}
        for model, size in (("v1", 10), ("v2", rows)):
            folder = save_lookup(tmp_path / model, size)
            server = running(folder, "--model_name=digits")
            servers[f"s3://m/{model}"] = await stack.enter_async_context(server)
        ports = {stable: servers["s3://m/v1"].port, candidate: servers["s3://m/v2"].port}
        address = await stack.enter_async_context(scraped(tmp_path, ports))
        metrics = Prometheus(Access(address))
        stack.push_async_callback(metrics.close)
        world.counters = lambda: Counters(metrics, COUNTING, patience=5, again=1)
        await world.start()
        users = Users(world, servers)
        asking = [asyncio.create_task(users.ask()) for _ in range(2)]
        try:
            async with asyncio.timeout(DEADLINE):
                while world.phase != phase:
                    world.now = now()
                    pause = await world.step()
                    assert not any(task.done() for task in asking)
                    await asyncio.sleep(min(pause or 0.5, 0.5))
        finally:
            for task in asking:
                task.cancel()
    found = world.status["analysis"]
    assert found["verdict"] == ("FAIL" if phase == "RolledBack" else "PASS")
    assert "problem" not in found
    wrong = int(found["message"].split(" (")[1].split(" of ")[0])
    # Never more than there were; those of the last seconds have not been counted yet.
    assert wrong <= users.wrong.get(candidate, 0)
    assert (wrong > 0) == (rows < UNKNOWN)
    assert users.wrong.get(stable, 0) == 0
