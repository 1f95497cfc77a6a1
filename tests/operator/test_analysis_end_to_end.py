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


def save_lookup(folder: Path, values: list[float]) -> Path:
    """y = table[x]: what is beyond its rows cannot be answered."""
    folder.mkdir()
    table = helper.make_tensor("table", TensorProto.FLOAT, [len(values)], values)
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
    """They ask without end, each row as often as another; who answers follows the candidate's weight."""

    world: World
    servers: dict[str, Running]
    rows: tuple[int, ...] = (UNKNOWN, *[KNOWN] * 9)
    wrong: dict[str, int] = field(default_factory=dict)
    dice: Random = field(default_factory=lambda: Random(1))

    async def ask(self) -> None:
        while True:
            status = self.world.status
            candidate, stable = status.get("candidate"), status.get("stable")
            weight = candidate.get("weight", 0) if candidate else 0
            arm = candidate if self.dice.random() * 100 < weight else stable
            row = self.dice.choice(self.rows)
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


async def revision_of(world: World, model: str, how: dict[str, Any]) -> str:
    """Have a model asked for, and give the revision that it is."""
    world.deploy(model, **how)
    while (
        world.status.get("candidate", world.status.get("stable", {})).get("storageUri") != f"s3://m/{model}"
    ):
        await world.step()
    return world.status.get("candidate", world.status.get("stable"))["revision"]


async def play(
    world: World,
    folder: Path,
    how: dict[str, Any],
    tables: dict[str, list[float]],
    history: timedelta = timedelta(),
    **users: Any,
) -> Users:
    """Roll out v2 on top of v1, each a lookup of its table, until the rollout has ended.

    history: how long v1 answers alone before, for whoever learns from that how bursty it is.
    """
    world.now = now()
    await world.promote("v1", **how)
    revisions = {"v1": world.status["stable"]["revision"], "v2": await revision_of(world, "v2", how)}
    async with AsyncExitStack() as stack:
        servers: dict[str, Running] = {}
        for model, values in tables.items():
            server = running(save_lookup(folder / model, values), "--model_name=digits")
            servers[model] = await stack.enter_async_context(server)
        ports = {revisions[model]: server.port for model, server in servers.items()}
        address = await stack.enter_async_context(scraped(folder, ports))
        metrics = Prometheus(Access(address))
        stack.push_async_callback(metrics.close)
        world.counters = lambda: Counters(metrics, COUNTING, patience=5, again=1)
        await world.start()
        asked = Users(world, {f"s3://m/{model}": server for model, server in servers.items()}, **users)
        asking = [asyncio.create_task(asked.ask()) for _ in range(2)]
        begins = now() + history
        try:
            async with asyncio.timeout(DEADLINE):
                while now() < begins:
                    await asyncio.sleep(0.5)
                while world.phase not in ("RolledBack", "Promoted") or "candidate" in world.status:
                    world.now = now()
                    pause = await world.step()
                    assert not any(task.done() for task in asking)
                    await asyncio.sleep(min(pause or 0.5, 0.5))
        finally:
            for task in asking:
                task.cancel()
    return asked


@pytest.mark.parametrize(("rows", "phase"), [(5, "RolledBack"), (10, "Promoted")])
async def test_real_counters_decide(world: World, tmp_path: Path, rows: int, phase: str):
    users = await play(world, tmp_path, JUDGED, {"v1": [0.5] * 10, "v2": [0.5] * rows})
    found = world.status["analysis"]
    assert world.phase == phase
    assert found["verdict"] == ("FAIL" if phase == "RolledBack" else "PASS")
    assert "problem" not in found
    wrong = int(found["message"].split(" (")[1].split(" of ")[0])
    # Never more than there were; those of the last seconds have not been counted yet.
    assert wrong <= users.wrong.get(found["candidate"], 0)
    assert (wrong > 0) == (rows < UNKNOWN)
    assert users.wrong.get(found["stable"], 0) == 0


HISTORY = timedelta(seconds=40)
SCORES = [0.1, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]


@pytest.mark.parametrize(
    ("scores", "verdict"), [(SCORES, "PASS"), ([0.9, 0.9, 0.9, *SCORES[3:]], "FAIL")], ids=["alike", "other"]
)
async def test_real_predictions_decide(world: World, tmp_path: Path, scores: list[float], verdict: str):
    """The candidate answers every request, as fast as ever, and three in ten of them otherwise."""
    how = {
        "rollout": {
            **JUDGED["rollout"],
            "analysis": {"metrics": [{"metric": "predictionDrift", "points": 15}]},
        }
    }
    users = await play(world, tmp_path, how, {"v1": SCORES, "v2": scores}, HISTORY, rows=tuple(range(10)))
    found = world.status["analysis"]
    assert (found["verdict"], users.wrong) == (verdict, {})
    assert world.phase == ("RolledBack" if verdict == "FAIL" else "Promoted")
    assert found["message"].startswith("predictionDrift: values <=0."), found["message"]
    assert "limit stable ± 15 points" in found["message"]
