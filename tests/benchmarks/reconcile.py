"""How fast and how heavy the operator is, on a real API server.

    python tests/benchmarks/reconcile.py [--sizes 1,100,1000] [--largest 3000] [--idle 60] [--json FILE]

For each size that many ModelDeployments are applied at once. Measured are: the time from a deployment's apply
to its InferenceService, the API calls and status writes it takes until it is promoted, the calls in an idle
minute beyond watches and the lease, and the operator's memory. What plays KServe sets each service ready.
"""

import argparse
import asyncio
import json
import os
import re
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx2
import psutil
from mooring_operator.adapters.api_server import Connection, load_config
from mooring_operator.api.crds import RESOURCES, custom_resource_definition

from cluster.control_plane import ControlPlane
from cluster.processes import free_ports, start, wait_until_ready
from cluster.serving.inferenceservice_crd import inferenceservice_crd

NAMESPACE = "bench"
DEPLOYMENTS = f"/apis/mooring.dev/v1alpha1/namespaces/{NAMESPACE}/modeldeployments"
SERVICES = f"/apis/serving.kserve.io/v1beta1/namespaces/{NAMESPACE}/inferenceservices"


def deployment(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "mooring.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "model": {"uri": f"pvc://models/{name}", "format": "onnx"},
            "serving": {"minReplicas": 2, "maxReplicas": 4, "gpu": {"count": 1}},
            "rollout": {
                "router": "KServe",
                "steps": [{"setWeight": 10}, {"pause": {"duration": "5m"}}, {"setWeight": 100}],
            },
        },
    }


class World:
    """The API server from outside, and what plays KServe in it."""

    def __init__(self, connection: Connection, health: str) -> None:
        self.connection = connection
        self.health = health
        self.applied: dict[str, float] = {}
        self.served: dict[str, float] = {}
        self.promoted: set[str] = set()

    async def send(self, method: str, path: str, body: Any = None, **options: Any) -> dict[str, Any]:
        return await self.connection.send(method.lower(), method, path, resource="", body=body, **options)

    async def apply(self, name: str) -> None:
        self.applied[name] = time.perf_counter()
        await self.send("POST", DEPLOYMENTS, deployment(name))

    async def play_kserve(self, client: httpx2.AsyncClient) -> None:
        async for event in watch(client, SERVICES):
            resource = event["object"]
            name = resource["metadata"]["name"]
            if event["type"] == "ADDED":
                self.served[name] = time.perf_counter()
                conditions = [
                    {"type": kind, "status": "True"} for kind in ("Ready", "PredictorReady", "IngressReady")
                ]
                status = {"status": {"url": f"http://{name}.example", "conditions": conditions}}
                path = f"{SERVICES}/{name}/status"
                await self.send("PATCH", path, status, content_type="application/merge-patch+json")

    async def watch_promotions(self, client: httpx2.AsyncClient) -> None:
        async for event in watch(client, DEPLOYMENTS):
            if event["object"].get("status", {}).get("phase") == "Promoted":
                self.promoted.add(event["object"]["metadata"]["name"])

    def calls(self) -> Counter[tuple[str, str]]:
        text = httpx2.get(f"{self.health}/metrics").text
        found: Counter[tuple[str, str]] = Counter()
        for labels, value in re.findall(r"^mooring_api_requests_total\{(.*)\} (.*)$", text, re.MULTILINE):
            fields = dict(re.findall(r'(\w+)="([^"]*)"', labels))
            if fields["resource"] != "leases":
                found[fields["verb"], fields["resource"]] += int(float(value))
        return found


async def watch(client: httpx2.AsyncClient, path: str) -> Any:
    """Follow a collection for ever, from now."""
    while (answer := await client.get(path)).status_code != 200:
        await asyncio.sleep(0.1)  # the definition was applied a moment ago
    version = answer.json()["metadata"]["resourceVersion"]
    # The API server ends the watch of whoever is slow, as on a loaded machine.
    while True:
        parameters = {"watch": "true", "resourceVersion": version}
        async with client.stream("GET", path, params=parameters, timeout=None) as response:
            async for line in response.aiter_lines():
                event = json.loads(line)
                version = event["object"]["metadata"]["resourceVersion"]
                yield event


async def until(condition: Any, seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.05)


async def measure(world: World, names: list[str], operator: psutil.Process) -> dict[str, Any]:
    """Apply `names` at once, wait until all are promoted; times in ms, memory in MB, requests for each."""
    before, cpu = world.calls(), sum(operator.cpu_times()[:2])
    gate = asyncio.Semaphore(16)

    async def apply(name: str) -> None:
        async with gate:
            await world.apply(name)

    began = time.perf_counter()
    await asyncio.gather(*(apply(name) for name in names))
    try:
        await until(lambda: world.promoted >= set(names), 60 + len(names) / 5)
    except TimeoutError:
        left = sorted(set(names) - world.promoted)
        print(
            f"{len(left)} are not promoted, of which {len(set(left) & world.served.keys())} are served: {left[:5]}"
        )
        raise
    took = time.perf_counter() - began
    calls = world.calls() - before
    latencies = sorted((world.served[name] - world.applied[name]) * 1000 for name in names)
    return {
        "n": len(names),
        "p50": statistics.median(latencies),
        "p99": latencies[min(len(latencies) - 1, int(len(latencies) * 0.99))],
        "all": took,
        "calls": sum(calls.values()) / len(names),
        "status": sum(count for (verb, _), count in calls.items() if "status" in verb or verb == "update")
        / len(names),
        "cpu": (sum(operator.cpu_times()[:2]) - cpu) * 1000 / len(names),
        "rss": operator.memory_info().rss / 1e6,
        "requests": {" ".join(request): round(count / len(names), 2) for request, count in calls.items()},
    }


