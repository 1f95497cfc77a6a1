"""The one HTTP address: every request to one replica, and to another if that one fails it."""

from __future__ import annotations

import asyncio
from time import perf_counter

from mooring_inference.errors import RequestError
from mooring_inference.observability.metrics import CONTENT_TYPE

from cluster.serving.asgi import (
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
from cluster.serving.backend import BackendError, BackendResponse
from cluster.serving.directory import Directory, Target
from cluster.serving.fleet import ReplicaLike
from cluster.serving.views import FrontMetrics, describe_routes, describe_scrape_targets

_ATTEMPTS = 4
_HOP_BY_HOP = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade")
)
_NOT_FORWARDED = _HOP_BY_HOP | {b"host", b"content-length", b"expect"}


class Front:
    """The ASGI application of the front."""

    def __init__(
        self, directory: Directory, *, max_request_bytes: int = 64 << 20, timeout: float = 60.0
    ) -> None:
        self._directory = directory
        self._max_request_bytes = max_request_bytes
        self._timeout = timeout
        self.metrics = FrontMetrics()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI entry point."""
        if scope["type"] != "http":
            return
        raw_path: bytes = scope.get("raw_path") or scope["path"].encode()
        own = self._own(scope["path"])
        if own is not None:
            await write(send, own, [])
            return
        target = self._directory.resolve((header(scope, b"host") or b"").decode("latin-1").lower(), raw_path)
        if target is None:
            await write(send, json_response(404, {"error": "no InferenceService is served here"}), [])
            return
        try:
            body = await read_body(scope, receive, self._max_request_bytes)
        except ClientDisconnectedError:
            return
        except RequestError as exc:
            await write(send, error_response(exc), [])
            return
        await self._answer(target, scope, body, send)

    async def _answer(self, target: Target, scope: Scope, body: bytes, send: Send) -> None:
        started = perf_counter()
        query: bytes = scope["query_string"]
        path = (target.path + (b"?" + query if query else b"")).decode("latin-1")
        # The backend sends its body with a HEAD's answer otherwise; the server leaves it out.
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        headers = [pair for pair in scope["headers"] if pair[0] not in _NOT_FORWARDED]
        name, revision, response = await self._forward(target, method, path, headers, body)
        self.metrics.answered(target.service, name, revision, response.status, perf_counter() - started)
        await write(send, response, [])

    async def _forward(
        self, target: Target, method: str, path: str, headers: list[tuple[bytes, bytes]], body: bytes
    ) -> tuple[str, str, Response]:
        """Try replicas until one answers; gives deployment, revision and response."""
        name = target.deployment or target.service.pick() or ""
        tried: list[ReplicaLike] = []
        answer: tuple[str, str, Response] | None = None
        for _ in range(_ATTEMPTS):
            replica = self._choose(target, name, tried)
            if replica is None or replica.backend is None:
                break
            tried.append(replica)
            deployment = replica.deployment
            try:
                async with asyncio.timeout(self._timeout):
                    response = await replica.backend.request(method, path, headers, body)
            except BackendError:
                continue
            except TimeoutError:
                timeout = {"error": f"no answer within {self._timeout:g} s"}
                return deployment.name, deployment.revision, json_response(504, timeout)
            answer = deployment.name, deployment.revision, _response(response)
            if response.status != 503:
                break
        return answer or (
            name,
            "",
            json_response(503, {"error": f"{target.service.name}: nothing is ready to answer"}),
        )

    def _choose(self, target: Target, name: str, tried: list[ReplicaLike]) -> ReplicaLike | None:
        fresh = [replica for replica in target.service.endpoints(name) if replica not in tried]
        if not fresh and tried and target.deployment is None:
            # What was picked is gone since, as on a promotion: ask again.
            name = target.service.pick() or ""
            fresh = [replica for replica in target.service.endpoints(name) if replica not in tried]
        return min(fresh, key=_load, default=None)

    def _own(self, path: str) -> Response | None:
        if not path.startswith("/-/"):
            return None
        if path == "/-/metrics":
            return Response(200, self.metrics.exposition(), CONTENT_TYPE)
        if path == "/-/routes":
            return json_response(200, describe_routes(self._directory))
        if path == "/-/targets":
            return json_response(200, describe_scrape_targets(self._directory))
        if path == "/-/healthy":
            return json_response(200, {"healthy": True})
        return json_response(404, {"error": f"nothing is served at {path}"})


def _load(replica: ReplicaLike) -> int:
    return replica.backend.in_flight if replica.backend else 0


def _response(response: BackendResponse) -> Response:
    content_type = "application/octet-stream"
    headers = []
    for name, value in response.headers:
        if name == b"content-type":
            content_type = value.decode("latin-1")
        elif name != b"content-length" and name not in _HOP_BY_HOP:
            headers.append((name, value))
    return Response(response.status, response.body, content_type, headers)
