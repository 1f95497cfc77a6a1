"""The REST front: every path of the V1 and V2 protocols, metrics and administration."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from mooring_inference import protocol_v2
from mooring_inference.errors import RequestError
from mooring_inference.http_server.exchange import Exchange
from mooring_inference.metrics import CONTENT_TYPE
from mooring_inference.repository import Repository
from mooring_inference.rest import openapi
from mooring_inference.rest.inference import GuardOf, Inference, Observer
from mooring_inference.rest.routes import METHODS, Route, find_route

log = logging.getLogger(__name__)

SERVER_NAME = "mooring-inference"
EXTENSIONS = ("binary_tensor_data", "classification", "model_repository")


class RestFront:
    """Answers HTTP requests; see ``http_server.exchange.Handler``."""

    def __init__(
        self,
        repository: Repository,
        *,
        version: str,
        exposition: Callable[[], bytes],
        request_timeout: float | None = None,
        allows_repository_changes: bool = False,
        observers: Sequence[Observer] = (),
        guard_of: GuardOf | None = None,
    ) -> None:
        """Make one.

        Args:
            repository: the models.
            version: the server's own version.
            exposition: the metrics as Prometheus reads them.
            request_timeout: seconds that any caller waits at most; None for no limit.
            allows_repository_changes: whether callers may load and unload models.
            observers: told of every inference.
            guard_of: what looks at a model's inputs first.
        """
        self._repository = repository
        self._version = version
        self._exposition = exposition
        self._timeout = request_timeout
        self._allows_changes = allows_repository_changes
        self._observers = tuple(observers)
        self._guard_of = guard_of
        self._tasks: set[asyncio.Task[None]] = set()
        self._answers: dict[str, Callable[[Exchange, Route], None]] = {
            "live": lambda exchange, _: exchange.respond_json(200, {"live": True}),
            "ready": self._server_ready,
            "server": self._server_metadata,
            "metrics": self._metrics,
            "models": lambda exchange, _: exchange.respond_json(200, {"models": repository.names()}),
            "model_status": self._model_ready,
            "model": self._model_metadata,
            "model_ready": self._model_ready,
            "openapi": lambda exchange, _: exchange.respond_json(200, self._description()),
            "docs": lambda exchange, _: exchange.respond(
                200, openapi.page(self._description()), content_type=b"text/html; charset=utf-8"
            ),
            "infer": lambda exchange, route: self._infer(exchange, route, "v2"),
            "predict": lambda exchange, route: self._infer(exchange, route, "v1"),
            "index": self._index,
            "load": self._load,
            "unload": self._unload,
        }

    def admit(self, exchange: Exchange) -> RequestError | None:
        """Whether a request's body is worth reading."""
        return None

    def handle(self, exchange: Exchange) -> None:
        """Answer a request, now or later."""
        try:
            route = find_route(exchange.path)
            answer = self._answers.get(route.action) if route is not None else None
            if route is None or answer is None:
                raise RequestError(f"nothing is served at {_shown(exchange.path)}", status=404)
            if exchange.method not in METHODS[route.action]:
                allowed = ", ".join(METHODS[route.action])
                error = RequestError(
                    f"{exchange.method} is not allowed on {_shown(exchange.path)}; {allowed} is", status=405
                )
                exchange.respond_error(error, [(b"allow", allowed.encode())])
                return
            answer(exchange, route)
        except RequestError as error:
            exchange.respond_error(error)
        except Exception:
            log.exception("a request failed", extra={"fields": {"path": _shown(exchange.path)}})
            exchange.respond_error(RequestError("internal error", status=500))

    def _infer(self, exchange: Exchange, route: Route, protocol: str) -> None:
        model = self._repository.find(route.model, route.version)
        guard = self._guard_of(model) if self._guard_of is not None else None
        Inference(exchange, model, protocol, self._observers, guard).start(exchange.body, self._timeout)

    def _server_ready(self, exchange: Exchange, route: Route) -> None:
        is_ready = self._repository.ready
        exchange.respond_json(200 if is_ready else 503, {"ready": is_ready})

    def _server_metadata(self, exchange: Exchange, route: Route) -> None:
        exchange.respond_json(
            200, {"name": SERVER_NAME, "version": self._version, "extensions": list(EXTENSIONS)}
        )

    def _description(self) -> dict[str, Any]:
        return openapi.describe(self._repository.names(), self._version)

    def _metrics(self, exchange: Exchange, route: Route) -> None:
        exchange.respond(200, self._exposition(), content_type=CONTENT_TYPE.encode())

    def _model_metadata(self, exchange: Exchange, route: Route) -> None:
        model = self._repository.find(route.model, route.version)
        versions = self._repository.versions(model.name)
        exchange.respond_json(
            200, protocol_v2.model_metadata(model.name, versions, model.platform, model.signature)
        )

    def _model_ready(self, exchange: Exchange, route: Route) -> None:
        is_ready = not self._repository.is_draining
        try:
            self._repository.find(route.model, route.version)
        except RequestError as error:
            if error.status == 404:
                raise
            is_ready = False
        exchange.respond_json(200 if is_ready else 503, {"name": route.model, "ready": is_ready})

    def _index(self, exchange: Exchange, route: Route) -> None:
        wanted = protocol_v2.parse_object(exchange.body) if exchange.body else {}
        rows = self._repository.index()
        if wanted.get("ready") is True:
            rows = [row for row in rows if row[2] == "READY"]
        keys = ("name", "version", "state", "reason")
        exchange.respond_json(200, [dict(zip(keys, row, strict=True)) for row in rows])

    def _load(self, exchange: Exchange, route: Route) -> None:
        self._change(exchange, self._repository.load(route.model))

    def _unload(self, exchange: Exchange, route: Route) -> None:
        self._change(exchange, self._repository.unload(route.model))

    def _change(self, exchange: Exchange, change: Coroutine[Any, Any, None]) -> None:
        if not self._allows_changes:
            change.close()
            raise RequestError(
                "models are not loaded and unloaded by request here: --allow_repository_changes", status=403
            )

        async def carry_out() -> None:
            try:
                await change
            except RequestError as error:
                exchange.respond_error(error)
            except Exception:
                log.exception("a change of the repository failed")
                exchange.respond_error(RequestError("internal error", status=500))
            else:
                exchange.respond_json(200, {})

        task = asyncio.ensure_future(carry_out())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _shown(path: bytes) -> str:
    shown = path.decode("latin-1")
    return shown if len(shown) <= 100 else shown[:100] + "..."
