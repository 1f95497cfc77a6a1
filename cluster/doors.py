"""Doors into a network of its own: ports of this machine whose connections are handed on to ports in there.

A socket stays in the network that it was made in, whoever holds it: those of doors are made outside and inherited.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import threading
from contextlib import closing, suppress

_CHUNK = 1 << 16


class Doors:
    """Listening sockets of 127.0.0.1; each leads to one port of this process' own network once it is opened."""

    def __init__(self, sockets: list[socket.socket]) -> None:
        self._closed = sockets
        self._ports: dict[int, int] = {}
        self._loop = asyncio.new_event_loop()
        # A thread: those who come in are not to wait for what the main one does.
        self._thread = threading.Thread(target=self._loop.run_forever, name="doors", daemon=True)
        self._thread.start()

    @staticmethod
    def prepare(count: int) -> list[int]:
        """Make the sockets of some doors; their descriptors survive ``exec``."""
        descriptors = []
        for _ in range(count):
            descriptor = socket.create_server(("127.0.0.1", 0)).detach()
            os.set_inheritable(descriptor, True)
            descriptors.append(descriptor)
        return descriptors

    @classmethod
    def inherited(cls, descriptors: list[int]) -> Doors:
        """Take over the sockets that were made before; no program that is started from here on has them."""
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        return cls([socket.socket(fileno=descriptor) for descriptor in descriptors])

    def open(self, port: int) -> int:
        """Hand connections on to a port of 127.0.0.1 in here, whether or not one listens yet; give the port outside."""
        if port in self._ports:
            return self._ports[port]
        listener = self._closed.pop()
        self._ports[port] = listener.getsockname()[1]

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            # Only `close` cancels it; the server would report that as a fault.
            with suppress(asyncio.CancelledError):
                await _hand_on(reader, writer, port)

        asyncio.run_coroutine_threadsafe(asyncio.start_server(accept, sock=listener), self._loop).result()
        return self._ports[port]

    def close(self) -> None:
        """Hand nothing on any more; connections that are open end."""
        asyncio.run_coroutine_threadsafe(_cancel_others(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def outside(self, text: str) -> str:
        """Give a text with the addresses of open doors as they are outside."""
        return re.sub(
            r"(?<=127\.0\.0\.1:)\d+", lambda found: str(self._ports.get(int(found[0]), found[0])), text
        )


async def _hand_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    with closing(writer):
        try:
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return
        with closing(inner_writer):
            await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass everything on, and then its end: the other direction may have more to say."""
    with suppress(OSError):
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
    with suppress(OSError, RuntimeError):
        writer.write_eof()