async def run(plane: ControlPlane, arguments: argparse.Namespace) -> None:
    config = load_config(plane.kubeconfig)
    connection = Connection(config)
    port = free_ports(1)[0]
    world = World(connection, f"http://127.0.0.1:{port}")
    for definition in [
        *(custom_resource_definition(resource) for resource in RESOURCES),
        inferenceservice_crd(),
    ]:
        await world.send("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)
    await world.send("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    log = Path(tempfile.mkdtemp()) / "operator.log"
    environment = {
        **os.environ,
        "MOORING_KUBECONFIG": str(plane.kubeconfig),
        "MOORING_HEALTH_HOST": "127.0.0.1",
        "MOORING_HEALTH_PORT": str(port),
        "MOORING_LOG_LEVEL": "warning",
    }
    process = start("operator", _command(arguments.profile), log=log, environment=environment)
    try:
        wait_until_ready(process, lambda: _ready(world.health), timeout=300)
        token = (plane.files.tokens.read_text()).partition(",")[0]
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx2.AsyncClient(base_url=plane.server, headers=headers, verify=False) as client:
            watchers = [
                asyncio.create_task(world.play_kserve(client)),
                asyncio.create_task(world.watch_promotions(client)),
            ]
            await asyncio.sleep(1)
            figures = await _table(world, psutil.Process(process.pid), arguments)
            for watcher in watchers:
                watcher.cancel()
        if arguments.json is not None:
            arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
    except Exception:
        print(process.tail())
        raise
    finally:
        process.stop()
        await connection.close()


async def _table(world: World, operator: psutil.Process, arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure and print row by row; give all rows, and what is called in the idle time."""
    at_rest = operator.memory_info().rss / 1e6
    print(f"operator at rest: {at_rest:.0f} MB\n")
    rows = []
    print("| deployments at once | apply to InferenceService p50 / p99 (ms) | all promoted (s) "
          "| calls each | status writes each | operator CPU each (ms) | operator memory (MB) |")  # fmt: skip
    print("|---|---|---|---|---|---|---|")
    total = 0
    for size in [int(part) for part in arguments.sizes.split(",")]:
        if size == 1:
            singles = [await measure(world, [f"one-{index}"], operator) for index in range(20)]
            total += 20
            row = {
                key: statistics.median(each[key] for each in singles) if key != "requests" else value
                for key, value in singles[0].items()
            }
            row["p99"] = max(each["p50"] for each in singles)
        else:
            row = await measure(world, [f"m{size}-{index}" for index in range(size)], operator)
            total += size
        rows.append(_printed(row))
    if arguments.largest > total:
        row = await measure(world, [f"x-{index}" for index in range(arguments.largest - total)], operator)
        rows.append(_printed({**row, "n": arguments.largest}))
    print()
    for row in rows:
        asked = sorted(row["requests"].items(), key=lambda request: -request[1])
        print(f"calls each, {row['n']:.0f} at once: " + ", ".join(f"{what} {n:g}" for what, n in asked if n))
    before, quiet = world.calls(), time.monotonic()
    while time.monotonic() - quiet < 5:
        await asyncio.sleep(0.5)
        if (now := world.calls()) != before:
            before, quiet = now, time.monotonic()
    await asyncio.sleep(arguments.idle)
    idle = world.calls() - before
    print(
        f"\nidle for {arguments.idle:g} s with {arguments.largest}: {sum(idle.values())} calls {dict(idle) or ''}"
    )
    return {"memory_at_rest_mb": at_rest, "rows": rows, "calls_when_idle": sum(idle.values())}


def _printed(row: dict[str, Any]) -> dict[str, Any]:
    print(
        f"| {row['n']:.0f} | {row['p50']:.0f} / {row['p99']:.0f} | {row['all']:.1f} | {row['calls']:.1f} "
        f"| {row['status']:.1f} | {row['cpu']:.1f} | {row['rss']:.0f} |",
        flush=True,
    )
    return row


def _command(profile: Path | None) -> list[str | Path]:
    profiler: list[str | Path] = ["-m", "cProfile", "-o", profile] if profile is not None else []
    return [sys.executable, *profiler, "-m", "mooring_operator"]


def _ready(health: str) -> bool:
    try:
        return httpx2.get(f"{health}/readyz").status_code == 200
    except httpx2.HTTPError:
        return False


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", default="1,100,1000")
    parser.add_argument("--largest", type=int, default=3000)
    parser.add_argument("--idle", type=float, default=60)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--profile", type=Path, metavar="FILE", help="have cProfile watch the operator")
    arguments = parser.parse_args()
    with ControlPlane() as plane:
        asyncio.run(run(plane, arguments))


if __name__ == "__main__":
    main()
