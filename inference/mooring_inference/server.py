"""One server process: listen, load, serve, drain on SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import AsyncIterator
from functools import partial
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

from mooring_inference.backends.formats import load_model
from mooring_inference.http_server.connection import HttpLimits
from mooring_inference.http_server.listener import HttpServer, listen
from mooring_inference.metrics import ServingMetrics
from mooring_inference.models import ServedModel, load_served
from mooring_inference.repository import Repository, Sources, folder_of_models, one_model
from mooring_inference.rest.front import RestFront
from mooring_inference.settings import Settings

log = logging.getLogger(__name__)

_EXPIRE_SECONDS = 0.05


class ModelServer:
    """The parts of one process, made and not yet started."""

    def __init__(self, settings: Settings) -> None:
        """Raises ModelLoadError where there is no folder of models."""
        self.settings = settings
        self.metrics = ServingMetrics()
        self.repository = Repository(_sources(settings), self._load)
        front = RestFront(
            self.repository,
            version=version("mooring"),
            exposition=self.metrics.exposition,
            request_timeout=settings.request_timeout,
            allows_repository_changes=settings.allow_repository_changes,
        )
        self.http = HttpServer(front, limits=HttpLimits(max_body_bytes=settings.max_request_bytes))

    async def run(self, listener: socket.socket, stopping: asyncio.Event) -> None:
        """Serve until ``stopping`` is set, then drain.

        Raises:
            ModelLoadError: a model cannot be served.
        """
        await self.http.start(listener)
        log.info(
            "listening", extra={"fields": dict(zip(("host", "port"), listener.getsockname(), strict=False))}
        )
        try:
            async with _expiring(self.repository):
                await self.repository.start()
                await stopping.wait()
                await self._drain()
        finally:
            await self.http.stop(self.settings.grace_seconds)
            await self.repository.close()
        log.info("stopped")

    async def _load(self, name: str, revision: str, path: Path) -> ServedModel:
        return await load_served(
            name,
            revision,
            path,
            load=partial(load_model, options=self.settings.load),
            limits=self.settings.batching,
            metrics=self.metrics,
        )

    async def _drain(self) -> None:
        """Not ready, yet still answering: callers leave with their next answer."""
        self.repository.is_draining = True
        self.http.is_draining = True
        log.info("draining", extra={"fields": {"seconds": self.settings.drain_seconds}})
        await asyncio.sleep(self.settings.drain_seconds)


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then drain.

    Raises:
        ModelLoadError: a model cannot be served.
        OSError: the address is taken.
    """
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    server = ModelServer(settings)
    with listen(settings.host, settings.http_port) as listener:
        await server.run(listener, stopping)


def _sources(settings: Settings) -> Sources:
    if settings.model_repository is not None:
        return folder_of_models(settings.model_repository)
    assert settings.model_name is not None
    return one_model(settings.model_name, settings.revision, settings.model_dir)


@contextlib.asynccontextmanager
async def _expiring(repository: Repository) -> AsyncIterator[None]:
    """Answer calls whose deadline passes."""

    async def expire() -> None:
        while True:
            await asyncio.sleep(_EXPIRE_SECONDS)
            repository.expire(perf_counter())

    task = asyncio.create_task(expire())
    try:
        yield
    finally:
        task.cancel()
