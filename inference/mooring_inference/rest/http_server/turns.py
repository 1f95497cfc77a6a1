"""Accepting connections where several processes listen on one socket.

The kernel wakes all of them, and who comes first would take all that wait: of 64 callers that connect at once, one
process had up to 64 and the other none. They keep their connections, so one core had all the work.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Protocol

log = logging.getLogger(__name__)

# For how long a process leaves a connection to the others: none of them may be able to take it.
_LEFT_SECONDS = 0.002
# After an error for want of memory or file descriptors, which others may free.
_SCARCE_SECONDS = 1.0
_SCARCE = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Turns(Protocol):
    """Tells a process whether the next connection is its own to take."""

    def note(self, connections: int) -> None:
        """Take note of how many connections the process has."""
        ...

    def withdraw(self) -> None:
        """Note that the process takes no more of them."""
        ...

    def is_mine(self, connections: int) -> bool:
        """Whether a process that has so many connections should take the next one."""
        ...


class TurnTaker:
    """Accepts one connection at a time, and leaves those to others that they should take."""

    def __init__(
        self,
        listener: socket.socket,
        make: Callable[[], asyncio.Protocol],
        is_my_turn: Callable[[], bool],
        *,
        backlog: int,
        tls: ssl.SSLContext | None,
        handshake_seconds: float,
    ) -> None:
        """Begin to accept; to be made on the event loop's thread.

        Args:
            listener: a bound socket.
            make: makes the protocol of a connection.
            is_my_turn: asked before each.
            backlog: connections that may wait.
            tls: None without it.
            handshake_seconds: of TLS.
        """
        self._listener = listener
        self._make = make
        self._is_my_turn = is_my_turn
        self._tls: dict[str, object] = (
            {} if tls is None else {"ssl": tls, "ssl_handshake_timeout": handshake_seconds}
        )
        self._loop = asyncio.get_running_loop()
        self._joining: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None
        listener.setblocking(False)
        listener.listen(backlog)
        self._loop.add_reader(listener, self._see)

    def close(self) -> None:
        """Accept no more, and close the socket."""
        if self._listener.fileno() < 0:
            return
        if self._pause is None:
            self._loop.remove_reader(self._listener)
        else:
            self._pause.cancel()
        self._listener.close()

    def _see(self) -> None:
        if self._is_my_turn():
            self._accept()
        else:
            self._rest(_LEFT_SECONDS)

    def _rest(self, seconds: float) -> None:
        self._loop.remove_reader(self._listener)
        self._pause = self._loop.call_later(seconds, self._resume)

    def _resume(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listener, self._see)
        # Whoever should have taken what still waits has had the time to.
        self._accept()

    def _accept(self) -> None:
        try:
            peer, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return  # another process has it, or its caller has gone
        except OSError as error:
            log.error("a connection could not be accepted", extra={"fields": {"reason": str(error)}})
            if error.errno in _SCARCE:
                self._rest(_SCARCE_SECONDS)
            return
        task = self._loop.create_task(self._join(peer))
        self._joining.add(task)
        task.add_done_callback(self._joining.discard)

    async def _join(self, peer: socket.socket) -> None:
        try:
            # Which not every event loop sees to for a socket that it has not accepted.
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._loop.connect_accepted_socket(self._make, peer, **self._tls)  # type: ignore[arg-type]
        except (OSError, TimeoutError):
            # Its caller has gone, or a handshake has failed, which is the caller's own matter.
            peer.close()
