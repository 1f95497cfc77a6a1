"""One HTTP/1.1 connection: requests in their order to the handler, and its answers in the same order back."""

from __future__ import annotations

import asyncio
import select
import socket
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from time import perf_counter
from typing import Protocol, cast

from mooring_inference.access.memory_budget import MemoryBudget
from mooring_inference.errors import RequestError
from mooring_inference.rest.http_server.exchange import (
    JSON,
    Exchange,
    Handler,
    Header,
    render_error,
    render_head,
)
from mooring_inference.rest.http_server.limits import HttpLimits, too_many_connections
from mooring_inference.rest.http_server.reader import CONNECTION_BYTES, RequestReader

__all__ = ["FIRST_REQUEST_SECONDS", "Connection", "HttpLimits", "is_readable"]

# Requests that a caller may send ahead on one connection before reading stops.
_MOST_AHEAD = 16
# Smaller answers fit into the transport's buffer, which asks for no more while they are unread.
_LARGE_ANSWER = 64 << 10
# How long a caller that was refused has to read why.
_LINGER_SECONDS = 1.0
# How long the first request of a new connection may take to come when the server stops.
FIRST_REQUEST_SECONDS = 1.0
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def is_readable(peer: socket.socket) -> bool:
    """Whether something has come that nobody has read: the loop looks at timers before it looks at sockets."""
    if (number := peer.fileno()) < 0:
        return False
    looking = select.poll()
    looking.register(number, select.POLLIN)
    return bool(looking.poll(0))


class Server(Protocol):
    """What a connection needs of the server that it belongs to.

    Attributes:
        common_headers: lines that come with every response.
        is_draining: whether callers are told, with their next answer, to leave their connections.
        late_calls: requests, other than to look at something, that have come while the server drains.
    """

    handler: Handler
    limits: HttpLimits
    budget: MemoryBudget
    common_headers: bytes
    is_draining: bool
    late_calls: int

    def admit(self, connection: Connection) -> bool:
        """Take a new connection; whether there was room for it."""
        ...

    def forget(self, connection: Connection) -> None:
        """Note that the connection is gone."""
        ...

    def note_refusal(self, error: RequestError) -> None:
        """Note that a request was refused before its handler could see it."""
        ...


