"""A server of given backends in this process, on a real socket."""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from mooring_inference.access.memory_budget import MemoryBudget
from mooring_inference.inference import InferenceService
from mooring_inference.models.batching.queue import BatchLimits
from mooring_inference.models.repository import Repository
from mooring_inference.models.served import load_served
from mooring_inference.observability.metrics import ServingMetrics
from mooring_inference.rest.front import RestFront
from mooring_inference.rest.http_server.limits import HttpLimits
from mooring_inference.rest.http_server.listener import HttpServer, listen


class Server:
    """The parts, for tests to look at."""

    def __init__(
        self,
        backends,
        *,
        limits=None,
        batching=None,
        timeout=None,
        allows_repository_changes=True,
        observers=(),
        budget=None,
        **front,
    ):
        """``backends``: {name: {version: backend}}; a test may change it and load a model again."""
        self.backends = backends
        self.metrics = ServingMetrics()
        self.budget = MemoryBudget(budget) if budget else MemoryBudget()
        self._batching = batching or BatchLimits()
        self.repository = Repository(self._sources, self._load)
        self.service = InferenceService(
            self.repository,
            request_timeout=timeout,
            allows_repository_changes=allows_repository_changes,
            observers=observers,
        )
        self.front = RestFront(
            self.service,
            version="0",
            exposition=self.metrics.exposition,
            budget=self.budget,
            **front,
        )
        self.http = HttpServer(self.front, limits=limits or HttpLimits(), budget=self.budget)
        self.port = 0

    def _sources(self):
        return {
            name: {version: Path(name, version) for version in versions}
            for name, versions in self.backends.items()
        }

    async def _load(self, name, version, path):
        def load(_):
            found = self.backends[name][version]
            if isinstance(found, Exception):
                raise found
            return found

        return await load_served(name, version, path, load=load, limits=self._batching, metrics=self.metrics)


@asynccontextmanager
async def serving(backends, *, start=True, **options):
    """(server, httpx client); with ``start=False`` the models are not loaded yet."""
    server = Server(backends, **options)
    with listen("127.0.0.1", 0) as listener:
        server.port = listener.getsockname()[1]
        await server.http.start(listener)
        try:
            if start:
                await server.repository.start()
            url = f"http://127.0.0.1:{server.port}"
            async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as client:
                yield server, client
        finally:
            await server.http.stop(1)
            await server.repository.close()
