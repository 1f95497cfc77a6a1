"""Conversations that no caller would lead, over several connections at once, with a model of what has to come back.

Whatever is sent, and however it is cut: every request gets exactly one answer, its own, in its place, or the connection
ends; nothing is logged; nothing stays counted.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections import deque
from dataclasses import dataclass, field

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.unit.inference.rest.http_server.http_world import SECONDS, echoing

BUDGET = 8 << 20


@dataclass(frozen=True)
class Sent:
    """One request as bytes, and what has to come back.

    ``status`` 200 means its own body; another one is the connection's last. ``later`` are answered when the test says.
    """

    content: bytes
    status: int
    body: bytes = b""
    is_head: bool = False
    asks_first: bool = False
    ends: bool = False


def _framed(draw, body):
    """(header lines, body as it travels)"""
    if draw(st.booleans()):
        return b"content-length: %d\r\n" % len(body), body
    travelling, rest = b"", body
    while rest:
        size = draw(st.integers(1, len(rest)))
        extension = draw(st.sampled_from((b"", b";a", b';a="b"')))
        travelling += b"%x%b\r\n%b\r\n" % (size, extension, rest[:size])
        rest = rest[size:]
    trailers = draw(st.sampled_from((b"", b"x-late: 1\r\n", b"expect: 100-continue\r\nupgrade: h2c\r\n")))
    return b"transfer-encoding: chunked\r\n", travelling + b"0\r\n" + trailers + b"\r\n"


OFFERS = (
    b"",
    b"",
    b"connection: upgrade\r\nupgrade: h2c\r\n",
    b"Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n",
    b"upgrade: h2c\r\n",
)
TARGETS = (b"%b", b"http://h%b", b"HTTP://h:1%b")


@st.composite
def good_requests(draw, path):
    """Requests that are answered with what they say."""
    method = draw(st.sampled_from((b"POST", b"POST", b"GET", b"HEAD", b"TRACE", b"OPTIONS", b"DELETE")))
    body = draw(st.binary(max_size=80)) if method in (b"POST", b"DELETE") else b""
    lines, travelling = _framed(draw, body) if body else (b"", b"")
    version = draw(st.sampled_from((b"1.1", b"1.1", b"1.1", b"1.0")))
    closes = draw(st.sampled_from((False, False, False, True)))
    # What says both, as HTTP/1.0 may, is kept by some and closed by others.
    lines += draw(st.sampled_from(OFFERS[:3] if closes else OFFERS))
    asks_first = bool(body) and draw(st.booleans())
    lines += b"connection: close\r\n" if closes else b""
    lines += b"expect: 100-continue\r\n" if asks_first else b""
    if version == b"1.0" and not closes and draw(st.booleans()):
        lines += b"connection: keep-alive\r\n"
    head = b"%b %b HTTP/%b\r\nhost: h\r\n%b\r\n" % (
        method, draw(st.sampled_from(TARGETS)) % path, version, lines
    )  # fmt: skip
    keeps = b"connection: keep-alive\r\n" in lines or b"Connection: keep-alive" in lines
    return Sent(
        draw(st.sampled_from((b"", b"", b"\r\n"))) + head + travelling,
        200,
        path + b"|" + body,
        is_head=method == b"HEAD",
        asks_first=asks_first and version == b"1.1",
        ends=closes or (version == b"1.0" and not keeps),
    )


BAD = (
    (b"CONNECT h:1 HTTP/1.1\r\n\r\n", 405),
    (b"CONNECT h:1 HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc", 405),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    (b"rubbish\r\n\r\n", 400),
    (b"\x16\x03\x01\x02\x00\x01\x00", 400),
    (b"GET /x HTTP/1.1\r\nhost: h\r\n folded: 1\r\n\r\n", 400),
    (b"GET /x HTTP/1.1\r\nhost : h\r\n\r\n", 400),
    (b"POST /x HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab", 400),
    (b"POST /x HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (b"POST /x HTTP/1.1\r\ntransfer-encoding: gzip\r\n\r\nab", 400),
    (b"POST /x HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", 400),
    (b"POST /x HTTP/1.1\r\ncontent-length: 5000\r\n\r\n" + b"x" * 5000, 413),
    (b"POST /x HTTP/1.1\r\ncontent-length: 5000\r\nexpect: 100-continue\r\n\r\n", 413),
    (b"GET /" + b"x" * 3000 + b" HTTP/1.1\r\n\r\n", 414),
    (b"GET /x HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n", 431),
    (b"GET /x HTTP/1.1\r\na: " + b"b" * 3000 + b"\r\n\r\n", 431),
)


@dataclass
class Caller:
    """One connection, what it still has to send, and what it is owed."""

    socket: socket.socket
    unsent: bytes = b""
    owed: deque[Sent] = field(default_factory=deque)
    received: bytes = b""
    leave: int = 0
    is_over: bool = False


class World:
    """The server, on a loop of its own in a thread."""

    def __init__(self):
        self._started, self._stop = threading.Event(), None
        self._thread = threading.Thread(target=asyncio.run, args=(self._run(),))
        self._thread.start()
        assert self._started.wait(SECONDS)

    async def _run(self):
        self.loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with echoing(budget=BUDGET, max_body_bytes=4000, max_head_bytes=2000) as (server, handler):
            self.server, self.handler = server, handler
            self._started.set()
            await self._stop.wait()
            async with asyncio.timeout(SECONDS):
                while len(server.connections):
                    await asyncio.sleep(0.005)
            self.held = server.budget.held

    def call(self, act):
        async def run():
            return act()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(SECONDS)

    def close(self):
        self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(SECONDS)
        return self.held


class Log(logging.Handler):
    """Keeps what is logged."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


