"""How fast traffic leaves a candidate that fails, among many deployments, on a real API server.

    python -m tests.benchmarks.reaction [--deployments 1000] [--canaries 100] [--rolling 100] [--json FILE]

Deployments on router Gateway, some of which have a candidate at 10% of traffic; all others rest. The pods of a
candidate turn unready: its Deployment's status and its EndpointSlice say so at the same time. Measured is the time from
before these are written until a watch tells that the HTTPRoute gives the stable revision everything, which includes the
two writes. Candidates fail one after the other at random moments, all at the same moment, and one after the other while
other deployments begin and end rollouts. KServe, Kubernetes' controllers and the Gateway's are played.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mooring_operator.adapters.cluster import Manifest, Ref
from mooring_operator.adapters.routers.gateway_routes import weights_of
from mooring_operator.adapters.routers.http_routes import HTTP_ROUTE
from mooring_operator.adapters.routers.inference_services.revisions import DEPLOYMENT
from mooring_operator.adapters.routers.owned import ENDPOINT_SLICE
from mooring_operator.reconcile.kinds import MODEL_DEPLOYMENT

from tests.benchmarks.operated import World, operated, quantile, world

NAMESPACES = [f"t{number}" for number in range(10)]
CANARY = [{"setWeight": 10}, {"pause": {}}, {"setWeight": 100}]
AT_ONCE = [{"setWeight": 50}, {"setWeight": 100}]


@dataclass
class Fleet:
    """What is seen of all deployments, by their numbers."""

    world: World
    status: dict[int, Manifest] = field(default_factory=dict)
    weights: dict[int, dict[str, int]] = field(default_factory=dict)
    backends: dict[int, set[str]] = field(default_factory=dict)
    changed: dict[int, float] = field(default_factory=dict)
    """When the stable revision was last given everything."""

    async def begin(self) -> None:
        await self.world.watches.follow(MODEL_DEPLOYMENT, self._saw_deployment)
        await self.world.watches.follow(HTTP_ROUTE, self._saw_route)

    def _saw_deployment(self, _: str, made: Manifest) -> None:
        self.status[_number(made["metadata"]["name"])] = made.get("status") or {}

    def _saw_route(self, _: str, made: Manifest) -> None:
        number = _number(made["metadata"]["name"].removesuffix("-mooring"))
        self.backends[number] = set(weights_of(made))
        weights = {name: weight for name, weight in weights_of(made).items() if weight}
        if len(weights) == 1 and len(self.weights.get(number, {})) > 1:
            self.changed[number] = time.perf_counter()
        self.weights[number] = weights

    async def apply(self, number: int, version: int, steps: list[Any]) -> None:
        """Ask for a version of a deployment's model."""
        wanted = {
            "apiVersion": MODEL_DEPLOYMENT.api_version,
            "kind": MODEL_DEPLOYMENT.kind,
            "metadata": {"name": _name(number), "namespace": _namespace(number)},
            "spec": {
                "model": {"uri": f"s3://m/{_name(number)}/{version}", "format": "onnx"},
                "serving": {"minReplicas": 1},
                "rollout": {"router": "Gateway", "steps": steps, "scaleDownDelay": "10s"},
            },
        }
        cluster = self.world.cluster
        seen = await cluster.get(_ref(number))
        await (cluster.create(wanted) if seen is None else cluster.apply(wanted, seen))

    async def apply_all(self, numbers: range, version: int, steps: list[Any]) -> None:
        gate = asyncio.Semaphore(16)

        async def one(number: int) -> None:
            async with gate:
                await self.apply(number, version, steps)

        await asyncio.gather(*(one(number) for number in numbers))

    async def promoted(self, numbers: range, version: int) -> None:
        """Wait until a version is stable."""
        await self.world.wait(
            lambda: all(self._is_stable(number, version) for number in numbers),
            f"version {version} is promoted",
            120 + len(numbers),
        )

    def _is_stable(self, number: int, version: int) -> bool:
        status = self.status.get(number, {})
        uri = (status.get("stable") or {}).get("storageUri")
        return (status.get("phase"), uri) == ("Promoted", f"s3://m/{_name(number)}/{version}")

    async def canaries(self, numbers: range) -> None:
        """Wait until candidates have their 10%, and the operator has come to rest."""
        await self.world.wait(
            lambda: (
                all(sorted(self.weights.get(n, {}).values()) == [10, 90] for n in numbers)
                and all((self.status[n].get("candidate") or {}).get("routed") == 10 for n in numbers)
            ),
            "the candidates have 10%",
            120 + len(numbers),
        )
        await asyncio.sleep(3)


def _name(number: int) -> str:
    return f"m{number:04}"


def _number(name: str) -> int:
    return int(name[1:])


def _namespace(number: int) -> str:
    return NAMESPACES[number % len(NAMESPACES)]


def _ref(number: int) -> Ref:
    return Ref(MODEL_DEPLOYMENT, _namespace(number), _name(number))


