"""Everybody but the operator, played as soon as they are told: KServe, Kubernetes' controllers, and a Gateway's.

For benchmarks with many deployments: nothing is polled, and what one object is about costs a few calls.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from mooring_operator.adapters.api_server import collection_path
from mooring_operator.adapters.cluster import Cluster, Kind, Manifest, Ref
from mooring_operator.adapters.routers.http_routes import HTTP_ROUTE
from mooring_operator.adapters.routers.inference_services.objects import INFERENCE_SERVICE
from mooring_operator.adapters.routers.inference_services.revisions import DEPLOYMENT
from mooring_operator.adapters.routers.owned import ENDPOINT_SLICE, SERVICE
from mooring_operator.api.names import DEPLOYMENT_LABEL, MANAGED_BY, MANAGED_BY_VALUE, REVISION_LABEL
from mooring_operator.runtime.workqueue import Key, WorkQueue

from cluster.control_plane import ControlPlane
from tests.played_gateway import PlayedGateway
from tests.played_kserve import PlayedKServe
from tests.put import drop

WORKERS = 16
Saw = Callable[[str, Manifest], None]
"""Is told of an event: its type, and the object."""


class Watches:
    """Follows collections of a control plane, each in a task of its own for as long as the block lasts."""

    def __init__(self, plane: ControlPlane) -> None:
        self._server = plane.server
        self._token = plane.files.tokens.read_text().partition(",")[0]
        self._tasks: list[asyncio.Task[None]] = []

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Watches]:
        headers = {"Authorization": f"Bearer {self._token}"}
        connector = aiohttp.TCPConnector(ssl=False, limit=0)
        # A line is an object: one has a few kilobytes here, and more than a default allows where it is large.
        async with aiohttp.ClientSession(
            self._server,
            headers=headers,
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=None),
            read_bufsize=2**22,
        ) as http:
            self._http = http
            try:
                yield self
            finally:
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)

    async def follow(self, kind: Kind, saw: Saw) -> None:
        """Tell `saw` of every event from now on; returns when none can be missed any more."""
        path = collection_path(kind.api_version, kind.plural, None)
        async with self._http.get(path) as answer:
            answer.raise_for_status()
            version = (await answer.json())["metadata"]["resourceVersion"]
        self._tasks.append(asyncio.create_task(self._follow(path, version, saw)))

    async def _follow(self, path: str, version: str, saw: Saw) -> None:
        parameters = {"watch": "true", "resourceVersion": version, "timeoutSeconds": "3600"}
        async with self._http.get(path, params=parameters) as answer:
            answer.raise_for_status()
            async for line in answer.content:
                event = json.loads(line)
                saw(event["type"], event["object"])
        raise RuntimeError(f"the watch of {path} has ended")

    def failed(self) -> BaseException | None:
        """Why one of them has ended, if one has."""
        return next((task.exception() for task in self._tasks if task.done()), None)


class PlayedCluster:
    """Plays in all namespaces, for revisions that are served each by itself and for those that KServe shares.

    `starts` says which models' pods become ready, by their addresses.
    """

    def __init__(self, cluster: Cluster) -> None:
        self.starts: Callable[[str], bool] = lambda uri: True
        self._cluster = cluster
        self._gateways: dict[str, PlayedGateway] = {}
        self._kserve: dict[Key, PlayedKServe] = {}
        self._queue = WorkQueue(self._play, workers=WORKERS)
        self._handlers: dict[str, Callable[[Key], Awaitable[None]]] = {
            "InferenceService": self._serve,
            "Service": self._select,
            "HTTPRoute": self._take_up,
        }

    async def begin(self, watches: Watches) -> asyncio.Task[None]:
        """Begin to play; the task is to be cancelled at the end."""
        for kind in (INFERENCE_SERVICE, SERVICE, HTTP_ROUTE):
            await watches.follow(kind, lambda _, made, kind=kind: self._add(kind.kind, made))  # type: ignore[misc]
        await watches.follow(DEPLOYMENT, lambda _, made: self._deployment_changed(made))
        self._queue.resume()
        return asyncio.create_task(self._queue.run())

    def look_at(self, namespace: str, service: str) -> None:
        """Have an InferenceService looked at again."""
        self._queue.add(Key("InferenceService", namespace, service))

    def _add(self, kind: str, made: Manifest) -> None:
        metadata = made["metadata"]
        if (metadata.get("labels") or {}).get(MANAGED_BY) == MANAGED_BY_VALUE or kind == "HTTPRoute":
            self._queue.add(Key(kind, metadata["namespace"], metadata["name"]))

    def _deployment_changed(self, made: Manifest) -> None:
        metadata = made["metadata"]
        for owner in metadata.get("ownerReferences") or ():
            self.look_at(metadata["namespace"], owner["name"])
        name = (metadata.get("labels") or {}).get(DEPLOYMENT_LABEL)
        for selected in (name, f"{name}-preview") if name else ():
            self._queue.add(Key("Service", metadata["namespace"], selected))

    async def _play(self, key: Key) -> None:
        await self._handlers[key.kind](key)

    def _starts(self, uri: str) -> bool:
        return self.starts(uri)

    def _in(self, namespace: str) -> PlayedGateway:
        if namespace not in self._gateways:
            played = self._gateways[namespace] = PlayedGateway(self._cluster, namespace)
            played.starts = self._starts
        return self._gateways[namespace]

    async def _serve(self, key: Key) -> None:
        service = await self._cluster.get(Ref(INFERENCE_SERVICE, key.namespace, key.name))
        name = f"{key.name}-predictor"
        if service is not None and REVISION_LABEL not in service["metadata"].get("labels", {}):
            await self._share(key)
            return
        played, made = self._in(key.namespace), None
        if service is not None:
            found = await self._cluster.get(Ref(DEPLOYMENT, key.namespace, name))
            made = await played.kserve.serve(service, found)
        if made is not None:
            await played.select(made)
            return
        for kind in (DEPLOYMENT, SERVICE, ENDPOINT_SLICE):
            await drop(self._cluster, Ref(kind, key.namespace, name))

    async def _share(self, key: Key) -> None:
        if key not in self._kserve:
            played = self._kserve[key] = PlayedKServe(self._cluster, key.namespace, key.name)
            played.starts = self._starts
        await self._kserve[key].act()

    async def _select(self, key: Key) -> None:
        service = await self._cluster.get(Ref(SERVICE, key.namespace, key.name))
        name = ((service or {}).get("metadata", {}).get("labels") or {}).get(DEPLOYMENT_LABEL)
        if service is not None and name and "selector" in service["spec"]:
            labels = {DEPLOYMENT_LABEL: name}
            made = await self._cluster.list(DEPLOYMENT, namespace=key.namespace, labels=labels)
            await self._in(key.namespace).kserve.select(service, made)

    async def _take_up(self, key: Key) -> None:
        route: Any = await self._cluster.get(Ref(HTTP_ROUTE, key.namespace, key.name))
        if route is not None and route["spec"].get("parentRefs"):
            await self._in(key.namespace).take_up(route)
