"""One inference request from its body to its response."""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Mapping, Sequence

from mooring_inference.access.json_limits import JsonLimits
from mooring_inference.errors import RequestError
from mooring_inference.models.batching.call import Call
from mooring_inference.models.served import ServedModel
from mooring_inference.observability.metrics import GONE
from mooring_inference.observability.observing import Answered, Observer
from mooring_inference.protocols import v1, v2
from mooring_inference.protocols.v2 import LONGEST_ID
from mooring_inference.rest.http_server.exchange import JSON, Exchange, Header
from mooring_inference.tensors import Array, TensorSpec

log = logging.getLogger(__name__)

REQUEST_ID_HEADER = b"x-request-id"
HEADER_LENGTH = b"inference-header-content-length"
_OCTETS = b"application/octet-stream"
# A smaller body holds few rows; less memory is covered by what a request counts for anyway.
_LARGE_BODY, _LARGE = 1 << 10, 64 << 10

# Ids are unique by process and number; a random one for each request would cost more than decoding it.
_process_id = os.urandom(8).hex()
_numbers = itertools.count(1)


class Inference:
    """A V1 or V2 request: decoded, submitted to its model, answered when that is done."""

    __slots__ = (
        "_answered",
        "_call",
        "_forms",
        "_guard",
        "_observers",
        "exchange",
        "headers",
        "model",
        "protocol",
    )

    def __init__(
        self,
        exchange: Exchange,
        model: ServedModel,
        protocol: str,
        observers: Sequence[Observer],
    ) -> None:
        self.exchange = exchange
        self.model = model
        self.protocol = protocol
        self.headers: list[Header] = []
        request_id = _header_id(exchange) or f"{_process_id}-{next(_numbers):x}"
        self._answered = Answered(model, request_id, protocol, exchange.started, exchange.headers)
        self._observers = observers
        self._forms: tuple[v2.OutputForm, ...] | None = None
        self._call: Call | None = None

    def start(self, limits: JsonLimits, timeout: float | None) -> None:
        """Decode and submit; the response comes now where that fails, and else when the model has run."""
        self.model.series.began()
        try:
            inputs, outputs, wanted = self._decode(limits)
            if self.model.guards is not None:
                checked = self.model.guards.check(inputs)
                inputs = checked.inputs
                self.headers += [(name.encode(), value.encode()) for name, value in checked.headers()]
            seconds = min((s for s in (timeout, wanted) if s is not None), default=None)
            deadline = None if seconds is None else self.exchange.started + seconds
            self._hold(inputs)
            self._answered.inputs = inputs
            self._call = call = Call(inputs, outputs, self._finish, deadline=deadline)
            self.exchange.on_gone = self._abandon
            self.model.batcher.submit(call)
        except Exception as error:
            self._fail(error)

    def _decode(self, limits: JsonLimits) -> tuple[Mapping[str, Array], tuple[str, ...], float | None]:
        signature = self.model.signature
        body = read_body(self.exchange, limits)
        if self.protocol == "v1":
            return v1.decode_request(body, signature), signature.output_names, None
        request = v2.decode_request(body, signature, header_length(self.exchange))
        if request.id:
            self._answered.request_id = request.id
        self._forms = request.forms
        return request.inputs, request.outputs, request.timeout

    def _hold(self, inputs: Mapping[str, Array]) -> None:
        """Let go of the body, and count what its arrays and their answer take beyond it."""
        exchange = self.exchange
        size = len(exchange.body)
        exchange.body = b""
        if size < _LARGE_BODY:
            return
        more = self.model.signature.answer_bytes(inputs)
        if size >= _LARGE or more >= _LARGE:
            more += sum(array.nbytes for array in inputs.values()) - size
            if more > 0 and (refusal := exchange.hold(more)) is not None:
                raise refusal

    def _finish(self, call: Call) -> None:
        """The model has run, or did not."""
        if call.error is not None:
            self._fail(call.error)
            return
        assert call.results is not None
        specs = self.model.signature.outputs_by_name
        outputs = [(specs[name], array) for name, array in zip(call.outputs, call.results, strict=True)]
        try:
            body, content_type = self._encode(outputs)
        except Exception as error:
            self._fail(error)
            return
        self._answer(200, body, content_type, outputs)

    def _encode(self, outputs: Sequence[tuple[TensorSpec, Array]]) -> tuple[bytes, bytes]:
        if self.protocol == "v1":
            return v1.encode_response(outputs), JSON
        body, header_length = v2.encode_response(
            model=self.model.name,
            version=self.model.version,
            request_id=self._answered.request_id,
            outputs=outputs,
            forms=self._forms,
        )
        if header_length is None:
            return body, JSON
        self.headers.append((HEADER_LENGTH, b"%d" % header_length))
        return body, _OCTETS

    def _fail(self, error: Exception) -> None:
        if isinstance(error, RequestError):
            refusal = error
            if refusal.status in (429, 503):
                self.headers.append((b"retry-after", b"1"))
        else:
            log.error(
                "inference failed",
                exc_info=error,
                extra={"fields": {"request_id": self._answered.request_id, "model": self.model.name}},
            )
            refusal = RequestError("internal error", status=500)
        body = (
            {**refusal.body(), "id": self._answered.request_id} if refusal.status >= 500 else refusal.body()
        )
        self._answer(refusal.status, v2.encode_error(body), JSON, None)

    def _answer(
        self,
        status: int,
        body: bytes,
        content_type: bytes,
        outputs: Sequence[tuple[TensorSpec, Array]] | None,
    ) -> None:
        answered = self._answered
        answered.call, answered.outputs = self._call, outputs
        self.headers += (self.model.revision_header, *_echo(answered.request_id))
        self.exchange.on_gone = None
        self.exchange.respond(status, body, self.headers, content_type=content_type)
        answered.tell(status, self._observers)

    def _abandon(self) -> None:
        """The caller has closed the connection."""
        if self._call is not None:
            self.model.batcher.abandon(self._call)
        self._answered.tell(GONE, self._observers)


def _header_id(exchange: Exchange) -> str | None:
    value = exchange.headers.get(REQUEST_ID_HEADER)
    return value.decode("latin-1") if value and len(value) <= LONGEST_ID else None


def read_body(exchange: Exchange, limits: JsonLimits) -> bytes:
    """The body, after a look at what its JSON would cost to read.

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
    """Bytes of JSON before binary tensors; None without any. Raises RequestError."""
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
