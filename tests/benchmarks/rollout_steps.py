"""What a step of a rollout costs the operator and the API server, by router.

    python -m tests.benchmarks.rollout_steps [--routers Gateway,Endpoints,KServe,Knative] [--deployments 10]
                                             [--rounds 3] [--json FILE]

Deployments with ten pods get new versions, by turns in two steps and in ten. A step is what eight more of them add:
what a rollout costs besides, its candidate's start and its end, is in both. The operator is its own process on a real
API server; KServe, Kubernetes' controllers and the Gateway's are played, and do at once what they are told.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import time
from collections import Counter
from pathlib import Path
from typing import Any

from mooring_operator.adapters.cluster import Manifest, Ref
from mooring_operator.reconcile.kinds import MODEL_DEPLOYMENT

from tests.benchmarks.operated import World, operated, world
from tests.put import put

NAMESPACE = "steps"
ROUTERS = ("Gateway", "Endpoints", "KServe", "Knative")
WEIGHTS = {"two": (50, 100), "ten": tuple(range(10, 101, 10))}
MORE = len(WEIGHTS["ten"]) - len(WEIGHTS["two"])
QUIET_S = 4.0
"""So long nothing is asked when all is done; what is waited for is looked at every two seconds."""


class Rollouts:
    """The deployments of one router, and what their rollouts cost."""

    def __init__(self, live: World, router: str, count: int) -> None:
        self._world, self._router = live, router
        self._names = [f"{router.lower()}{number}" for number in range(count)]
        self._version = 0

    async def measure(self, weights: tuple[int, ...]) -> dict[str, Any]:
        """Give a new version to all of them, and wait for the end; CPU is in milliseconds, of all together."""
        before, cpu, began = self._world.calls(), self._world.cpu_ms(), time.monotonic()
        self._version += 1
        await asyncio.gather(*(self._apply(name, weights) for name in self._names))
        while not all([await self._is_promoted(name) for name in self._names]):
            assert time.monotonic() < began + 300, await self._status(self._names[0])
            await asyncio.sleep(0.5)
        took = time.monotonic() - began
        await self._settled()
        return {"cpu": self._world.cpu_ms() - cpu, "calls": self._world.calls() - before, "seconds": took}

    async def _apply(self, name: str, weights: tuple[int, ...]) -> None:
        mode = "Knative" if self._router == "Knative" else "Standard"
        steps = [{"setWeight": weight} for weight in weights]
        spec = {
            "model": {"uri": f"s3://m/{name}/{self._version}", "format": "onnx"},
            "serving": {"minReplicas": 10, "maxReplicas": 10, "mode": mode},
            "rollout": {"router": self._router, "steps": steps, "scaleDownDelay": "1s"},
            "revisionHistoryLimit": 0,
        }
        made = {
            "apiVersion": MODEL_DEPLOYMENT.api_version,
            "kind": MODEL_DEPLOYMENT.kind,
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": spec,
        }
        await put(self._world.cluster, made, MODEL_DEPLOYMENT)

    async def _status(self, name: str) -> Manifest:
        found = await self._world.cluster.get(Ref(MODEL_DEPLOYMENT, NAMESPACE, name))
        return (found or {}).get("status") or {}

    async def _is_promoted(self, name: str) -> bool:
        status = await self._status(name)
        uri = (status.get("stable") or {}).get("storageUri")
        return (status.get("phase"), uri) == ("Promoted", f"s3://m/{name}/{self._version}")

    async def _settled(self) -> None:
        """Wait until the operator asks for nothing."""
        last, since = self._world.calls(), time.monotonic()
        while time.monotonic() - since < QUIET_S:
            await asyncio.sleep(0.2)
            if (now := self._world.calls()) != last:
                last, since = now, time.monotonic()


async def run(arguments: argparse.Namespace, live: World) -> dict[str, Any]:
    rows: dict[str, Any] = {}
    print("| router | CPU of a step (ms) | calls of a step | of which writes | CPU of a rollout in ten steps (ms) "
          "| in seconds |\n|---|---|---|---|---|---|")  # fmt: skip
    for router in arguments.routers.split(","):
        rollouts = Rollouts(live, router, arguments.deployments)
        await rollouts.measure(WEIGHTS["two"])
        rounds = [
            {name: await rollouts.measure(weights) for name, weights in WEIGHTS.items()}
            for _ in range(arguments.rounds)
        ]
        rows[router] = row(router, rounds, arguments.deployments)
    return {"cores": os.cpu_count(), "deployments": arguments.deployments, "rows": rows}


def row(router: str, rounds: list[dict[str, Any]], count: int) -> dict[str, Any]:
    def step(measured: Any) -> float:
        """The median of what one step adds."""
        added = [measured(one["ten"]) - measured(one["two"]) for one in rounds]
        return statistics.median(added) / count / MORE

    asked: Counter[str] = Counter()
    for one in rounds:
        for sign, name in ((1, "ten"), (-1, "two")):
            for (verb, resource), calls in one[name]["calls"].items():
                asked[f"{verb} {resource}"] += sign * calls
    figures = {
        "cpu_ms": round(step(lambda one: one["cpu"]), 1),
        "calls": round(step(lambda one: sum(one["calls"].values())), 1),
        "writes": round(step(lambda one: sum(_writes(one["calls"]))), 1),
        "rollout_cpu_ms": round(statistics.median(one["ten"]["cpu"] for one in rounds) / count, 1),
        "rollout_seconds": round(statistics.median(one["ten"]["seconds"] for one in rounds), 1),
    }
    print(f"| {router} | {' | '.join(str(value) for value in figures.values())} |", flush=True)
    each = {name: round(calls / len(rounds) / count / MORE, 2) for name, calls in asked.most_common()}
    return {**figures, "calls_by_kind": {name: calls for name, calls in each.items() if calls}}


def _writes(calls: Counter[tuple[str, str]]) -> list[int]:
    return [count for (verb, _), count in calls.items() if verb not in ("get", "list")]


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--routers", default=",".join(ROUTERS))
    parser.add_argument("--deployments", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()

    async def measured(plane: Any, operator: Any) -> dict[str, Any]:
        async with world(plane, operator) as live:
            return await run(arguments, live)

    with operated([NAMESPACE]) as (plane, operator):
        figures = asyncio.run(measured(plane, operator))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
