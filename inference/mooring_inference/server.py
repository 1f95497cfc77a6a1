"""One server process: listen, load, serve, drain on SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import partial
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from mooring_inference.access.api_keys import ApiKeys
from mooring_inference.access.json_limits import JsonLimits
from mooring_inference.access.memory_budget import MemoryBudget, parsing_limit
from mooring_inference.access.tls import ReloadingTls
from mooring_inference.backends.base import Backend
from mooring_inference.backends.kserve.model import load_kserve_model
from mooring_inference.backends.loading import check_content, load_model
from mooring_inference.capture import Capture
from mooring_inference.capture.recorder import CaptureObserver
from mooring_inference.draining import until_drained
from mooring_inference.inference import InferenceService
from mooring_inference.models.feature_names import read_feature_names, read_profile
from mooring_inference.models.repository import Repository, Sources, folder_of_models, one_model
from mooring_inference.models.served import ServedModel, load_served
from mooring_inference.observability.gpu import find_gpus
from mooring_inference.observability.logs import report_suppressed
from mooring_inference.observability.metrics import ServingMetrics
from mooring_inference.observability.observing import Observer
from mooring_inference.observability.request_log import RequestLog
from mooring_inference.observability.shared_metrics import SharedMetrics
from mooring_inference.observability.tracing import start_tracing
from mooring_inference.observability.tracing_observer import TracingObserver
from mooring_inference.rest.front import EXTENSIONS, SERVER_NAME, RestFront
from mooring_inference.rest.http_server.limits import HttpLimits
from mooring_inference.rest.http_server.listener import HttpServer
from mooring_inference.rest.probes import PROBE_LIMITS, ProbeFront
from mooring_inference.settings import Settings
from mooring_inference.workers.changes import WorkerChanges
from mooring_inference.workers.place import WorkerPlace
from mooring_inference.workers.sockets import open_sockets
from mooring_inference.workers.turns import ConnectionTurns

if TYPE_CHECKING:
    from mooring_inference.grpc_front.server import GrpcServer

log = logging.getLogger(__name__)

_EXPIRE_SECONDS = 0.05
_PUBLISH_SECONDS = 0.5
_RELOAD_SECONDS = 5.0
_SWEEP_SECONDS = 0.25
_REPORT_SECONDS = 10.0


class ModelServer:
    """The parts of one process, made and not yet started."""

    def __init__(self, settings: Settings) -> None:
        """Raises ModelLoadError, ApiKeysError and TlsError where a file or folder cannot be used."""
        self.settings = settings
        self.metrics = ServingMetrics()
        self.grpc: GrpcServer | None = None
        self._place = WorkerPlace.parse(settings.worker) if settings.worker else None
        self._shared = (
            SharedMetrics(self.metrics, self._place.folder, self._place.index) if self._place else None
        )
        self.repository = Repository(_sources(settings), self._load)
        self._changes = WorkerChanges(self.repository, self._place) if self._place else None
        self._tracing = start_tracing()
        self._capture = Capture(settings.capture) if settings.capture is not None else None
        if self._capture is not None:
            self.metrics.capture = self._capture.counters.state
        if (gpus := find_gpus()) is not None:
            self.metrics.register(gpus)
        self._keys = ApiKeys(settings.api_keys) if settings.api_keys else None
        self._tls = _tls(settings)
        self._budget = MemoryBudget(settings.max_inflight_bytes)
        self._service = InferenceService(
            self.repository,
            request_timeout=settings.request_timeout,
            allows_repository_changes=settings.allow_repository_changes,
            changes=self._changes,
            observers=self._make_observers(),
        )
        front = RestFront(
            self._service,
            version=version("kube-mooring"),
            exposition=(self._shared or self.metrics).exposition,
            json_limits=JsonLimits(settings.max_request_bytes, parsing_limit(settings.workers)),
            api_keys=self._keys,
            labels=self._capture.labels if self._capture is not None else None,
            refuses_labels=settings.refuse_labels,
            budget=self._budget,
        )
        self.http = HttpServer(
            front,
            limits=HttpLimits(
                max_body_bytes=settings.max_request_bytes, max_connections=settings.max_connections
            ),
            budget=self._budget,
            turns=ConnectionTurns(self._place.folder, self._place.index) if self._place else None,
        )
        self.probes = HttpServer(ProbeFront(front), limits=PROBE_LIMITS)

    async def run(
        self, listener: socket.socket, probes: socket.socket | None, stopping: asyncio.Event
    ) -> None:
        """Serve until ``stopping`` is set, then drain.

        Args:
            listener: for requests.
            probes: for probes alone; None where they come with the requests.
            stopping: set when the server is to end.

        Raises:
            ModelLoadError: a model cannot be served.
        """
        # Somebody must answer probes while the models load; where other workers do, this one would only take their
        # callers to refuse them.
        joins = self._place is not None and self._place.joins
        try:
            if not joins:
                await self._listen(listener, probes)
            async with (
                _every(_EXPIRE_SECONDS, self._expire),
                _every(_PUBLISH_SECONDS, self._publish),
                _every(_RELOAD_SECONDS, self._reload_secrets),
                _every(_SWEEP_SECONDS, self._sweep_grpc),
                _every(_REPORT_SECONDS, report_suppressed),
                self._changes.following() if self._changes else contextlib.nullcontext(),
            ):
                if await _before(stopping, (self._changes or self.repository).start()):
                    _freeze_gc()
                    if joins:
                        await self._listen(listener, probes)
                    if self.grpc is not None:
                        self.grpc.set_ready(True)
                    await stopping.wait()
                    await self._drain()
                else:
                    log.info("told to stop before the models are loaded")
        finally:
            await asyncio.gather(self.http.stop(self.settings.grace_seconds), self._stop_grpc())
            await self.repository.close()
            await self.probes.stop(0)
            if self._capture is not None:
                await asyncio.to_thread(self._capture.close, self.settings.grace_seconds)
            self._publish()
            if self._tracing is not None:
                await asyncio.to_thread(self._tracing.close)
        log.info("stopped")

    async def _listen(self, listener: socket.socket, probes: socket.socket | None) -> None:
        await self.http.start(listener, self._tls.context() if self._tls else None)
        if probes is not None:
            await self.probes.start(probes)
            log.info("listening for probes", extra={"fields": {"port": probes.getsockname()[1]}})
        self._start_grpc()
        log.info(
            "listening", extra={"fields": dict(zip(("host", "port"), listener.getsockname(), strict=False))}
        )

    def _make_observers(self) -> list[Observer]:
        observers: list[Observer] = []
        if self._capture is not None:
            observers.append(CaptureObserver(self._capture))
        if self._tracing is not None:
            observers.append(TracingObserver(self._tracing))
        if self.settings.log_requests:
            observers.append(RequestLog())
        return observers

    def _start_grpc(self) -> None:
        settings = self.settings
        if settings.grpc_port is None:
            return
        # Not needed, and not in memory, where REST is all that is wanted.
        from mooring_inference.grpc_front.front import GrpcFront
        from mooring_inference.grpc_front.server import GrpcServer, read_credentials

        front = GrpcFront(
            self._service,
            asyncio.get_running_loop(),
            name=SERVER_NAME,
            version=version("kube-mooring"),
            extensions=EXTENSIONS,
            api_keys=self._keys,
        )
        credentials = (
            read_credentials(settings.tls_cert, settings.tls_key, settings.tls_client_ca)
            if settings.tls_cert is not None and settings.tls_key is not None
            else None
        )
        self.grpc = GrpcServer(
            front,
            max_message_bytes=settings.max_grpc_message_bytes,
            max_connections=settings.max_connections,
            max_call_seconds=settings.request_timeout,
            budget=self._budget,
            shares_port=self._place is not None,
            # Most clients have moved on before the drain is over.
            max_connection_seconds=max(1.0, 0.8 * settings.drain_seconds),
        )
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        port = self.grpc.start(f"{host}:{settings.grpc_port}", credentials)
        log.info("listening for gRPC", extra={"fields": {"host": settings.host, "port": port}})

    async def _stop_grpc(self) -> None:
        if self.grpc is not None:
            await self.grpc.stop(self.settings.grace_seconds)

    def _expire(self) -> None:
        self.repository.expire(perf_counter())

    def _sweep_grpc(self) -> None:
        if self.grpc is not None:
            self.grpc.sweep()

    def _reload_secrets(self) -> None:
        for followed in (self._tls, self._keys):
            if followed is not None:
                followed.maybe_reload(perf_counter())

    def _publish(self) -> None:
        if self._shared is not None:
            self._shared.publish()

    async def _load(self, name: str, revision: str, path: Path) -> ServedModel:
        model = await load_served(
            name,
            revision,
            path,
            load=self._loader(name),
            limits=self.settings.batching,
            metrics=self.metrics,
        )
        if self._capture is not None:
            names, profile = read_feature_names(path, model.signature), read_profile(path)
            self._capture.register(name, revision, model.signature, names, profile)
        return model

    def _loader(self, name: str) -> Callable[[Path], Backend]:
        custom = self.settings.kserve_model
        if custom is None:
            return partial(load_model, options=self.settings.load)

        def load(path: Path) -> Backend:
            check_content(path, self.settings.load)
            return load_kserve_model(custom.target, name, payload=custom.payload, predictor=custom.predictor)

        return load

    async def _drain(self) -> None:
        """Stop being ready, and go on answering: callers leave with their next answer."""
        self.repository.is_draining = True
        self.http.is_draining = True
        if self.grpc is not None:
            self.grpc.begin_drain()
        log.info("draining", extra={"fields": {"seconds": self.settings.drain_seconds}})
        grpc = self.grpc
        await until_drained(
            self.settings.drain_seconds,
            count_calls=lambda: self.http.late_calls + (grpc.late_calls if grpc else 0),
            seconds_left=lambda: grpc.seconds_left() if grpc else 0.0,
        )


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
    with open_sockets(settings, stopping) as (listener, probes):
        await server.run(listener, probes, stopping)


async def _before(stopping: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Do some work unless the server is told to stop before it is done; whether it was."""
    working, told = asyncio.ensure_future(work), asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait({working, told}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
        return working.done()
    finally:
        working.cancel()
        told.cancel()
        await asyncio.gather(working, told, return_exceptions=True)


def _freeze_gc() -> None:
    """Keep modules and models out of collections: looking through them again and again costs callers milliseconds."""
    gc.collect()
    gc.freeze()
    # A request makes some dozens of containers, and cycles only where it fails.
    gc.set_threshold(10_000, 20, 20)


def _tls(settings: Settings) -> ReloadingTls | None:
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    return ReloadingTls(settings.tls_cert, settings.tls_key, settings.tls_client_ca, interval=_RELOAD_SECONDS)


def _sources(settings: Settings) -> Sources:
    if settings.model_repository is not None:
        return folder_of_models(settings.model_repository)
    assert settings.model_name is not None
    return one_model(settings.model_name, settings.revision, settings.model_dir)


@contextlib.asynccontextmanager
async def _every(seconds: float, act: Callable[[], None]) -> AsyncIterator[None]:
    """Act every so many seconds while the context lasts."""

    async def repeat() -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                act()
            except Exception:
                log.exception("a periodic task failed")

    task = asyncio.create_task(repeat())
    try:
        yield
    finally:
        task.cancel()
