"""What comes on a connection, to requests: llhttp's parser, and the limits of what it is given."""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import perf_counter
from typing import Protocol

import httptools

from mooring_inference.errors import RequestError
from mooring_inference.rest.http_server.exchange import Exchange, without_authority
from mooring_inference.rest.http_server.limits import (
    HttpLimits,
    body_too_large,
    head_too_large,
    no_tunnel,
    too_late,
)
from mooring_inference.rest.http_server.upgrade import head_without_offer

log = logging.getLogger(__name__)

# What a header takes beside its bytes.
_HEADER_BYTES = 32
# What a request takes beside its head and body.
_EXCHANGE_BYTES = 1024
# Bodies of unknown length are counted in advance, a quarter of what has come at a time, and this much at least.
_LEAST_STEP = 64 << 10
# Counted for each connection as long as it lasts; a request that takes no more, one at a time, is not counted again.
CONNECTION_BYTES = 8 << 10


class Receiver(Protocol):
    """A connection, as its reader knows it.

    Attributes:
        make_exchange: called where a request begins.
        admit: says why a request whose head has come is refused before its body is read; None where it is not.
    """

    make_exchange: Callable[[], Exchange]
    admit: Callable[[Exchange], RequestError | None]

    @property
    def owes_answers(self) -> bool:
        """Whether requests that came before wait for their answers."""
        ...

    def receive(self, exchange: Exchange) -> None:
        """Take a request that has come whole."""
        ...

    def refuse(self, exchange: Exchange, error: RequestError) -> None:
        """Take a request that is not read to its end, and nothing after it."""
        ...

    def go_on(self) -> None:
        """Note that the caller waits for leave to send its body."""
        ...


