"""One inference request from its body to its response."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mooring_inference.access.json_limits import JsonLimits
from mooring_inference.errors import RequestError
from mooring_inference.inference import InferenceService
from mooring_inference.protocols import v1, v2
from mooring_inference.protocols.v2 import LONGEST_ID
from mooring_inference.rest.http_server.exchange import JSON, Exchange, Header
from mooring_inference.rest.routes import Route
from mooring_inference.tensors import Array, TensorSpec

REQUEST_ID_HEADER = b"x-request-id"
HEADER_LENGTH = b"inference-header-content-length"
_OCTETS = b"application/octet-stream"
# A smaller body holds few rows; less memory is covered by what a request counts for anyway.
_LARGE_BODY, _LARGE = 1 << 10, 64 << 10


class InferenceExchange:
    """A V1 or V2 request: decoded, answered by the inference service, encoded."""

    __slots__ = ("_exchange", "_forms", "_headers", "_inference", "_is_v1")

    def __init__(self, exchange: Exchange, route: Route, protocol: str, service: InferenceService) -> None:
        """Raises RequestError where there is no such model."""
        self._exchange = exchange
        self._is_v1 = protocol == "v1"
        self._inference = service.begin(
            route.model,
            route.version,
            protocol=protocol,
            started=exchange.started,
            request_id=_header_id(exchange),
            headers=exchange.headers,
        )
        self._headers: list[Header] = []
        self._forms: tuple[v2.OutputForm, ...] | None = None

    def start(self, limits: JsonLimits) -> None:
        """Decode and submit; the response comes now where that fails, and else when the model has run."""
        try:
            inputs, outputs, timeout = self._decode(limits)
            self._inference.submit(inputs, outputs, self._finish, timeout=timeout, reserve=self._reserve)
            self._exchange.on_gone = self._inference.abandon
        except Exception as error:
            self._fail(error)

    def _decode(self, limits: JsonLimits) -> tuple[Mapping[str, Array], tuple[str, ...], float | None]:
        signature = self._inference.model.signature
        body = read_body(self._exchange, limits)
        if self._is_v1:
            return v1.decode_request(body, signature), signature.output_names, None
        request = v2.decode_request(body, signature, header_length(self._exchange))
        if request.id:
            self._inference.request_id = request.id
        self._forms = request.forms
        return request.inputs, request.outputs, request.timeout

    def _reserve(self, inputs: Mapping[str, Array]) -> None:
        """Let go of the body, and count what its arrays and their answer take beyond it."""
        exchange = self._exchange
        size = len(exchange.body)
        exchange.body = b""
        if size < _LARGE_BODY:
            return
        more = self._inference.model.signature.answer_bytes(inputs)
        if size >= _LARGE or more >= _LARGE:
            more += sum(array.nbytes for array in inputs.values()) - size
            if more > 0 and (refusal := exchange.hold(more)) is not None:
                raise refusal

    def _finish(self, _: object) -> None:
        """Answer, now that the model has run or failed."""
        try:
            outputs = self._inference.result()
            body, content_type = self._encode(outputs)
        except Exception as error:
            self._fail(error)
            return
        self._respond(200, body, content_type)
        self._inference.finish(200, outputs)

    def _encode(self, outputs: Sequence[tuple[TensorSpec, Array]]) -> tuple[bytes, bytes]:
        if self._is_v1:
            return v1.encode_response(outputs), JSON
        model = self._inference.model
        body, header_length = v2.encode_response(
            model=model.name,
            version=model.version,
            request_id=self._inference.request_id,
            outputs=outputs,
            forms=self._forms,
        )
        if header_length is None:
            return body, JSON
        self._headers.append((HEADER_LENGTH, b"%d" % header_length))
        return body, _OCTETS

    def _fail(self, error: Exception) -> None:
        inference = self._inference
        refusal = inference.refuse(error)
        if refusal.status in (429, 503):
            self._headers.append((b"retry-after", b"1"))
        body = {**refusal.body(), "id": inference.request_id} if refusal.status >= 500 else refusal.body()
        self._respond(refusal.status, v2.encode_error(body), JSON)
        inference.finish(refusal.status)

    def _respond(self, status: int, body: bytes, content_type: bytes) -> None:
        inference = self._inference
        headers = self._headers
        if inference.guard_headers:
            headers += [(name.encode(), value.encode()) for name, value in inference.guard_headers]
        headers += (inference.model.revision_header, *_echo(inference.request_id))
        self._exchange.on_gone = None
        self._exchange.respond(status, body, headers, content_type=content_type)


def _header_id(exchange: Exchange) -> str | None:
    value = exchange.headers.get(REQUEST_ID_HEADER)
    return value.decode("latin-1") if value and len(value) <= LONGEST_ID else None


def read_body(exchange: Exchange, limits: JsonLimits) -> bytes:
    """Return the body, after a look at what its JSON would cost to read.

    Raises:
        RequestError: 400, 413, 415 or 503.
    """
    if exchange.refusal is not None:
        raise exchange.refusal
    body = exchange.body
    length = header_length(exchange)
    limits.check(body if length is None else body[:length])
    return body


def header_length(exchange: Exchange) -> int | None:
    """Return the bytes of JSON before binary tensors; None without any. Raises RequestError."""
    value = exchange.headers.get(HEADER_LENGTH)
    if value is None:
        return None
    if not value.isdigit() or len(value) > 12:
        raise RequestError(
            "inference-header-content-length: expected a number of bytes, got "
            f"{value[:40].decode('latin-1')}",
            field="inference-header-content-length",
            expected="number of bytes",
            got=value[:40].decode("latin-1"),
        )
    return int(value)


def _echo(request_id: str) -> list[Header]:
    # Ids come from callers: only what is safe in a header goes back in one.
    if request_id.isascii() and request_id.isprintable():
        return [(REQUEST_ID_HEADER, request_id.encode())]
    return []
