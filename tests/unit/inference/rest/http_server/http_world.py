"""A server that echoes, on a real socket, and clients that write bytes to it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from time import perf_counter

from mooring_inference.access.memory_budget import MemoryBudget
from mooring_inference.rest.http_server.limits import HttpLimits
from mooring_inference.rest.http_server.listener import HttpServer, listen

SECONDS = 30


class Echo:
    """Answers with what it was sent; ``/later`` when it is told to, ``/big`` with a megabyte."""

    def __init__(self):
        self.kept = []
        self.gone = []
        self.seen = []
        self.refusal = None

    def admit(self, exchange):
        return self.refusal

    def handle(self, exchange):
        self.seen.append(exchange)
        if exchange.path == b"/later":
            exchange.on_gone = lambda: self.gone.append(exchange)
            self.kept.append(exchange)
        elif exchange.path == b"/big":
            exchange.respond(200, bytes(1 << 20))
        else:
            exchange.respond(200, exchange.path + b"|" + exchange.body, content_type=b"text/plain")


@asynccontextmanager
async def echoing(budget=None, tls=None, **limits):
    """(server, handler); the server has a port besides."""
    handler = Echo()
    server = HttpServer(handler, limits=HttpLimits(**limits), budget=MemoryBudget(budget) if budget else None)
    with listen("127.0.0.1", 0) as listener:
        await server.start(listener, tls)
        server.port = listener.getsockname()[1]
        try:
            yield server, handler
        finally:
            await server.stop(0.2)


@asynccontextmanager
async def connected(server, address="127.0.0.1"):
    """(reader, writer) of a connection from an address of this machine."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, local_addr=(address, 0))
    try:
        yield reader, writer
    finally:
        writer.close()


async def answer(reader):
    """(status, headers, body) of the next response."""
    async with asyncio.timeout(SECONDS):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in head[1:] if line)
        body = await reader.readexactly(int(headers.get("content-length", 0)))
    return int(head[0].split()[1]), headers, body


async def until(condition):
    async with asyncio.timeout(SECONDS):
        while not condition():
            await asyncio.sleep(0.01)


async def ended(reader):
    """What is left until the server closes the connection."""
    async with asyncio.timeout(SECONDS):
        return await reader.read()


def post(path=b"/x", body=b"", headers=b"", version=b"1.1"):
    return b"POST %b HTTP/%b\r\nhost: h\r\ncontent-length: %d\r\n%b\r\n%b" % (
        path,
        version,
        len(body),
        headers,
        body,
    )


def sweep(server, seconds):
    """As if so many seconds had passed."""
    for connection in server.connections:
        connection.sweep(perf_counter() + seconds, seconds)
