"""The process: listen, load in the background, serve, drain on SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Iterator
from time import perf_counter

import uvicorn

from mooring_inference.app import InferenceApp, Phase
from mooring_inference.backends.base import LoadOptions
from mooring_inference.backends.formats import load_model
from mooring_inference.errors import ModelLoadError
from mooring_inference.settings import Settings

log = logging.getLogger(__name__)


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # Signals start a drain here, before the server is told to exit.
        yield


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then drain.

    Raises:
        ModelLoadError: the model cannot be served.
        OSError: the address is taken.
    """
    app = InferenceApp(
        model=settings.model_name, revision=settings.revision, max_request_bytes=settings.max_request_bytes
    )
    server = _Server(_server_config(app, settings))
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)

    with _listen(settings.host, settings.http_port) as listener:
        port = listener.getsockname()[1]
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        log.info("listening", extra={"fields": {"host": settings.host, "port": port}})
        try:
            # Loading in a thread leaves liveness and metrics answered while a large model loads.
            await _load(app, settings)
            await stopping.wait()
            await _drain(app, settings)
        finally:
            app.phase = Phase.CLOSING
            server.should_exit = True
            await serving
    log.info("stopped")


def _server_config(app: InferenceApp, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http="httptools",
        loop="none",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=max(1, round(settings.grace_seconds)),
    )


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


async def _load(app: InferenceApp, settings: Settings) -> None:
    started = perf_counter()
    try:
        engine = await asyncio.to_thread(
            load_model, settings.model_dir, LoadOptions(threads=settings.threads)
        )
    except ModelLoadError as exc:
        raise ModelLoadError(f"cannot load model {settings.model_name!r}: {exc}") from None
    seconds = perf_counter() - started
    app.ready(engine, seconds)
    fields = {
        "model": app.model,
        "revision": app.revision,
        "seconds": round(seconds, 4),
        "threads": settings.threads,
    }
    log.info("model ready", extra={"fields": fields})


async def _drain(app: InferenceApp, settings: Settings) -> None:
    app.phase = Phase.DRAINING
    log.info(
        "draining", extra={"fields": {"in_flight": app.metrics.in_flight, "seconds": settings.drain_seconds}}
    )
    await asyncio.sleep(settings.drain_seconds)
