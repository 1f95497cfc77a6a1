"""A load generator: many connections with one request in flight each, in one thread over epoll.

It sends bytes made beforehand and reads no more of an answer than its end and its status. A cell of the
benchmark says how busy it was: where it had no time left, it was the limit and not the server.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from tests.benchmarks.serving.http2 import ProtocolError

_CHUNK = 1 << 18
_CONNECT_SECONDS = 5.0
_PROBE_SECONDS = 0.01
_PATIENCE = 4


class Exchange(Protocol):
    """One connection's protocol, without the socket."""

    failed: bool
    closes: bool

    def reset(self) -> None: ...
    def opening(self) -> bytes: ...
    def request(self) -> bytes: ...
    def receive(self, data: bytes) -> tuple[bytes | None, bytes]: ...


@dataclass(frozen=True)
class Load:
    """What one run saw: latencies in ns of the answers, calls that failed, and the generator's own part."""

    latencies: list[int]
    failed: int
    seconds: float
    busy: float


class Connection:
    """One client: a socket, its exchange, and when its request was sent; `sent` is 0 while none is."""

    def __init__(self, address: tuple[str, int], exchange: Exchange) -> None:
        self.address = address
        self.exchange = exchange
        self.sent = 0
        self.socket = self._connect()

    def _connect(self) -> socket.socket:
        connected = socket.create_connection(self.address, timeout=_CONNECT_SECONDS)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.exchange.reset()
        connected.sendall(self.exchange.opening())
        return connected

    def reconnect(self) -> None:
        self.socket.close()
        self.socket = self._connect()

    def send(self) -> None:
        data = self.exchange.request()
        self.sent = time.perf_counter_ns()
        # Requests are smaller than a loopback socket's buffer, so this does not wait.
        self.socket.sendall(data)

    def receive(self) -> bytes | None:
        """The answer, if this was its end; raises OSError or ProtocolError where there will be none."""
        data = self.socket.recv(_CHUNK)
        if not data:
            raise ConnectionResetError("closed by the server")
        answer, replies = self.exchange.receive(data)
        if replies:
            self.socket.sendall(replies)
        return answer


class LoadGenerator:
    """Keeps one request in flight on each of its connections while it runs."""

    def __init__(self, address: tuple[str, int], make: Callable[[], Exchange], clients: int) -> None:
        self._epoll = select.epoll()
        self._open: dict[int, Connection] = {}
        self._latencies: list[int] = []
        self._failed = 0
        self._is_sending = True
        for _ in range(clients):
            self._add(Connection(address, make()))

    def __enter__(self) -> LoadGenerator:
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self._open.values():
            connection.socket.close()
        self._epoll.close()

    def run(self, seconds: float, *, at_least: int = 0, until: Callable[[], bool] = lambda: False) -> Load:
        """Load the server; requests in flight at the end stay so, for the next run.

        Args:
            seconds: how long.
            at_least: answers that are awaited even so, up to four times as long.
            until: ends the run at once.
        """
        self._latencies, self._failed = [], 0
        cpu, started = time.process_time(), time.perf_counter()
        for connection in list(self._open.values()):
            if not connection.sent:
                try:
                    connection.send()
                except OSError:
                    self._lose(connection)
        while (now := time.perf_counter()) < started + _PATIENCE * seconds and self._open and not until():
            if now >= started + seconds and len(self._latencies) >= at_least:
                break
            self._turn(0.05)
        elapsed = time.perf_counter() - started
        return Load(self._latencies, self._failed, elapsed, (time.process_time() - cpu) / elapsed)

    def finish(self, seconds: float) -> int:
        """Send nothing new and await what is in flight.

        Returns how many requests failed or got no answer since the last run began.
        """
        self._is_sending = False
        deadline = time.perf_counter() + seconds
        while time.perf_counter() < deadline and any(c.sent for c in self._open.values()):
            self._turn(0.05)
        return self._failed + sum(1 for c in self._open.values() if c.sent)

    def probe(self, address: tuple[str, int], exchange: Exchange, seconds: float) -> list[int]:
        """Latencies in ns of one more client that asks every 10 ms, while the others load the server."""
        prober = LoadGenerator(address, lambda: exchange, 1)
        found: list[int] = []
        with prober:
            (connection,) = prober._open.values()
            self._epoll.register(prober._epoll, select.EPOLLIN)
            prober._is_sending = False
            due, deadline = time.perf_counter(), time.perf_counter() + seconds
            while (now := time.perf_counter()) < deadline and self._open:
                if not connection.sent and now >= due:
                    connection.send()
                    due = now + _PROBE_SECONDS
                self._turn(0.001)
                prober._turn(0)
            found = prober._latencies
            if connection.sent:
                # It waits still, and no less counts than what it waited so far.
                found.append(time.perf_counter_ns() - connection.sent)
            self._epoll.unregister(prober._epoll)
        return found

    def _turn(self, seconds: float) -> None:
        for descriptor, _ in self._epoll.poll(seconds):
            connection = self._open.get(descriptor)
            if connection is not None:
                try:
                    self._receive(connection)
                except (OSError, ProtocolError):
                    self._lose(connection)

    def _receive(self, connection: Connection) -> None:
        if connection.receive() is None:
            return
        self._latencies.append(time.perf_counter_ns() - connection.sent)
        connection.sent = 0
        if connection.exchange.failed:
            self._failed += 1
            self._drop(connection)
        elif not self._is_sending:
            return
        elif connection.exchange.closes:
            self._forget(connection)
            connection.reconnect()
            self._add(connection)
            connection.send()
        else:
            connection.send()

    def _lose(self, connection: Connection) -> None:
        # A connection that the server ends once nobody means to send on it costs nobody anything.
        if connection.sent or self._is_sending:
            self._failed += 1
        self._drop(connection)

    def _add(self, connection: Connection) -> None:
        self._open[connection.socket.fileno()] = connection
        self._epoll.register(connection.socket, select.EPOLLIN)

    def _forget(self, connection: Connection) -> None:
        if self._open.pop(connection.socket.fileno(), None) is not None:
            self._epoll.unregister(connection.socket)

    def _drop(self, connection: Connection) -> None:
        self._forget(connection)
        connection.socket.close()
