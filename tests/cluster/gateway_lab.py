"""A gateway with real traffic: Envoy before real model servers, in a network that nobody else is in.

Kubernetes has no node here: the lab writes what a kubelet and the controllers would.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections import Counter
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import httpx
from mooring_operator.adapters.api_server import Connection, load_config
from mooring_operator.adapters.cluster import Ref
from mooring_operator.adapters.kubernetes import KubernetesCluster
from mooring_operator.adapters.routers import gateway_routes as routes
from mooring_operator.adapters.routers.http_routes import HTTP_ROUTE, why_not_taken_up
from mooring_operator.adapters.routers.owned import find_owned
from mooring_operator.adapters.routers.route_writer import RouteWriter
from mooring_operator.api.rollout_status import Revision
from mooring_operator.planning.objects.owner import Owner
from mooring_operator.planning.routing import Arm, Routing

from cluster.control_plane import ControlPlane
from cluster.envoy_gateway import NAME, NAMESPACE, EnvoyGateway
from cluster.network_namespace import NetworkNamespace
from cluster.processes import Watchdog, start, wait_until_ready
from tests.unit.inference.inference_process import BODY, save_negation

MODELS = "models"
OWNER = Owner(MODELS, "digits", "9a1f2f6e-0000-4000-8000-000000000001", 1)
ENTRANCE = routes.Entrance(NAME, NAMESPACE, "digits.example.com")
HOSTS = (*routes.in_cluster_hosts("digits", MODELS), "digits.example.com")
ADDRESS = routes.Address("digits", HOSTS, "digits.example.com")
ROUTE = routes.route_name(OWNER.name)
HOST = "digits.models"
PATH = "/v2/models/digits/infer"


@dataclass
class Seen:
    """What became of requests: answers by revision, and what went wrong."""

    answered: Counter = field(default_factory=Counter)
    failed: list = field(default_factory=list)
    cookies: list = field(default_factory=list)

    @property
    def total(self):
        return sum(self.answered.values()) + len(self.failed)


class GatewayLab:
    """Everything; revisions are called r1, r2, ... and each has one model server."""

    def __init__(self, plane, folder, gateway):
        self.api, self.folder, self.gateway = plane.api, folder, gateway
        self.kubeconfig = Path(plane.kubeconfig)
        self.servers = {}

    @asynccontextmanager
    async def connected(self):
        """The lab with connections for the event loop of one test."""
        connection = Connection(load_config(self.kubeconfig))
        self.cluster = KubernetesCluster(connection)
        self.writer = RouteWriter(self.cluster)
        try:
            yield self
        finally:
            await connection.close()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.gateway.port}"

    async def put(self, routing, *, wait=True):
        """Have the routing in effect."""
        backends = {arm.revision.revision: backend(arm.revision.revision) for arm in routing.arms}
        backends |= {rule.revision: backend(rule.revision) for rule in routing.rules}
        wanted = routes.route(OWNER, routing, backends, ENTRANCE, ADDRESS)
        present = await find_owned(self.cluster, HTTP_ROUTE, OWNER, ROUTE)
        await self.writer.write(wanted, present)
        if wait:
            await self.in_effect()

    async def told(self, why, seconds=60):
        """Wait until the gateway has said why the route is not in effect, and give that."""
        ref = Ref(HTTP_ROUTE, MODELS, ROUTE)
        deadline = time.monotonic() + seconds
        while "does not take up" not in (said := why(await self.cluster.get(ref))):
            assert time.monotonic() < deadline, said
            await asyncio.sleep(0.02)
        return said

    @contextmanager
    def listeners(self, change):
        """The Gateway with its listeners changed, for as long as the block lasts."""
        path = f"/apis/gateway.networking.k8s.io/v1/namespaces/{NAMESPACE}/gateways/{NAME}"
        before = self.gateway.gateway()["spec"]["listeners"]
        changed = [{**listener, **change} for listener in before]
        try:
            yield self._listen(path, changed)
        finally:
            self._listen(path, before)

    def _listen(self, path, listeners):
        made = self.api.merge(path, {"spec": {"listeners": listeners}})
        deadline = time.monotonic() + 60
        while not self._has_seen(gateway := self.gateway.gateway(), made["metadata"]["generation"]):
            assert time.monotonic() < deadline, gateway
            time.sleep(0.02)
        return gateway

    @staticmethod
    def _has_seen(gateway, generation):
        conditions = gateway["status"]["conditions"]
        return all(condition["observedGeneration"] == generation for condition in conditions)

    def expose(self, name, address):
        """Give a revision its Service, with a pod at an address, or none."""
        _expose(self.api, name, address)

    async def in_effect(self, seconds=60):
        ref = Ref(HTTP_ROUTE, MODELS, ROUTE)
        deadline = time.monotonic() + seconds
        while why := why_not_taken_up(found := await self.cluster.get(ref)):
            assert time.monotonic() < deadline, why
            await asyncio.sleep(0.005)
        return found

    async def settled(self, routing):
        """Have the routing in effect, and every request decided by it."""
        await self.put(routing)
        # Envoy listens once it has been told of a first route.
        while not await _accepts(self.gateway.port):
            await asyncio.sleep(0.05)
        # The gateway tells Envoy and the API server at the same time; Envoy was never seen to be 40 ms late.
        await asyncio.sleep(0.3)

    async def ask(self, count, *, headers=None, host=HOST, at_once=16):
        """Send requests, and count who answered."""
        seen, left = Seen(), iter(range(count))
        async with asking(self.url) as http:

            async def one_after_the_other():
                for _ in left:
                    await ask_once(http, seen, {"host": host, **(headers or {})})

            await asyncio.gather(*(one_after_the_other() for _ in range(at_once)))
        return seen

    async def received(self, revision):
        """How many requests a revision's server has answered, whoever got the answers."""
        url = f"http://{self.servers[revision]}:8080/metrics"
        async with aiohttp.ClientSession() as http, http.get(url) as answer:
            text = await answer.text()
        lines = [line for line in text.splitlines() if line.startswith("mooring_inference_requests_total{")]
        return sum(int(float(line.rpartition(" ")[2])) for line in lines)


