"""The agent: watches InferenceServices, keeps their processes, writes their status, answers on one address."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import count, cycle
from typing import Any

import httpx2
import uvicorn
from lightkube.core.exceptions import ApiError

from cluster.serving.api import InferenceServices
from cluster.serving.directory import Directory, Key
from cluster.serving.front import Front
from cluster.serving.pods import Pods
from cluster.serving.predictors import Deployment, model_name
from cluster.serving.replica import Replica, Runtime
from cluster.serving.runtimes import PLURALS
from cluster.serving.service import Service

log = logging.getLogger(__name__)

_RETRY_SECONDS = 1.0


@dataclass(frozen=True)
class Address:
    """Where the front listens and what hosts it answers for.

    ``pods`` is the network that model servers have addresses of, such as ``10.99.0.0/16``; None for this machine's.
    """

    host: str
    port: int
    domain: str
    pods: str | None = None

    def of_pods(self) -> Iterator[str] | None:
        """Yield an address for one process after the other: one is used again when all have been."""
        if self.pods is None:
            return None
        return cycle(str(address) for address in ipaddress.ip_network(self.pods).hosts())


class Agent:
    """Reconciles InferenceServices one at a time; a key is in the queue at most once.

    With ``pods``, those that others route to have Deployments, and every process an address of ``addresses``.
    """

    def __init__(
        self,
        api: InferenceServices,
        runtime: Runtime,
        directory: Directory,
        base_url: str,
        *,
        pods: Pods | None = None,
        addresses: Iterator[str] | None = None,
    ) -> None:
        self._pods, self._addresses = pods, addresses
        self._api = api
        self._runtime = runtime
        self._directory = directory
        self._base_url = base_url
        self._queue: asyncio.Queue[Key] = asyncio.Queue()
        self._queued: set[Key] = set()
        self._ending: set[asyncio.Task[None]] = set()
        self._serial = count()

    async def run(self) -> None:
        """Watch and reconcile until cancelled, then end all processes."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._again("watch", self._watch))
                if self._pods is not None:
                    tasks.create_task(self._again("watch of Deployments", self._watch_deployments))
                    tasks.create_task(self._again("watch of pods", self._watch_pods))
                for kind in PLURALS:
                    tasks.create_task(
                        self._again(f"watch of {PLURALS[kind]}", partial(self._watch_runtimes, kind))
                    )
                tasks.create_task(self._work())
        finally:
            await asyncio.gather(*(service.stop() for service in self._directory), *self._ending)

    async def _again(self, what: str, run: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await run()
            except (ApiError, httpx2.HTTPError, OSError) as exc:
                # The list afterwards finds whatever the watch has missed.
                log.warning("%s ended: %s", what, exc)
                await asyncio.sleep(_RETRY_SECONDS)

    async def _watch(self) -> None:
        objects, version = await self._api.list()
        listed = {_key(obj) for obj in objects}
        for obj in objects:
            self._observe(obj)
        for key in set(self._directory.keys()) - listed:
            self._forget(key)
        async for kind, obj in self._api.watch(version):
            if kind == "DELETED":
                self._forget(_key(obj))
            else:
                self._observe(obj)

    async def _watch_deployments(self) -> None:
        assert self._pods is not None
        await self._pods.ensure_node()
        async for key in self._pods.changed():
            self._enqueue(key)

    async def _watch_pods(self) -> None:
        assert self._pods is not None
        async for key in self._pods.deleted():
            self._enqueue(key)

    async def _watch_runtimes(self, kind: str) -> None:
        """As KServe does, look again at whatever may run on a runtime that changes."""
        async for namespace in self._api.runtime_changes(kind):
            for key in list(self._directory.keys()):
                if namespace in ("", key[0]):
                    self._enqueue(key)

    def _observe(self, obj: Mapping[str, Any]) -> None:
        key = _key(obj)
        service = self._directory.get(key)
        if service is not None and service.uid != obj["metadata"].get("uid", ""):
            self._forget(key)
            service = None
        if service is None:
            service = Service(
                obj, start=lambda deployment: self._start(key, deployment), base_url=self._base_url
            )
            self._directory.add(service)
        else:
            service.observe(obj)
        self._enqueue(key)

    def _forget(self, key: Key) -> None:
        service = self._directory.remove(key)
        if service is not None:
            task = asyncio.create_task(self._end(service))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    async def _end(self, service: Service) -> None:
        if self._pods is not None:
            try:
                await self._pods.remove(service)
            except (ApiError, httpx2.HTTPError, OSError) as exc:
                log.warning("%s/%s: pods not removed: %s", service.namespace, service.name, exc)
        await service.stop()

    def _start(self, key: Key, deployment: Deployment) -> Replica:
        # Not by the deployment's name, which comes from a predictor's: it may be any text.
        folder = self._runtime.scratch / key[0] / key[1] / str(next(self._serial))
        address = next(self._addresses) if self._addresses is not None else None
        model = model_name(deployment.predictor) or key[1]
        return Replica(model, deployment, folder, self._runtime, lambda: self._enqueue(key), address)

    def _enqueue(self, key: Key) -> None:
        if key not in self._queued:
            self._queued.add(key)
            self._queue.put_nowait(key)

    async def _work(self) -> None:
        while True:
            key = await self._queue.get()
            self._queued.discard(key)
            service = self._directory.get(key)
            if service is None:
                continue
            try:
                await self._reconcile(service)
            except (ApiError, httpx2.HTTPError, OSError) as exc:
                log.warning("%s/%s: status not written: %s", *key, exc)
                asyncio.get_running_loop().call_later(_RETRY_SECONDS, self._enqueue, key)
            except Exception:
                # One object that cannot be read must not stop the others.
                log.exception("%s/%s: not reconciled", *key)

    async def _reconcile(self, service: Service) -> None:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        if self._pods is not None:
            service.pods = await self._pods.asked(service)
            service.fleet.end(await self._pods.leaving(service))
        service.runtimes = await self._api.runtimes(service.namespace)
        status = service.reconcile(now)
        if self._pods is not None:
            await self._pods.show(service, now)
        if (routes := service.routes()) != service.routed:
            for route in routes:
                await self._api.write_route(dict(service.obj), route, now)
            service.routed = routes
        if status == service.status:
            return
        await self._api.write_status(service.namespace, service.name, status)
        service.status = status
        # What status says is an input in Knative mode.
        self._enqueue((service.namespace, service.name))


class _FrontServer(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # The agent handles signals: it has processes to end.
        yield


async def run_agent(kubeconfig: str, runtime: Runtime, address: Address) -> None:
    """Run until SIGTERM or SIGINT; raises OSError where the address is taken, ApiError or HTTPError without an API."""
    api = InferenceServices(kubeconfig)
    await api.ensure_definitions()
    directory = Directory(address.domain)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    with socket.create_server((address.host, address.port)) as listener:
        port = listener.getsockname()[1]
        config = uvicorn.Config(
            Front(directory),
            http="httptools",
            loop="none",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=5,
        )
        server = _FrontServer(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        url, addresses = f"http://{address.host}:{port}", address.of_pods()
        pods = Pods(api.client) if addresses is not None else None
        agent = asyncio.create_task(Agent(api, runtime, directory, url, pods=pods, addresses=addresses).run())
        log.info("listening", extra={"fields": {"host": address.host, "port": port}})
        # Without either of them there is nothing left to do.
        waiting = asyncio.create_task(stopping.wait())
        await asyncio.wait({waiting, agent, serving}, return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        await serving
        agent.cancel()
        results = await asyncio.gather(agent, return_exceptions=True)
        waiting.cancel()
        await api.close()
    for result in results:
        if isinstance(result, Exception):
            raise result


def _key(obj: Mapping[str, Any]) -> Key:
    return obj["metadata"]["namespace"], obj["metadata"]["name"]
