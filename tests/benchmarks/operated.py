"""A control plane with Mooring's definitions, KServe's and the Gateway API's, and the operator as its own process."""

from __future__ import annotations

import asyncio
import logging
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from mooring_operator.adapters.api_server import Connection, load_config
from mooring_operator.adapters.kubernetes import KubernetesCluster

from cluster.control_plane import ControlPlane
from tests.benchmarks.played_cluster import PlayedCluster, Watches
from tests.cluster.gateway_operator import install_runtime
from tests.cluster.rollout_steps import Operator, install
from tests.cluster.test_routers_contract_cluster import define_gateways
from tests.played_gateway import NAME, NAMESPACE, PlayedGateway


@dataclass
class World:
    """Everything at work; `cluster` is for users, and for whoever breaks something."""

    cluster: KubernetesCluster
    watches: Watches
    played: PlayedCluster
    operator: Operator
    process: psutil.Process

    def cpu_ms(self) -> float:
        """CPU that the operator has used, in milliseconds."""
        return float(sum(self.process.cpu_times()[:2])) * 1000

    def calls(self) -> Counter[tuple[str, str]]:
        """What the operator has asked of the API server so far, but for its lease."""
        found: Counter[tuple[str, str]] = Counter()
        for (verb, resource, _), count in self.operator.requests().items():
            if resource != "leases":
                found[verb, resource] += count
        return found

    async def wait(self, holds: Callable[[], bool], what: str, seconds: float) -> None:
        """Wait until something holds; raises TimeoutError, or what has gone wrong."""
        deadline = time.monotonic() + seconds
        while not holds():
            if (failed := self.watches.failed()) is not None:
                raise failed
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {seconds:g} s: {what}")
            await asyncio.sleep(0.02)


@contextmanager
def operated(namespaces: Iterable[str], **settings: Any) -> Any:
    """Start a control plane and an operator in it; gives both."""
    # Conflicts of those who are played are tried again, as the real ones do.
    logging.getLogger("mooring_operator.runtime.workqueue").setLevel(logging.ERROR)
    with ExitStack() as stack:
        plane = stack.enter_context(ControlPlane())
        for namespace in namespaces:
            install(plane.api, namespace) if namespace == next(iter(namespaces)) else plane.api.apply(
                {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
            )
        install_runtime(plane.api)
        define_gateways(plane.api)
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        named = {"gateway": f"{NAMESPACE}/{NAME}", "gateway_service": f"{NAMESPACE}/envoy"}
        log = Path(folder) / "operator.log"
        # Not by way of `with`: what it said is shown when something fails.
        operator = Operator(plane.kubeconfig, log, **{"log_level": "warning", **named, **settings})
        with operator:
            try:
                yield plane, operator
            except BaseException:
                print(operator.process.tail())
                raise


@asynccontextmanager
async def world(plane: ControlPlane, operator: Operator) -> AsyncIterator[World]:
    """Have everybody else at work beside the operator."""
    connection = Connection(load_config(Path(plane.kubeconfig)))
    cluster = KubernetesCluster(connection, page=500)
    try:
        await PlayedGateway(cluster, "").open()
        async with Watches(plane).open() as watches:
            played = PlayedCluster(cluster)
            playing = await played.begin(watches)
            yield World(cluster, watches, played, operator, psutil.Process(operator.process.pid))
            playing.cancel()
    finally:
        await connection.close()


def quantile(values: Iterable[float], share: float) -> float:
    """Give the value that `share` of all do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