@asynccontextmanager
async def asking(url):
    async with aiohttp.ClientSession(
        url, timeout=aiohttp.ClientTimeout(total=10), cookie_jar=aiohttp.DummyCookieJar()
    ) as http:
        yield http


async def ask_once(http, seen, headers):
    try:
        async with http.post(PATH, json=BODY, headers=headers) as answer:
            text = await answer.text()
    except (aiohttp.ClientError, TimeoutError) as error:
        seen.failed.append(repr(error))
        return
    if answer.status == 200:
        seen.answered[answer.headers["x-mooring-revision"]] += 1
        seen.cookies.extend(answer.headers.getall("set-cookie", []))
    else:
        seen.failed.append(f"{answer.status}: {text[:80]}")


@asynccontextmanager
async def load(lab, at_once=8, pause=0.02, host=HOST):
    """Send requests all the while, some hundreds a second; what became of them is complete at the end."""
    seen, ended = Seen(), asyncio.Event()
    async with asking(lab.url) as http:

        async def user():
            while not ended.is_set():
                await ask_once(http, seen, {"host": host})
                await asyncio.sleep(pause)

        users = [asyncio.create_task(user()) for _ in range(at_once)]
        try:
            yield seen
        finally:
            ended.set()
            await asyncio.gather(*users)


def backend(name):
    return routes.Backend(f"digits-{name}-predictor", 80, 8081)


def revision(name):
    return Revision(revision=name, model_uri="s3://m/1", storage_uri="s3://m/1", format="onnx", serving={})


def arms(**weights):
    return tuple(Arm(revision(name), weight) for name, weight in weights.items())


def routing(**weights):
    return Routing(arms(**weights))


@contextmanager
def gateway_lab(folder, revisions=("r1", "r2", "r3"), *, exposed=True, **flags):
    """The lab, in a network namespace of its own; raises ProgramUnavailableError where it cannot be had.

    exposed: whether every server has a Service from the beginning. flags: of the servers, beside those of all.
    """
    addresses = {name: f"10.99.1.{number}" for number, name in enumerate(revisions, start=1)}
    with ExitStack() as stack:
        stack.enter_context(NetworkNamespace())
        plane = stack.enter_context(ControlPlane())
        gateway = stack.enter_context(EnvoyGateway(plane.api, plane.kubeconfig, folder / "gateway"))
        lab = GatewayLab(plane, folder, gateway)
        plane.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": MODELS}})
        plane.api.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node"}})
        model, watchdog = save_negation(folder / "model"), Watchdog()
        stack.callback(watchdog.dismiss)
        started = {}
        for name, address in addresses.items():
            started[name] = serve(name, address, model, folder, watchdog, **flags)
            stack.callback(started[name].stop)
        for name, address in addresses.items():
            wait_until_ready(started[name], lambda at=address: _is_ready(at), timeout=60)
            if exposed:
                _expose(plane.api, name, address)
            lab.servers[name] = address
        yield lab


def serve(name, address, model, folder, watchdog, *, drain=0, **more):
    """Start a model server for a revision, which drains for so many seconds when it is to end."""
    flags = {
        "model_name": "digits", "model_dir": model, "host": address, "http_port": 8080, "grpc_port": 8081,
        "threads": 1, "drain_seconds": drain, **more,
    }  # fmt: skip
    command = [
        sys.executable,
        "-m",
        "mooring_inference",
        *(f"--{flag}={value}" for flag, value in flags.items()),
    ]
    environment = os.environ | {"MOORING_REVISION": name}
    process = start(name, command, log=folder / f"{name}.log", environment=environment)
    watchdog.watch(process)
    return process


def _is_ready(address):
    try:
        return httpx.get(f"http://{address}:8080/v2/health/ready", timeout=1).status_code == 200
    except httpx.HTTPError:
        return False


def _expose(api, name, address):
    """Write the Service that KServe makes for a revision, and the pod and slice of a kubelet and controllers."""
    service = f"digits-{name}-predictor"
    labels = {"app": f"isvc.{service}"}
    common = {"namespace": MODELS}
    pod = {"addresses": [address], "conditions": {"ready": True}, "nodeName": "node"}
    ports = [
        {"name": "http", "port": 80, "targetPort": 8080},
        {"name": "grpc", "port": 8081, "targetPort": 8081, "appProtocol": "kubernetes.io/h2c"},
    ]
    api.apply(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": service, **common},
            "spec": {"selector": labels, "ports": ports},
        }
    )
    api.apply(
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": service, "labels": {"kubernetes.io/service-name": service}, **common},
            "addressType": "IPv4",
            "endpoints": [pod] if address else [],
            "ports": [{"name": "http", "port": 8080}, {"name": "grpc", "port": 8081}],
        }
    )


async def _accepts(port):
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionError:
        return False
    writer.close()
    return True