class RequestReader:
    """Reads the requests of one connection, one after the other.

    Attributes:
        exchange: what is being read; None between requests.
        is_over: whether nothing is read any more.
    """

    def __init__(self, receiver: Receiver, limits: HttpLimits) -> None:
        self._receiver = receiver
        self._limits = limits
        self._parser = httptools.HttpRequestParser(self)
        self.exchange: Exchange | None = None
        self.is_over = False
        self._headers: dict[bytes, bytes] = {}
        self._refusal: RequestError | None = None
        self._chunks: list[bytes] = []
        self._declared_bytes = self._body_bytes = self._head_bytes = 0
        # Of the body; bytes up to here are counted in the budget.
        self._counted_bytes = 0
        self._is_head_read = False
        # When the request began; later by the time that the caller was kept from sending.
        self._since = 0.0
        # Whether the parser has given anything since data came last, and how much came since it has.
        self._has_progressed = False
        self._quiet_bytes = 0

    def feed(self, data: bytes) -> None:
        """Read what has come."""
        rest: bytes | memoryview = data
        while not self.is_over:
            try:
                self._parser.feed_data(rest)
            except httptools.HttpParserUpgrade as offer:
                self._decline_upgrade()
                rest = memoryview(rest)[offer.args[0] :]
                if rest:
                    continue
            except (httptools.HttpParserError, httptools.HttpParserCallbackError) as error:
                self._refuse_unread(error)
            break
        if self.exchange is not None:
            self._require_progress(len(data))

    @property
    def is_untouched(self) -> bool:
        """Whether no request has begun yet."""
        return not self._since

    def end(self) -> Exchange | None:
        """Read nothing any more; gives the request that was being read."""
        self.is_over = True
        self._chunks = []
        exchange, self.exchange = self.exchange, None
        return exchange

    def allow(self, seconds: float) -> None:
        """Note for how long the caller was kept from sending."""
        self._since += seconds

    def refuse_if_late(self, now: float) -> None:
        """Refuse what takes too long to come.

        A body must keep a pace that brings it to its end in time: what is counted for it is not for others to use.
        """
        limits, seconds = self._limits, now - self._since
        if self.exchange is None:
            return
        if not self._is_head_read:
            if seconds > limits.head_seconds:
                self._refuse(too_late(limits.head_seconds))
            return
        due = self._declared_bytes * (seconds - limits.head_seconds) / limits.body_seconds
        if seconds > limits.body_seconds or self._body_bytes < due:
            self._refuse(self._refusal or too_late(limits.body_seconds))

    # The parser's side.

    def on_message_begin(self) -> None:
        """Called by the parser."""
        if self.is_over:
            raise _ReadingIsOver
        self.exchange = exchange = self._receiver.make_exchange()
        exchange.started = self._since = perf_counter()
        self._headers = exchange.headers
        self._refusal = None
        self._chunks = []
        self._head_bytes = self._body_bytes = self._declared_bytes = self._counted_bytes = 0
        self._is_head_read = False
        self._has_progressed = True

    def on_url(self, url: bytes) -> None:
        """Called by the parser, for long ones in parts."""
        assert self.exchange is not None
        self._head_bytes += len(url)
        if self._head_bytes > self._limits.max_head_bytes:
            raise head_too_large("path", self._limits.max_head_bytes)
        self.exchange.path += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser, for trailers as well."""
        self._head_bytes = size = self._head_bytes + len(name) + len(value) + _HEADER_BYTES
        if size > self._limits.max_head_bytes:
            raise head_too_large("headers", self._limits.max_head_bytes)
        # What comes after the body has been neither admitted nor asked for.
        if not self._is_head_read:
            self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        exchange = self.exchange
        if exchange is None:
            return
        self._has_progressed = True
        exchange.method = self._parser.get_method().decode("ascii")
        exchange.is_keep_alive = self._parser.should_keep_alive()
        if self._parser.should_upgrade():
            # What offers to do so is read again, without the offer.
            if exchange.method == "CONNECT":
                self._refuse(no_tunnel())
            return
        self._is_head_read = True
        path, _, exchange.query = exchange.path.partition(b"?")
        exchange.path = path if path[:1] == b"/" else without_authority(path)
        self._refusal = (
            self._too_large(exchange) or self._receiver.admit(exchange) or self._count_request(exchange)
        )
        if b"expect" in exchange.headers:
            self._meet_expectation(exchange)

    def on_body(self, chunk: bytes) -> None:
        """Called by the parser."""
        self._has_progressed = True
        self._body_bytes += len(chunk)
        if self._refusal is None and self._body_bytes > self._counted_bytes:
            self._refusal = self._count_body()
        if self._refusal is None:
            self._chunks.append(chunk)
        elif self._body_bytes > self._limits.max_discarded_bytes:
            self._refuse(self._refusal)

    def on_message_complete(self) -> None:
        """Called by the parser."""
        exchange = self.exchange
        if exchange is None or not self._is_head_read:
            return
        if self._refusal is not None:
            self._refuse(self._refusal)
            return
        chunks = self._chunks
        exchange.body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        self._chunks = []
        self.exchange = None
        self._receiver.receive(exchange)

    def _meet_expectation(self, exchange: Exchange) -> None:
        """Tell a caller that asks before it sends its body."""
        expected = exchange.headers[b"expect"].lower()
        if expected != b"100-continue" or self._parser.get_http_version() == "1.0":
            return
        if self._refusal is not None:
            self._refuse(self._refusal)
        else:
            self._receiver.go_on()

    def _decline_upgrade(self) -> None:
        """Read the request as one without the offer, which the parser would end at its head."""
        exchange = self.exchange
        if exchange is None or self.is_over:
            return
        head = head_without_offer(exchange, self._parser.get_http_version())
        self._parser = httptools.HttpRequestParser(self)
        try:
            self._parser.feed_data(head)
        except (
            httptools.HttpParserError,
            httptools.HttpParserCallbackError,
            httptools.HttpParserUpgrade,
        ) as error:
            self._refuse_unread(error)

    # Limits.

    def _refuse(self, error: RequestError) -> None:
        if not self.is_over:
            self._receiver.refuse(self.end() or self._receiver.make_exchange(), error)

    def _refuse_unread(self, error: Exception) -> None:
        if not self.is_over:
            self._refuse(_refusal_of(error))

    def _require_progress(self, size: int) -> None:
        """Refuse what has no end: the parser keeps a header or trailer until it is whole."""
        if self._has_progressed:
            self._has_progressed = False
            self._quiet_bytes = 0
            return
        self._quiet_bytes += size
        if self._quiet_bytes > self._limits.max_head_bytes:
            self._refuse(head_too_large("headers", self._limits.max_head_bytes))

    def _too_large(self, exchange: Exchange) -> RequestError | None:
        declared = exchange.headers.get(b"content-length")
        if declared is not None:
            self._declared_bytes = size = int(declared)
            if size > self._limits.max_body_bytes:
                return body_too_large(size, self._limits.max_body_bytes)
        return None

    def _count_request(self, exchange: Exchange) -> RequestError | None:
        """Count the request's head and the body that it declares."""
        self._counted_bytes = self._declared_bytes
        size = _EXCHANGE_BYTES + 2 * self._head_bytes + self._declared_bytes
        if size <= CONNECTION_BYTES and not self._receiver.owes_answers:
            return None
        return exchange.hold(size)

    def _count_body(self) -> RequestError | None:
        """Count more of a body that does not say how long it is than has come."""
        size, limit = self._body_bytes, self._limits.max_body_bytes
        assert self.exchange is not None
        step = min(size + max(size // 4, _LEAST_STEP), limit) - self._counted_bytes
        refusal = body_too_large(size, limit) if size > limit else self.exchange.hold(step)
        if refusal is None:
            self._counted_bytes += step
        else:
            self._chunks = []
            self.exchange.release()
        return refusal


class _ReadingIsOver(Exception):
    """Ends the parser's work on what came with the last request that is answered."""


def _refusal_of(error: Exception) -> RequestError:
    cause = error.__context__
    if isinstance(cause, RequestError):
        return cause
    if cause is not None:
        log.error("a request could not be read", exc_info=cause)
    return RequestError(f"not HTTP/1.1: {error}", field="request")
