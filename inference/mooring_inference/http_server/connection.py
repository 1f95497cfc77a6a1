"""One HTTP/1.1 connection: bytes to requests by llhttp's parser, one request at a time, within limits."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, cast

import httptools

from mooring_inference.errors import RequestError
from mooring_inference.http_server.exchange import Exchange, Header, render_head

if TYPE_CHECKING:
    from mooring_inference.http_server.listener import HttpServer

log = logging.getLogger(__name__)

# Requests that a caller may send ahead on one connection before reading stops.
_MOST_AHEAD = 16
# How clients offer HTTP/2, which they may do with any request.
_OFFERS = frozenset((b"connection", b"upgrade", b"http2-settings"))


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """What callers may ask of a connection.

    Attributes:
        max_body_bytes: a larger body is answered with 413.
        max_head_bytes: a longer path is answered with 414, longer headers with 431.
        max_discarded_bytes: of a body that is refused, this much is read all the same, so that the caller gets to
            read the answer.
        head_seconds: from a request's first byte to the end of its headers.
        body_seconds: from a request's first byte to the end of its body.
        idle_seconds: between requests.
        write_seconds: for the caller to read a response.
    """

    max_body_bytes: int = 64 << 20
    max_head_bytes: int = 32 << 10
    max_discarded_bytes: int = 256 << 20
    head_seconds: float = 10.0
    body_seconds: float = 60.0
    idle_seconds: float = 75.0
    write_seconds: float = 60.0


class Connection(asyncio.Protocol):
    """Reads requests, hands them to the handler in their order, writes responses in the same order."""

    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self._limits = server.limits
        self._handler = server.handler
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self._parser = httptools.HttpRequestParser(self)
        # What is being read, what was read and waits, what is being answered.
        self._reading: Exchange | None = None
        self._waiting: deque[Exchange] = deque()
        self._current: Exchange | None = None
        self._refusal: RequestError | None = None
        self._chunks: list[bytes] = []
        self._body_bytes = self._head_bytes = 0
        self._is_head_read = False
        self._is_reading_paused = False
        self._is_closing = False
        self._changed = perf_counter()
        self._stalled_since: float | None = None

    # The transport's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        self._transport = cast("asyncio.Transport", transport)
        self._server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        self._server.forget(self)
        self._is_closing = True
        for exchange in (self._current, *self._waiting):
            if exchange is not None:
                exchange.is_gone = True
                if exchange.on_gone is not None:
                    exchange.on_gone()
        self._waiting.clear()
        self._reading = self._current = None

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        if self._is_closing:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self._decline_upgrade(data[offer.args[0] :])
        except (httptools.HttpParserError, httptools.HttpParserCallbackError) as error:
            self._refuse_and_close(_refusal_of(error))

    def pause_writing(self) -> None:
        """Called by asyncio: the caller does not read as fast as it is answered."""
        self._stalled_since = perf_counter()
        self._pause_reading()

    def resume_writing(self) -> None:
        """Called by asyncio."""
        self._stalled_since = None
        self._go_on_reading()

    def _decline_upgrade(self, rest: bytes) -> None:
        """Read the request as one without the offer, which the parser would end at its head."""
        exchange = self._reading
        assert exchange is not None
        target = exchange.path + (b"?" + exchange.query if exchange.query else b"")
        kept = {name: value for name, value in exchange.headers.items() if name not in _OFFERS}
        head = b"%b %b HTTP/1.1\r\n" % (exchange.method.encode(), target)
        head += b"".join(b"%b: %b\r\n" % header for header in kept.items())
        self._parser = httptools.HttpRequestParser(self)
        self.data_received(head + b"\r\n" + rest)

    # The parser's side.

    def on_message_begin(self) -> None:
        """Called by the parser."""
        self._reading = exchange = Exchange(self._answer)
        exchange.started = self._changed = perf_counter()
        self._refusal = None
        self._chunks = []
        self._head_bytes = self._body_bytes = 0
        self._is_head_read = False

    def on_url(self, url: bytes) -> None:
        """Called by the parser, for long ones in parts."""
        assert self._reading is not None
        self._count_head(len(url), 414, "path")
        self._reading.path += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser."""
        assert self._reading is not None
        self._count_head(len(name) + len(value), 431, "headers")
        self._reading.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        exchange = self._reading
        assert exchange is not None
        self._is_head_read = True
        exchange.method = self._parser.get_method().decode("ascii")
        exchange.is_keep_alive = self._parser.should_keep_alive()
        path, _, exchange.query = exchange.path.partition(b"?")
        exchange.path = path
        self._refusal = self._too_large(exchange) or self._handler.admit(exchange)
        if exchange.headers.get(b"expect", b"").lower() == b"100-continue":
            if self._refusal is None and self._current is None:
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            elif self._refusal is not None:
                exchange.is_keep_alive = False

    def on_body(self, chunk: bytes) -> None:
        """Called by the parser."""
        self._body_bytes += len(chunk)
        if self._refusal is None and self._body_bytes > self._limits.max_body_bytes:
            self._refusal = self._body_too_large(self._body_bytes)
            self._chunks = []
        if self._refusal is None:
            self._chunks.append(chunk)
        elif self._body_bytes > self._limits.max_discarded_bytes:
            self._refuse_and_close(self._refusal)

    def on_message_complete(self) -> None:
        """Called by the parser."""
        exchange = self._reading
        if exchange is None or self._is_closing or self._parser.should_upgrade():
            return
        self._reading = None
        chunks = self._chunks
        exchange.body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        self._chunks = []
        self._changed = perf_counter()
        if self._refusal is not None:
            self._refuse_and_close(self._refusal)
        elif self._current is None:
            self._current = exchange
            self._handler.handle(exchange)
        else:
            self._waiting.append(exchange)
            if len(self._waiting) >= _MOST_AHEAD:
                self._pause_reading()

    # Answers.

    def _answer(
        self, exchange: Exchange, status: int, body: bytes, content_type: bytes, headers: Sequence[Header]
    ) -> None:
        if exchange is not self._current:
            return  # the caller has gone, or was told to
        server = self._server
        close = not exchange.is_keep_alive or server.is_draining
        head = render_head(status, content_type, len(body), server.common_headers, headers, close=close)
        if exchange.method == "HEAD":
            self._transport.write(head)
        elif len(body) < 65536:
            self._transport.write(head + body)
        else:
            self._transport.writelines((head, body))
        self._current = None
        self._changed = perf_counter()
        if close:
            self.close()
        elif self._waiting:
            self._current = self._waiting.popleft()
            # Not from here: a caller that sends much ahead must not make the stack deep.
            asyncio.get_running_loop().call_soon(self._handle_current, self._current)
            self._go_on_reading()

    def _handle_current(self, exchange: Exchange) -> None:
        if exchange is self._current:
            self._handler.handle(exchange)

    def _refuse_and_close(self, error: RequestError) -> None:
        """Answer what is being read, after what came before it; nothing can be read after it."""
        if self._is_closing:
            return
        if self._current is not None or self._waiting:
            # Its turn would come later, and the answers before it matter more.
            self._transport.abort()
            return
        self._current = exchange = self._reading or Exchange(self._answer)
        self._reading = None
        exchange.is_keep_alive = False
        exchange.respond_error(error)

    # Time and closing.

    def sweep(self, now: float) -> None:
        """Close what has taken too long."""
        limits = self._limits
        if self._stalled_since is not None and now - self._stalled_since > limits.write_seconds:
            self._transport.abort()
        elif self._reading is not None and self._current is None:
            allowed = limits.body_seconds if self._is_head_read else limits.head_seconds
            if now - self._reading.started > allowed:
                self._refuse_and_close(
                    RequestError(f"the request took longer than {allowed:g} s to come", status=408)
                )
        elif self._current is None and now - self._changed > limits.idle_seconds:
            self.close()

    def close_if_idle(self) -> None:
        """Close where nothing is being read or answered."""
        if self._current is None and self._reading is None and not self._waiting:
            self.close()

    def close(self) -> None:
        """Close once what was written has been sent."""
        self._is_closing = True
        self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    # Limits.

    def _count_head(self, size: int, status: int, field: str) -> None:
        self._head_bytes += size
        if self._head_bytes > self._limits.max_head_bytes:
            limit = self._limits.max_head_bytes
            raise RequestError(
                f"{field}: expected at most {limit} bytes of path and headers",
                status=status,
                field=field,
                expected=limit,
            )

    def _too_large(self, exchange: Exchange) -> RequestError | None:
        declared = exchange.headers.get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > self._limits.max_body_bytes:
            return self._body_too_large(int(declared))
        return None

    def _body_too_large(self, size: int) -> RequestError:
        limit = self._limits.max_body_bytes
        return RequestError(
            f"body: expected at most {limit} bytes, got {size}",
            status=413,
            field="body",
            expected=limit,
            got=size,
        )

    def _pause_reading(self) -> None:
        if not self._is_reading_paused:
            self._is_reading_paused = True
            self._transport.pause_reading()

    def _go_on_reading(self) -> None:
        if self._is_reading_paused and self._stalled_since is None and len(self._waiting) < _MOST_AHEAD:
            self._is_reading_paused = False
            self._transport.resume_reading()


def _refusal_of(error: Exception) -> RequestError:
    cause = error.__context__
    if isinstance(cause, RequestError):
        return cause
    if cause is not None:
        log.error("a request could not be read", exc_info=cause)
    return RequestError(f"not HTTP/1.1: {error}", field="request")
