"""Servers that listen on one socket leave connections to each other, and lose none."""

from __future__ import annotations

import asyncio
import errno
import socket
from contextlib import AsyncExitStack, asynccontextmanager

from mooring_inference.rest.http_server.limits import HttpLimits
from mooring_inference.rest.http_server.listener import HttpServer, listen
from mooring_inference.rest.http_server.turns import TurnTaker

from tests.unit.inference.rest.http_server.http_world import Echo, answer

SECONDS = 30
GET = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"


class Told:
    """Turns as a test wants them, and what the server says of itself."""

    def __init__(self):
        self.is_first = True
        self.asked = 0
        self.noted = []

    def note(self, connections):
        self.noted.append(connections)

    def withdraw(self):
        self.noted.append(None)

    def is_mine(self, connections):
        self.asked += 1
        return self.is_first


@asynccontextmanager
async def sharing(count=2):
    """(port, servers, their turns): servers of one socket, of which each process would have one."""
    async with AsyncExitStack() as stack:
        first = stack.enter_context(listen("127.0.0.1", 0))
        turns = [Told() for _ in range(count)]
        servers = []
        for told in turns:
            server = HttpServer(Echo(), limits=HttpLimits(), turns=told)
            await server.start(stack.enter_context(first.dup()))
            stack.push_async_callback(server.stop, 0.2)
            servers.append(server)
        yield first.getsockname()[1], servers, turns


async def ask(stack, port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    stack.callback(writer.close)
    writer.write(GET)
    status, _, body = await answer(reader)
    assert (status, body) == (200, b"/a|")


async def test_connections_go_to_whose_turn_it_is():
    async with sharing() as (port, servers, turns), AsyncExitStack() as stack:
        turns[0].is_first = False
        for _ in range(5):
            await ask(stack, port)
        assert [len(server.connections) for server in servers] == [0, 5]
        assert turns[1].noted[-1] == 5


async def test_what_nobody_else_takes_is_taken_all_the_same():
    async with sharing(1) as (port, servers, turns), AsyncExitStack() as stack:
        turns[0].is_first = False
        async with asyncio.timeout(SECONDS):
            await asyncio.gather(*(ask(stack, port) for _ in range(20)))
        assert len(servers[0].connections) == 20
        assert turns[0].asked >= 20


async def test_a_server_that_stops_takes_what_has_come_and_withdraws():
    async with sharing(1) as (port, servers, turns), AsyncExitStack() as stack:
        turns[0].is_first = False
        early = socket.create_connection(("127.0.0.1", port))
        stack.callback(early.close)
        early.sendall(GET)
        stopping = asyncio.create_task(servers[0].stop(SECONDS))
        early.setblocking(False)
        async with asyncio.timeout(SECONDS):
            assert b" 200 OK" in await asyncio.get_running_loop().sock_recv(early, 1000)
            await stopping
        assert turns[0].noted[-1] is None


async def test_answers_are_sent_at_once():
    async with sharing(1) as (port, servers, _), AsyncExitStack() as stack:
        await ask(stack, port)
        (connection,) = servers[0].connections
        peer = connection._transport.get_extra_info("socket")
        assert peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_want_of_descriptors_is_waited_for(caplog, monkeypatch):
    monkeypatch.setattr("mooring_inference.rest.http_server.turns._SCARCE_SECONDS", 0.01)
    failures = iter((errno.EMFILE, errno.ECONNABORTED))

    class Scarce(socket.socket):
        def accept(self):
            for number in failures:
                raise OSError(number, "there are none")
            return super().accept()

    with Scarce() as listener:
        listener.bind(("127.0.0.1", 0))
        joined = asyncio.Event()

        class Joined(asyncio.Protocol):
            def connection_made(self, transport):
                joined.set()

        taker = TurnTaker(listener, Joined, lambda: True, backlog=8, tls=None, handshake_seconds=SECONDS)
        with socket.create_connection(listener.getsockname()):
            async with asyncio.timeout(SECONDS):
                await joined.wait()
        taker.close()
    assert [record.message for record in caplog.records] == ["a connection could not be accepted"]