class Conversations(RuleBasedStateMachine):
    """See the module."""

    @initialize()
    def begin(self):
        self.log = Log()
        logging.getLogger().addHandler(self.log)
        self.world = World()
        self.callers: list[Caller] = []
        self.count = 0

    def _open(self):
        made = socket.create_connection(("127.0.0.1", self.world.server.port), timeout=SECONDS)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.callers.append(Caller(made))

    def _caller(self, number):
        if not self.callers or (number >= len(self.callers) and len(self.callers) < 3):
            self._open()
        return self.callers[number % len(self.callers)]

    @rule(number=st.integers(0, 3), data=st.data(), is_later=st.booleans())
    def ask(self, number, data, is_later):
        caller = self._caller(number)
        if caller.is_over:
            return
        self.count += 1
        path = b"/later" if is_later else b"/%d" % self.count
        self._queue(caller, data.draw(good_requests(path)))

    @rule(number=st.integers(0, 3), bad=st.sampled_from(BAD))
    def ask_badly(self, number, bad):
        caller = self._caller(number)
        if not caller.is_over:
            content, status = bad
            self._queue(caller, Sent(content, status, ends=True))

    def _queue(self, caller, sent):
        caller.unsent += sent.content
        caller.owed.append(sent)
        caller.is_over = sent.ends

    @rule(number=st.integers(0, 3), size=st.integers(1, 200))
    def send_some(self, number, size):
        self._send(self._caller(number), size)

    @rule(number=st.integers(0, 3))
    def send_all(self, number):
        caller = self._caller(number)
        self._send(caller, len(caller.unsent))

    def _send(self, caller, size):
        part, caller.unsent = caller.unsent[:size], caller.unsent[size:]
        try:
            caller.socket.sendall(part)
        except ConnectionError:
            # It was told before the end of what it said, and that was its last.
            assert caller.is_over

    @rule(number=st.integers(0, 5))
    def answer_one(self, number):
        def respond():
            kept = self.world.handler.kept
            if kept:
                exchange = kept.pop(number % len(kept))
                exchange.respond(200, exchange.path + b"|" + exchange.body)

        self.world.call(respond)

    @precondition(lambda self: len(getattr(self, "callers", ())) > 1)
    @rule(number=st.integers(0, 3))
    def leave(self, number):
        caller = self.callers.pop(number % len(self.callers))
        caller.socket.close()

    @rule(number=st.integers(0, 3))
    def read_what_is_there(self, number):
        caller = self._caller(number)
        caller.socket.settimeout(0.002)
        try:
            while content := caller.socket.recv(65536):
                caller.received += content
        except (TimeoutError, ConnectionError):
            pass
        finally:
            caller.socket.settimeout(SECONDS)
        self._check(caller)

    @invariant()
    def no_complaint(self):
        assert not getattr(self, "log", Log()).lines

    def teardown(self):
        if not hasattr(self, "world"):
            return
        for caller in self.callers:
            self._send(caller, len(caller.unsent))
        finishing = threading.Event()
        answering = threading.Thread(target=self._answer_all, args=(finishing,))
        answering.start()
        try:
            for caller in self.callers:
                self._finish(caller)
        finally:
            finishing.set()
            answering.join(SECONDS)
            for caller in self.callers:
                caller.socket.close()
            held = self.world.close()
            logging.getLogger().removeHandler(self.log)
        assert held == 0
        assert not self.log.lines

    def _answer_all(self, finishing):
        while not finishing.wait(0.005):
            self.answer_one(0)

    def _finish(self, caller):
        """Read until nothing is owed; a caller whose last request ends the connection until that has ended."""
        try:
            while caller.owed or caller.is_over:
                content = caller.socket.recv(65536)
                caller.received += content
                self._check(caller)
                if not content:
                    break
        except ConnectionError:
            # What it sent after its last request was not read.
            assert caller.is_over
            return
        self._check(caller)
        assert not caller.owed, caller.owed
        assert not caller.received

    def _check(self, caller):
        """Hold what has come against what is owed."""
        while b"\r\n\r\n" in caller.received:
            head, _, rest = caller.received.partition(b"\r\n\r\n")
            status = int(head.split()[1])
            assert caller.owed, caller.received
            if status == 100:
                assert any(sent.asks_first for sent in caller.owed)
                caller.received = rest
                continue
            sent = caller.owed[0]
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            if sent.is_head:
                length, body = 0, b""
            elif len(rest) < length:
                return
            else:
                body = rest[:length]
            assert status == sent.status, (head, sent)
            assert (b"connection: close" in head) is sent.ends, (head, sent)
            if status == 200 and not sent.is_head:
                assert body == sent.body
            caller.owed.popleft()
            caller.received = rest[length:]


Conversations.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=25,
    deadline=None,
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
test_conversations = Conversations.TestCase
