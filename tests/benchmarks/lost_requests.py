"""How many requests are lost in whole rollouts under constant load, behind a real Envoy.

    python -m tests.benchmarks.lost_requests [--rollouts 100] [--deployments 5] [--users 2] [--json FILE]

Deployments side by side on router Gateway: Contour drives Envoy, the operator is its own process on a real API server,
and every revision gets a mooring-inference of its own, at an address of its own, which is started when its Deployment
is to have a pod and gets SIGTERM when it is to have none, at the moment when its EndpointSlice stops naming it, as pods
do. Every third rollout is aborted by a person at 50% of traffic; the others go to 100% and are promoted. A request is
lost that is answered with anything but 200, or not within ten seconds. KServe and the kubelet are played; the machine
needs root, for a network namespace.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import signal
import tempfile
import time
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from mooring_operator.adapters.cluster import ClusterError, Manifest, Ref
from mooring_operator.adapters.routers.inference_services.revisions import DEPLOYMENT
from mooring_operator.adapters.routers.owned import ENDPOINT_SLICE, SERVICE
from mooring_operator.reconcile.kinds import MODEL_DEPLOYMENT

from cluster.processes import Process, Watchdog
from tests.cluster.gateway_lab import MODELS, GatewayLab, Seen, gateway_lab, load, serve
from tests.cluster.gateway_operator import operating
from tests.played_revisions import PlayedRevisions
from tests.put import put

STEPS: list[dict[str, Any]] = [{"setWeight": 10}, {"setWeight": 50}, {"setWeight": 100}]
ABORTED = [*STEPS[:2], {"pause": {}}, STEPS[2]]
DRAIN_S = 5


@dataclass
class Pod:
    """A model server of one revision; `ended` when it was asked to end."""

    process: Process
    address: str
    ready: bool = False
    ended: bool = False


@dataclass
class Nodes:
    """KServe, Kubernetes and the kubelet: a revision's Deployment has a process behind it while it has replicas."""

    lab: GatewayLab
    model: Path
    watchdog: Watchdog
    pods: dict[str, Pod] = field(default_factory=dict)
    started: int = 0

    def __post_init__(self) -> None:
        self._played = PlayedRevisions(self.lab.cluster, MODELS, selects=False)
        self._played.starts = self._is_ready
        self._by_uri: dict[str, Pod] = {}
        self._addresses = (f"10.99.{high}.{low}" for high in itertools.count(2) for low in range(1, 255))

    async def play(self) -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as http:
            while True:
                # The operator writes too: what came in between is seen the next time.
                with suppress(ClusterError):
                    await self._played.act()
                    there = await self.lab.cluster.list(DEPLOYMENT, namespace=MODELS)
                    for deployment in there:
                        await self._follow(http, deployment)
                    names = {deployment["metadata"]["name"] for deployment in there}
                    for name in [name for name in self.pods if name not in names]:
                        await self._end(name)
                await asyncio.sleep(0.05)

    def end(self) -> None:
        """End every process."""
        for pod in self._by_uri.values():
            pod.process.stop()

    def _is_ready(self, uri: str) -> bool:
        pod = self._by_uri.get(uri)
        return pod is not None and pod.ready and not pod.ended

    async def _follow(self, http: aiohttp.ClientSession, deployment: Manifest) -> None:
        name, uri = deployment["metadata"]["name"], deployment["metadata"]["annotations"]["uri"]
        if not deployment["spec"]["replicas"]:
            if name in self.pods:
                await self._end(name)
            return
        if name not in self.pods:
            self.started += 1
            revision, address = uri.removeprefix("s3://m/").replace("/", "-"), next(self._addresses)
            process = serve(revision, address, self.model, self.lab.folder, self.watchdog, drain=DRAIN_S)
            self.pods[name] = self._by_uri[uri] = Pod(process, address)
        pod = self.pods[name]
        if not pod.ready:
            with suppress(aiohttp.ClientError, TimeoutError):
                async with http.get(f"http://{pod.address}:8080/v2/health/ready") as answer:
                    pod.ready = answer.status == 200
        if pod.ready and deployment.get("status", {}).get("readyReplicas"):
            await self._select(name, pod.address)

    async def _end(self, name: str) -> None:
        pod = self.pods.pop(name)
        pod.ended = True
        await self._select(name, "")
        os.kill(pod.process.pid, signal.SIGTERM)

    async def _select(self, name: str, address: str) -> None:
        """Have the slice of a revision's Service name its pod, or none."""
        cluster = self.lab.cluster
        service = await cluster.get(Ref(SERVICE, MODELS, name))
        found = await cluster.get(Ref(ENDPOINT_SLICE, MODELS, name))
        if service is None:
            if found is not None:
                await cluster.delete(found)
            return
        pod = {"addresses": [address], "conditions": {"ready": True}, "nodeName": "node"}
        endpoints = [pod] if address else []
        if found is not None and (found.get("endpoints") or []) == endpoints:
            return
        labels = {**service["metadata"]["labels"], "kubernetes.io/service-name": name}
        wanted = {
            "apiVersion": ENDPOINT_SLICE.api_version,
            "kind": ENDPOINT_SLICE.kind,
            "metadata": {"name": name, "namespace": MODELS, "labels": labels},
            "addressType": "IPv4",
            "endpoints": endpoints,
            "ports": [{"name": service["spec"]["ports"][0]["name"], "port": 8080}],
        }
        await put(cluster, wanted, ENDPOINT_SLICE)