class Failing:
    """Has candidates fail, and says how long it took until their traffic was gone."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet, self._cluster = fleet, fleet.world.cluster
        self.broken: set[str] = set()
        self.cpu = 0.0
        """Milliseconds of the operator for each, from the first failure until all traffic is back."""
        fleet.world.played.starts = lambda uri: uri not in self.broken

    async def prepare(self, numbers: range) -> dict[int, tuple[Manifest, Manifest]]:
        """Read what is to be written when a candidate fails, so that nothing else is in its time."""
        found = {}
        for number in numbers:
            weights = self._fleet.weights[number]
            name = min(weights, key=lambda service: weights[service])
            deployment = await self._cluster.get(Ref(DEPLOYMENT, _namespace(number), name))
            pods = await self._cluster.get(Ref(ENDPOINT_SLICE, _namespace(number), name))
            assert deployment is not None
            assert pods is not None
            found[number] = (deployment, pods)
        return found

    async def fail(self, number: int, deployment: Manifest, pods: Manifest) -> float:
        """Have the pods of a candidate turn unready; give when that began."""
        self.broken.add(deployment["metadata"]["annotations"]["uri"])
        counts = dict.fromkeys(("readyReplicas", "availableReplicas"), 0)
        status = {**deployment["status"], **counts}
        began = time.perf_counter()
        unready = [{**one, "conditions": {"ready": False}} for one in pods["endpoints"]]
        await asyncio.gather(
            self._cluster.write_status(deployment, status),
            self._cluster.change(pods, {"endpoints": unready}),
        )
        return began

    async def measure(self, numbers: range, pause: float) -> list[float]:
        """Have all fail, in random order and `pause` seconds apart on average; give the milliseconds of each."""
        prepared, cpu = await self.prepare(numbers), self._fleet.world.cpu_ms()
        order = random.Random(1).sample(list(numbers), len(numbers))
        gaps = random.Random(2)
        tasks = []
        for number in order:
            tasks.append(asyncio.create_task(self.fail(number, *prepared[number])))
            if pause:
                await asyncio.sleep(gaps.expovariate(1 / pause))
        began = dict(zip(order, await asyncio.gather(*tasks), strict=True))
        await self._fleet.world.wait(
            lambda: all(self._fleet.changed.get(n, 0) > began[n] for n in numbers), "traffic is back", 120
        )
        self.cpu = (self._fleet.world.cpu_ms() - cpu) / len(numbers)
        return [(self._fleet.changed[number] - began[number]) * 1000 for number in numbers]

    async def mend(self, numbers: range) -> None:
        """Have the candidates come back to their 10%."""
        self.broken.clear()
        for number in numbers:
            for service in self._fleet.backends[number]:
                self._fleet.world.played.look_at(_namespace(number), service.removesuffix("-predictor"))
        await self._fleet.canaries(numbers)


async def run(arguments: argparse.Namespace, live: World) -> dict[str, Any]:
    fleet = Fleet(live)
    await fleet.begin()
    everything = range(arguments.deployments)
    canaries = range(arguments.canaries)
    rolling = range(arguments.canaries, arguments.canaries + arguments.rolling)
    began = time.monotonic()
    await fleet.apply_all(everything, 1, CANARY)
    await fleet.promoted(everything, 1)
    await fleet.apply_all(canaries, 2, CANARY)
    await fleet.canaries(canaries)
    print(
        f"{len(everything)} deployments, {len(canaries)} in a canary, after {time.monotonic() - began:.0f} s"
    )
    failing, figures = Failing(fleet), {}
    for name, pause in (("one after the other", arguments.pause), ("all at once", 0.0)):
        figures[name] = row(name, await failing.measure(canaries, pause), failing.cpu)
        await failing.mend(canaries)
    rolls = asyncio.create_task(_roll(fleet, rolling))
    await asyncio.sleep(0.5)
    name = f"one after the other, while {len(rolling)} others roll out"
    figures[name] = row(name, await failing.measure(canaries, arguments.pause), failing.cpu)
    rolls.cancel()
    return {"cores": os.cpu_count(), "deployments": len(everything), "rows": figures}


async def _roll(fleet: Fleet, numbers: range) -> None:
    version = 2
    while True:
        await fleet.apply_all(numbers, version, AT_ONCE)
        await fleet.promoted(numbers, version)
        version += 1


def row(name: str, times: list[float], cpu: float) -> dict[str, float]:
    figures = {
        "p50": round(statistics.median(times), 1),
        "p99": round(quantile(times, 0.99), 1),
        "slowest": round(max(times), 1),
        "operator_cpu_each": round(cpu, 1),
    }
    print(f"| {name} | {' | '.join(f'{value:.0f}' for value in figures.values())} |", flush=True)
    return figures


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--deployments", type=int, default=1000)
    parser.add_argument("--canaries", type=int, default=100)
    parser.add_argument("--rolling", type=int, default=100)
    parser.add_argument("--pause", type=float, default=0.2, help="seconds between two failures on average")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()

    async def measured(plane: Any, operator: Any) -> dict[str, Any]:
        async with world(plane, operator) as live:
            return await run(arguments, live)

    with operated(NAMESPACES) as (plane, operator):
        figures = asyncio.run(measured(plane, operator))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