class Connection(asyncio.Protocol):
    """Reads requests, hands them to the handler one at a time, writes responses.

    Attributes:
        peer: the caller's address.
        changed: when something was begun or ended last, by ``perf_counter``.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._limits = server.limits
        self._budget = server.budget
        self._handler = server.handler
        self.admit: Callable[[Exchange], RequestError | None] = server.handler.admit
        self.make_exchange: Callable[[], Exchange] = partial(Exchange, self._answer, self._budget)
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self._reader = RequestReader(self, server.limits)
        # Called by asyncio.
        self.data_received = self._reader.feed  # type: ignore[method-assign]
        self.peer = ""
        # What is being answered, and what was read and waits.
        self._current: Exchange | None = None
        self._waiting: deque[Exchange] = deque()
        self._owes_continue = False
        self.changed = perf_counter()
        self._paused_since: float | None = None
        self._stalled_since: float | None = None
        self._lingers_since: float | None = None
        self._held_bytes = self._unsent_bytes = 0

    # The transport's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        self._transport = cast("asyncio.Transport", transport)
        address = transport.get_extra_info("peername")
        self.peer = str(address[0]) if isinstance(address, tuple) else ""
        if not self._server.admit(self):
            self._refuse_connection(too_many_connections())
        elif not self._budget.take(CONNECTION_BYTES):
            self._refuse_connection(self._budget.refusal(CONNECTION_BYTES))
        else:
            self._held_bytes = CONNECTION_BYTES

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        self._server.forget(self)
        for exchange in (self._reader.end(), self._current, *self._waiting):
            if exchange is not None:
                exchange.leave()
        self._budget.release(self._unsent_bytes + self._held_bytes)
        self._unsent_bytes = self._held_bytes = 0
        self._waiting.clear()
        self._current = None

    def pause_writing(self) -> None:
        """Called by asyncio: the caller does not read as fast as it is answered."""
        self._stalled_since = perf_counter()
        self._pause_reading()

    def resume_writing(self) -> None:
        """Called by asyncio."""
        self._stalled_since = None
        self._release_unsent()
        if self._current is None and self._waiting:
            self._take_next()
        self._resume_reading()

    # The reader's side.

    @property
    def owes_answers(self) -> bool:
        """Whether requests wait for their answers."""
        return self._current is not None or bool(self._waiting)

    def receive(self, exchange: Exchange) -> None:
        """Take a request that has come whole: answer it after those that came before it."""
        self._owes_continue = False
        self.changed = perf_counter()
        if self._server.is_draining and exchange.method == "POST":
            self._server.late_calls += 1
        if self._current is None and not self._waiting and self._stalled_since is None:
            self._current = exchange
            self._handler.handle(exchange)
            return
        self._waiting.append(exchange)
        if len(self._waiting) >= _MOST_AHEAD:
            self._pause_reading()

    def refuse(self, exchange: Exchange, error: RequestError) -> None:
        """Answer what cannot be read, after what came before it; the connection closes then."""
        exchange.is_keep_alive = False
        exchange.refusal = error
        self._server.note_refusal(error)
        self._waiting.append(exchange)
        if self._current is None and self._stalled_since is None:
            self._take_next()

    def go_on(self) -> None:
        """Let the caller send its body, once it has its answers to what came before."""
        if self.owes_answers:
            self._owes_continue = True
        else:
            self._transport.write(_CONTINUE)

    # Answers.

    def _refuse_connection(self, error: RequestError) -> None:
        self._reader.end()
        self.refuse(self.make_exchange(), error)

    def _take_next(self) -> None:
        self._current = exchange = self._waiting.popleft()
        # Not from here: a caller that sends much ahead must not make the stack deep.
        asyncio.get_running_loop().call_soon(self._start, exchange)
        self._resume_reading()

    def _start(self, exchange: Exchange) -> None:
        if exchange is not self._current:
            return
        if exchange.refusal is not None:
            exchange.respond_error(exchange.refusal)
        else:
            self._handler.handle(exchange)

    def _answer(
        self, exchange: Exchange, status: int, body: bytes, content_type: bytes, headers: Sequence[Header]
    ) -> None:
        exchange.release()
        if exchange is not self._current:
            return  # the caller has gone, or was told to
        server = self._server
        close = not exchange.is_keep_alive or server.is_draining
        is_large = len(body) >= _LARGE_ANSWER and exchange.method != "HEAD"
        if is_large and (refusal := self._count_unsent(len(body))) is not None:
            is_large = False
            status, content_type, headers = refusal.status, JSON, refusal.headers
            body = render_error(refusal)
        head = render_head(status, content_type, len(body), server.common_headers, headers, close=close)
        if is_large:
            self._transport.writelines((head, body))
        else:
            self._transport.write(head if exchange.method == "HEAD" else head + body)
        self._current = None
        self.changed = perf_counter()
        if self._unsent_bytes and self._stalled_since is None:
            self._release_unsent()
        if exchange.refusal is not None and self._held_bytes:
            self._linger()
        elif close:
            self.close()
        elif self._waiting:
            # A caller that does not read its answers gets no more of them.
            if self._stalled_since is None:
                self._take_next()
        elif self._owes_continue:
            self._owes_continue = False
            self._transport.write(_CONTINUE)

    def _count_unsent(self, size: int) -> RequestError | None:
        """Count an answer until its caller has read most of it; a refusal where there is no room for it."""
        if not self._budget.take(size):
            return self._budget.refusal(size)
        self._unsent_bytes += size
        return None

    def _release_unsent(self) -> None:
        self._budget.release(self._unsent_bytes)
        self._unsent_bytes = 0

    # Time and closing.

    def sweep(self, now: float, elapsed: float) -> None:
        """Close what has taken too long; ``elapsed`` seconds after the last look."""
        limits = self._limits
        if self._stalled_since is not None:
            if now - self._stalled_since > limits.write_seconds:
                self._transport.abort()
        elif self._lingers_since is not None:
            if now - self._lingers_since > _LINGER_SECONDS:
                self._transport.abort()
        elif self._reader.is_over:
            if not self.owes_answers and now - self.changed > limits.write_seconds:
                self._transport.abort()
        elif self._reader.exchange is not None:
            if self._owes_continue:
                self._reader.allow(elapsed)
            elif self._paused_since is None:
                self._reader.refuse_if_late(now)
        elif not self.owes_answers and now - self.changed > limits.idle_seconds:
            self.close()

    def allow(self, seconds: float) -> None:
        """Note that the process stood still for so long: nothing was read or written meanwhile."""
        self._reader.allow(seconds)
        self.changed += seconds
        if self._stalled_since is not None:
            self._stalled_since += seconds
        if self._lingers_since is not None:
            self._lingers_since += seconds

    def close_if_idle(self) -> None:
        """Close where nothing has come, or is answered; a new connection gets time for its first request."""
        if self._reader.exchange is None and not self.owes_answers:
            if self._reader.is_untouched and perf_counter() - self.changed < FIRST_REQUEST_SECONDS:
                return
            if not is_readable(self._transport.get_extra_info("socket")):
                self.close()

    def close(self) -> None:
        """Close once what was written has been sent."""
        unread = self._reader.end()
        if unread is not None:
            unread.release()
        self._transport.close()

    def _linger(self) -> None:
        """Say that nothing more is answered, and close a little later.

        A connection that is closed before all that came was read ends in a reset, which may cost the caller the
        refusal. Source: RFC 9112, section 9.6.
        """
        self._lingers_since = perf_counter()
        try:
            if self._transport.can_write_eof():
                self._transport.write_eof()
        except OSError:
            self.close()  # the caller has gone
            return
        self._pause_reading()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    @property
    def is_reading(self) -> bool:
        """Whether a request has begun to come."""
        return self._reader.exchange is not None

    @property
    def is_stalled(self) -> bool:
        """Whether the caller does not read its answers."""
        return self._stalled_since is not None

    def _pause_reading(self) -> None:
        if self._paused_since is None:
            self._paused_since = perf_counter()
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._paused_since is None or self._stalled_since is not None:
            return
        if len(self._waiting) < _MOST_AHEAD:
            self._reader.allow(perf_counter() - self._paused_since)
            self._paused_since = None
            self._transport.resume_reading()
