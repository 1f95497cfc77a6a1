"""CPU time per call, and memory, of three ways to talk to the Kubernetes API from asyncio.

    python tests/benchmarks/kubernetes_clients.py CLIENT --kubeconfig FILE

CLIENT is `plain` (httpx2 as lightkube configures it, JSON in and out: what Mooring does), `lightkube`
(generic resources) or `kubernetes_asyncio` (dynamic client; not among Mooring's requirements).
The object is a Deployment of about 4 KB. rss_mib is what imports and the first calls add to a bare interpreter.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

Call = Callable[[], Awaitable[Any]]
NAME = "kubernetes-clients-benchmark"
LABELS = {"app": NAME}
MANIFEST = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": NAME, "namespace": "default", "annotations": {f"a{i}": "x" * 40 for i in range(40)}},
    "spec": {
        "replicas": 0,
        "selector": {"matchLabels": LABELS},
        "template": {
            "metadata": {"labels": LABELS},
            "spec": {"containers": [{"name": "c", "image": "example.org/image"}]},
        },
    },
}
CONDITIONS = [{"type": f"C{i}", "status": "True", "reason": "R", "message": "m" * 60} for i in range(6)]
BASE = "/apis/apps/v1/namespaces/default/deployments"


def resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


async def plain(kubeconfig: Path) -> dict[str, Call]:
    from mooring_operator.adapters.api_server import Connection, load_config
    from mooring_operator.adapters.cluster import Kind, Ref
    from mooring_operator.adapters.kubernetes import KubernetesCluster

    cluster = KubernetesCluster(Connection(load_config(kubeconfig)))
    ref = Ref(Kind("apps/v1", "Deployment", "deployments"), "default", NAME)
    await cluster.apply(MANIFEST)
    latest = await cluster.get(ref)

    async def status() -> None:
        nonlocal latest
        latest = await cluster.write_status(latest, {"conditions": CONDITIONS, "observedGeneration": 1})

    return {"get": lambda: cluster.get(ref), "apply": lambda: cluster.apply(MANIFEST), "status": status}


async def lightkube(kubeconfig: Path) -> dict[str, Call]:
    from lightkube import AsyncClient, KubeConfig
    from lightkube.generic_resource import create_namespaced_resource
    from lightkube.types import PatchType

    client = AsyncClient(KubeConfig.from_file(kubeconfig), field_manager="benchmark")
    deployment = create_namespaced_resource("apps", "v1", "Deployment", "deployments")

    async def get() -> Any:
        return (await client.get(deployment, NAME, namespace="default")).to_dict()

    async def apply() -> Any:
        found = await client.patch(
            deployment, NAME, MANIFEST, namespace="default", patch_type=PatchType.APPLY, force=True
        )
        return found.to_dict()

    latest = await apply()

    async def status() -> None:
        nonlocal latest
        wanted = {**latest, "status": {"conditions": CONDITIONS, "observedGeneration": 1}}
        written = await client.replace(
            deployment.Status.from_dict(wanted),
            NAME,
            namespace="default",  # type: ignore[attr-defined]
        )
        latest = written.to_dict()

    return {"get": get, "apply": apply, "status": status}


async def kubernetes_asyncio(kubeconfig: Path) -> dict[str, Call]:
    from kubernetes_asyncio import client, config
    from kubernetes_asyncio.dynamic import DynamicClient

    await config.load_kube_config(str(kubeconfig))
    dynamic = await DynamicClient(client.ApiClient())
    deployments = await dynamic.resources.get(api_version="apps/v1", kind="Deployment")

    async def get() -> Any:
        return (await deployments.get(name=NAME, namespace="default")).to_dict()

    async def apply() -> Any:
        found = await dynamic.server_side_apply(
            deployments, body=MANIFEST, namespace="default", field_manager="benchmark", force_conflicts=True
        )
        return found.to_dict()

    await apply()
    latest = await get()

    async def status() -> None:
        nonlocal latest
        wanted = {**latest, "status": {"conditions": CONDITIONS, "observedGeneration": 1}}
        latest = (await deployments.status.replace(body=wanted, namespace="default")).to_dict()

    return {"get": get, "apply": apply, "status": status}


async def measure(call: Call, calls: int) -> float:
    """CPU microseconds of this process per call; the best of five rounds."""
    rounds = []
    for _ in range(5):
        start = time.process_time()
        for _ in range(calls):
            await call()
        rounds.append((time.process_time() - start) / calls * 1e6)
    return min(rounds)


async def run(client: str, kubeconfig: Path, calls: int) -> None:
    if client == "plain":
        import mooring_operator.api  # noqa: F401 - the resource models are there in any case

    before = resident_mib()
    found = await {"plain": plain, "lightkube": lightkube, "kubernetes_asyncio": kubernetes_asyncio}[client](
        kubeconfig
    )
    result = {name: round(await measure(call, calls)) for name, call in found.items()}
    print(json.dumps({"client": client, "rss_mib": round(resident_mib() - before, 1), **result}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("client", choices=["plain", "lightkube", "kubernetes_asyncio"])
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--calls", type=int, default=100, help="calls per round")
    options = parser.parse_args()
    asyncio.run(run(options.client, options.kubeconfig, options.calls))
