"""The REST front: every path of the V1 and V2 protocols, metrics and administration."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from mooring_inference.access.api_keys import ApiKeys
from mooring_inference.access.json_limits import JsonLimits
from mooring_inference.access.memory_budget import MemoryBudget
from mooring_inference.capture import decode_labels
from mooring_inference.capture.labels import LabelStream
from mooring_inference.errors import RequestError
from mooring_inference.inference import InferenceService
from mooring_inference.models.served import ServedModel
from mooring_inference.protocols import v2
from mooring_inference.protocols.json_body import parse_object
from mooring_inference.rest import openapi
from mooring_inference.rest.http_server.exchange import Exchange
from mooring_inference.rest.inference import InferenceExchange, read_body
from mooring_inference.rest.inflating import Inflater
from mooring_inference.rest.routes import METHODS, RIGHTS, Route, find_route

log = logging.getLogger(__name__)

SERVER_NAME = "mooring-inference"
# What has to work for probes.
OPEN_TO_ALL = frozenset(("alive", "live", "ready", "model_ready", "model_status"))
DEFAULT_JSON_LIMITS = JsonLimits()
EXTENSIONS = ("binary_tensor_data", "classification", "model_repository")


class RestFront:
    """Answers HTTP requests; see ``http_server.exchange.Handler``."""

    def __init__(
        self,
        service: InferenceService,
        *,
        version: str,
        exposition: Callable[[str], tuple[bytes, str]],
        json_limits: JsonLimits = DEFAULT_JSON_LIMITS,
        api_keys: ApiKeys | None = None,
        labels: LabelStream | None = None,
        refuses_labels: bool = False,
        budget: MemoryBudget | None = None,
    ) -> None:
        """Make one.

        Args:
            service: answers inference requests, and has the models.
            version: the server's own version.
            exposition: the metrics as Prometheus reads them, and their type, by the header Accept.
            json_limits: what JSON bodies may cost.
            api_keys: who may ask for more than probes and metrics; None for everybody.
            labels: takes what callers say later about requests; None where nothing is captured.
            refuses_labels: whether nobody may say so.
            budget: what all requests together may hold; None for one of its own.
        """
        self._service = service
        self._repository = repository = service.repository
        self._version = version
        self._exposition = exposition
        self._labels = labels
        self._refuses_labels = refuses_labels
        self._inflater = Inflater(budget or MemoryBudget(), json_limits.max_bytes)
        self._json_limits = json_limits
        self._api_keys = api_keys
        self._tasks: set[asyncio.Task[None]] = set()
        self._answers: dict[str, Callable[[Exchange, Route], None]] = {
            # What V1 has to say that the process lives.
            "alive": lambda exchange, _: exchange.respond_json(200, {"status": "alive"}),
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
            "explain": self._explain,
            "labels": self._take_labels,
            "index": self._index,
            "load": self._load,
            "unload": self._unload,
        }

    def admit(self, exchange: Exchange) -> RequestError | None:
        """Return why a request's body is not worth reading, if it is not."""
        keys = self._api_keys
        if keys is None:
            return None
        route = find_route(exchange.path)
        action = "" if route is None else route.action
        if action in OPEN_TO_ALL or (action == "metrics" and not keys.protect_metrics):
            return None
        presented = {
            name.decode(): value.decode("latin-1")
            for name in (b"x-api-key", b"authorization")
            if (value := exchange.headers.get(name)) is not None
        }
        return keys.check(presented, RIGHTS.get(action))

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
            if b"content-encoding" in exchange.headers and exchange.body:
                self._later(exchange, self._inflate_and_answer(exchange, route, answer))
            else:
                answer(exchange, route)
        except RequestError as error:
            exchange.respond_error(error)
        except Exception:
            log.exception("a request failed", extra={"fields": {"path": _shown(exchange.path)}})
            exchange.respond_error(RequestError("internal error", status=500))

    async def _inflate_and_answer(
        self, exchange: Exchange, route: Route, answer: Callable[[Exchange, Route], None]
    ) -> None:
        await self._inflater.inflate(exchange)
        if not exchange.is_gone:
            answer(exchange, route)

    def _infer(self, exchange: Exchange, route: Route, protocol: str) -> None:
        InferenceExchange(exchange, route, protocol, self._service).start(self._json_limits)

    def _explain(self, exchange: Exchange, route: Route) -> None:
        model = self._repository.find(route.model, route.version)
        body = read_body(exchange, self._json_limits)
        self._service.explanations.require_room()
        task = self._later(exchange, self._answer_explanation(exchange, model, body))

        def stop() -> None:
            task.cancel()

        exchange.on_gone = stop

    async def _answer_explanation(self, exchange: Exchange, model: ServedModel, body: bytes) -> None:
        exchange.respond(200, await self._service.explanations.answer(model, body, exchange.started))

    def _take_labels(self, exchange: Exchange, route: Route) -> None:
        model = self._repository.find(route.model, route.version)
        if self._refuses_labels:
            raise RequestError("labels are not taken here: --refuse_labels", status=403)
        if self._labels is None:
            raise RequestError("capture is disabled, so labels are not kept: see --capture_uri", status=409)
        labels = decode_labels(read_body(exchange, self._json_limits))
        taken = [self._labels.record(model.name, label.id, label.values) for label in labels]
        if not all(taken):
            # Labels that come twice are two rows with one id; readers take the last.
            raise RequestError(
                f"{taken.count(False)} of {len(taken)} labels found no room; send all of them again",
                status=503,
                headers=((b"retry-after", b"1"),),
            )
        exchange.respond_json(202, {"labels": len(labels)})

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
        content, kind = self._exposition(exchange.headers.get(b"accept", b"").decode("latin-1"))
        exchange.respond(200, content, content_type=kind.encode())

    def _model_metadata(self, exchange: Exchange, route: Route) -> None:
        model = self._repository.find(route.model, route.version)
        versions = self._repository.versions(model.name)
        exchange.respond_json(200, v2.model_metadata(model.name, versions, model.platform, model.signature))

    def _model_ready(self, exchange: Exchange, route: Route) -> None:
        is_ready = self._repository.is_model_ready(route.model, route.version)
        exchange.respond_json(200 if is_ready else 503, {"name": route.model, "ready": is_ready})

    def _index(self, exchange: Exchange, route: Route) -> None:
        body = read_body(exchange, self._json_limits)
        wanted = parse_object(body) if body else {}
        rows = self._repository.index()
        if wanted.get("ready") is True:
            rows = [row for row in rows if row[2] == "READY"]
        keys = ("name", "version", "state", "reason")
        exchange.respond_json(200, [dict(zip(keys, row, strict=True)) for row in rows])

    def _load(self, exchange: Exchange, route: Route) -> None:
        self._change(exchange, self._service.load(route.model))

    def _unload(self, exchange: Exchange, route: Route) -> None:
        self._change(exchange, self._service.unload(route.model))

    def _change(self, exchange: Exchange, change: Coroutine[Any, Any, None]) -> None:
        async def carry_out() -> None:
            await change
            exchange.respond_json(200, {})

        self._later(exchange, carry_out())

    def _later(self, exchange: Exchange, answering: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Answer from a task."""

        async def answer() -> None:
            try:
                await answering
            except RequestError as error:
                exchange.respond_error(error)
            except Exception:
                log.exception("a request failed", extra={"fields": {"path": _shown(exchange.path)}})
                exchange.respond_error(RequestError("internal error", status=500))

        task = asyncio.ensure_future(answer())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _shown(path: bytes) -> str:
    shown = path.decode("latin-1")
    return shown if len(shown) <= 100 else shown[:100] + "..."
