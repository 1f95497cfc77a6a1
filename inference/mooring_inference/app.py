"""The ASGI front: KServe's V1 and V2 REST paths over the codecs and the engine."""

from __future__ import annotations

import asyncio
import enum
import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

from mooring_inference import protocol_v1, protocol_v2
from mooring_inference.backends.base import Backend
from mooring_inference.errors import RequestError
from mooring_inference.http import (
    ClientDisconnectedError,
    Receive,
    Response,
    Scope,
    Send,
    error_response,
    header,
    json_response,
    read_body,
    write,
)
from mooring_inference.metrics import CONTENT_TYPE, ServingMetrics
from mooring_inference.tensors import Array, TensorSpec

log = logging.getLogger(__name__)

SERVER_NAME = "mooring-inference"
REVISION_HEADER = b"x-mooring-revision"
REQUEST_ID_HEADER = b"x-request-id"

_LONGEST_ECHOED_ID = 256


class Phase(enum.Enum):
    """Where a server is in its life; requests are taken in READY and DRAINING."""

    LOADING = "loading"
    READY = "ready"
    DRAINING = "draining"
    CLOSING = "closing"


class InferenceApp:
    """Serves one model; ``phase`` and ``engine`` are set by whoever loads the model and ends the process."""

    def __init__(self, *, model: str, revision: str, max_request_bytes: int) -> None:
        self.model = model
        self.revision = revision
        self.phase = Phase.LOADING
        self.engine: Backend | None = None
        self.metrics = ServingMetrics(model, revision)
        self._max_request_bytes = max_request_bytes
        # One thread: the model's own threads already use the cores, and the loop stays free for probes.
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")
        self._revision_header = (REVISION_HEADER, revision.encode("ascii", "replace"))
        self._get = self._get_routes()
        self._infer = self._infer_routes()

    def ready(self, engine: Backend, load_seconds: float) -> None:
        """Start to answer with this engine."""
        self.engine = engine
        self.metrics.load_seconds = load_seconds
        self.phase = Phase.READY

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI entry point."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http":
            protocol = self._infer.get(scope["path"])
            if protocol is not None and scope["method"] == "POST":
                await self._answer_inference(protocol, scope, receive, send)
            else:
                response = self._answer_get(scope["method"], scope["path"])
                await write(send, response, self._common_headers())

    async def _answer_inference(self, protocol: str, scope: Scope, receive: Receive, send: Send) -> None:
        started = perf_counter()
        self.metrics.in_flight += 1
        request_id = _header_id(scope) or uuid.uuid4().hex
        code = 499  # the caller went away
        try:
            body = await read_body(scope, receive, self._max_request_bytes)
            if header(scope, b"inference-header-content-length") is not None:
                raise RequestError(
                    "the binary tensor extension is not served", field="inference-header-content-length"
                )
            if protocol == "v2":
                request_id, response = await self._infer_v2(body, request_id)
            else:
                response = await self._infer_v1(body)
            code = response.status
        except ClientDisconnectedError:
            return
        except RequestError as exc:
            code, response = exc.status, error_response(exc)
        except Exception:
            log.exception(
                "inference failed", extra={"fields": {"request_id": request_id, "protocol": protocol}}
            )
            code, response = 500, json_response(500, {"error": "internal error", "id": request_id})
        finally:
            self.metrics.in_flight -= 1
            self.metrics.answered(protocol, code, perf_counter() - started)
        await write(send, response, [*self._common_headers(), *_echo(request_id)])

    async def _infer_v2(self, body: bytes, made_id: str) -> tuple[str, Response]:
        engine = self._serving_engine()
        request = protocol_v2.decode_request(body, engine.signature)
        request_id = request.id or made_id
        results = await self._run(engine, request.inputs, request.outputs)
        encoded = protocol_v2.encode_response(
            model=self.model, version=self.revision, request_id=request_id, outputs=results
        )
        return request_id, Response(200, encoded)

    async def _infer_v1(self, body: bytes) -> Response:
        engine = self._serving_engine()
        inputs = protocol_v1.decode_request(body, engine.signature)
        results = await self._run(engine, inputs, [spec.name for spec in engine.signature.outputs])
        return Response(200, protocol_v1.encode_response(results))

    async def _run(
        self, engine: Backend, inputs: Mapping[str, Array], outputs: Sequence[str]
    ) -> list[tuple[TensorSpec, Array]]:
        arrays = await asyncio.get_running_loop().run_in_executor(
            self._worker, engine.predict, inputs, outputs
        )
        specs = {spec.name: spec for spec in engine.signature.outputs}
        return [(specs[name], array) for name, array in zip(outputs, arrays, strict=True)]

    def _serving_engine(self) -> Backend:
        if self.engine is None or self.phase not in (Phase.READY, Phase.DRAINING):
            raise RequestError(f"model {self.model} is {self.phase.value}", status=503)
        return self.engine

    def _answer_get(self, method: str, path: str) -> Response:
        make = self._get.get(path)
        if make is not None and method in ("GET", "HEAD"):
            try:
                return make()
            except RequestError as exc:
                return error_response(exc)
        if make is not None or path in self._infer:
            return json_response(405, {"error": f"{method} is not allowed on {path}"})
        return json_response(404, {"error": f"nothing is served at {path}; the model here is {self.model}"})

    def _get_routes(self) -> dict[str, Callable[[], Response]]:
        routes: dict[str, Callable[[], Response]] = {
            "/v2": self._server_metadata,
            "/v2/": self._server_metadata,
            "/v2/health/live": lambda: json_response(200, {"live": True}),
            "/v2/health/ready": self._readiness,
            "/v1/models": lambda: json_response(200, {"models": [self.model]}),
            f"/v1/models/{self.model}": self._v1_readiness,
            "/metrics": lambda: Response(200, self.metrics.exposition(), CONTENT_TYPE),
        }
        for base in self._v2_bases():
            routes[base] = self._model_metadata
            routes[f"{base}/ready"] = self._model_readiness
        return routes

    def _infer_routes(self) -> dict[str, str]:
        routes = {f"{base}/infer": "v2" for base in self._v2_bases()}
        return {**routes, f"/v1/models/{self.model}:predict": "v1"}

    def _v2_bases(self) -> tuple[str, str]:
        return f"/v2/models/{self.model}", f"/v2/models/{self.model}/versions/{self.revision}"

    def _server_metadata(self) -> Response:
        return json_response(200, {"name": SERVER_NAME, "version": self.revision, "extensions": []})

    def _model_metadata(self) -> Response:
        if self.engine is None:
            raise RequestError(f"model {self.model} is {self.phase.value}", status=503)
        return json_response(
            200, protocol_v2.model_metadata(self.model, self.revision, self.engine.signature)
        )

    def _readiness(self) -> Response:
        is_ready = self.phase is Phase.READY
        return json_response(200 if is_ready else 503, {"ready": is_ready})

    def _model_readiness(self) -> Response:
        is_ready = self.phase is Phase.READY
        return json_response(200 if is_ready else 503, {"name": self.model, "ready": is_ready})

    def _v1_readiness(self) -> Response:
        return self._model_readiness()

    def _common_headers(self) -> list[tuple[bytes, bytes]]:
        if self.phase in (Phase.DRAINING, Phase.CLOSING):
            # Callers leave their connections now, so that none is in use when the listener closes.
            return [self._revision_header, (b"connection", b"close")]
        return [self._revision_header]


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def _header_id(scope: Scope) -> str | None:
    value = header(scope, REQUEST_ID_HEADER)
    return value.decode("latin-1") if value else None


def _echo(request_id: str) -> list[tuple[bytes, bytes]]:
    # Ids come from callers: only what is safe in a header goes back in one.
    if len(request_id) <= _LONGEST_ECHOED_ID and request_id.isascii() and request_id.isprintable():
        return [(REQUEST_ID_HEADER, request_id.encode())]
    return []