@dataclass
class Rollouts:
    """The rollouts of one deployment, one after the other; `ended` says how each of them did."""

    lab: GatewayLab
    name: str
    ended: list[str] = field(default_factory=list)

    async def run(self, versions: range) -> None:
        await self._apply(0, STEPS)
        await self._reaches("Promoted", 0)
        stable = 0
        for version in versions:
            if version % 3:
                await self._apply(version, STEPS)
                await self._reaches("Promoted", version)
                stable = version
            else:
                await self._apply(version, ABORTED)
                status = await self._wait(lambda now: now.get("reason") == "PausedByStep")
                given = {
                    "mooring.dev/abort": status["candidate"]["revision"],
                    "mooring.dev/abort-by": "admin",
                }
                await self.lab.cluster.set_annotations(await self._deployment(), given)
                await self._reaches("RolledBack", stable)
            self.ended.append("promoted" if version % 3 else "rolled back")

    async def _apply(self, version: int, steps: list[dict[str, Any]]) -> None:
        rollout = {"router": "Gateway", "steps": steps, "progressDeadline": "2m", "scaleDownDelay": "2s"}
        spec = {
            "model": {"uri": f"s3://m/{self.name}/{version}", "format": "onnx"},
            "serving": {"minReplicas": 1},
            "revisionHistoryLimit": 1,
            "rollout": rollout,
        }
        made = {
            "apiVersion": MODEL_DEPLOYMENT.api_version,
            "kind": MODEL_DEPLOYMENT.kind,
            "metadata": {"name": self.name, "namespace": MODELS},
            "spec": spec,
        }
        await put(self.lab.cluster, made, MODEL_DEPLOYMENT)

    async def _deployment(self) -> Manifest:
        found = await self.lab.cluster.get(Ref(MODEL_DEPLOYMENT, MODELS, self.name))
        assert found is not None
        return found

    async def _reaches(self, phase: str, version: int) -> None:
        uri = f"s3://m/{self.name}/{version}"
        await self._wait(
            lambda now: (now.get("phase"), (now.get("stable") or {}).get("storageUri")) == (phase, uri)
        )

    async def _wait(self, holds: Any, seconds: float = 180) -> Manifest:
        deadline = time.monotonic() + seconds
        while True:
            found = await self._deployment()
            status: Manifest = found.get("status", {})
            if status.get("observedGeneration") == found["metadata"]["generation"] and holds(status):
                return status
            assert time.monotonic() < deadline, (self.name, status)
            await asyncio.sleep(0.1)


async def run(arguments: argparse.Namespace, lab: GatewayLab) -> dict[str, Any]:
    watchdog = Watchdog()
    nodes = Nodes(lab, lab.folder / "model", watchdog)
    playing = asyncio.create_task(nodes.play())
    every = [Rollouts(lab, f"m{number}") for number in range(arguments.deployments)]
    each = -(-arguments.rollouts // len(every))
    try:
        await asyncio.gather(*(one.run(range(0)) for one in every))
        began = time.monotonic()
        async with AsyncExitStack() as stack:
            seen: list[Seen] = [
                await stack.enter_async_context(load(lab, arguments.users, host=f"{one.name}.{MODELS}"))
                for one in every
            ]
            telling = asyncio.create_task(_tell(every, seen, began))
            await asyncio.gather(*(one.run(range(1, each + 1)) for one in every))
            # What is left of the last ones leaves too.
            await asyncio.sleep(3)
            telling.cancel()
        took = time.monotonic() - began
    finally:
        playing.cancel()
        with suppress(asyncio.CancelledError):
            await playing
        nodes.end()
        watchdog.dismiss()
    lost = [f"{one.name}: {text}" for one, found in zip(every, seen, strict=True) for text in found.failed]
    ended = [how for one in every for how in one.ended]
    total = sum(found.total for found in seen)
    for text in lost[:10]:
        print(text)
    return {
        "rollouts": len(ended), "promoted": ended.count("promoted"), "rolled_back": ended.count("rolled back"),
        "pods_started": nodes.started, "seconds": round(took, 1), "requests": total,
        "requests_per_second": round(total / took, 1), "lost": len(lost), "first_lost": lost[:10],
    }  # fmt: skip


async def _tell(every: list[Rollouts], seen: list[Seen], began: float) -> None:
    while True:
        await asyncio.sleep(20)
        done, sent = sum(len(one.ended) for one in every), sum(found.total for found in seen)
        lost = sum(len(found.failed) for found in seen)
        print(
            f"after {time.monotonic() - began:.0f} s: {done} rollouts, {sent} requests, {lost} lost",
            flush=True,
        )


def main() -> None:
    """Measure, and print the row."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rollouts", type=int, default=100)
    parser.add_argument("--deployments", type=int, default=5, help="side by side")
    parser.add_argument("--users", type=int, default=2, help="of each, who ask all the while")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()

    async def measured(lab: GatewayLab) -> dict[str, Any]:
        async with lab.connected():
            return await run(arguments, lab)

    with (
        tempfile.TemporaryDirectory() as folder,
        gateway_lab(Path(folder), revisions=()) as lab,
        operating(lab, Path(folder)),
    ):
        figures = asyncio.run(measured(lab))
    print("| rollouts (promoted, rolled back) | requests | a second | lost | seconds |")
    print("|---|---|---|---|---|")
    print(
        f"| {figures['rollouts']} ({figures['promoted']}, {figures['rolled_back']}) | {figures['requests']} "
        f"| {figures['requests_per_second']} | {figures['lost']} | {figures['seconds']} |"
    )
    if arguments.json is not None:
        arguments.json.write_text(json.dumps({"cores": os.cpu_count(), **figures}, indent=2) + "\n")


if __name__ == "__main__":
    main()
