"""The calls of one method, taken off a grpc server without a thread for each.

grpc's server in Python gives every call to a thread of a pool, which waits there for its message and for its answer;
that is most of what a small call costs. Here one thread asks grpc's core what has happened, and the event loop answers.
The core's interface is the one that grpc's own server is written with, and not a public one: what is used of it is in
this file alone, and grpc is pinned.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

import grpc
from grpc._cython import cygrpc

log = logging.getLogger(__name__)

_NO_FLAGS = 0

Metadata = Sequence[tuple[str, str]]


class DirectCall:
    """One call.

    Attributes:
        metadata: the caller's.
        deadline: when it stops waiting, by ``time.time``; infinity for never.
        is_gone: whether the caller has gone, or its time is over.
        on_gone: called on the event loop where that happens before there is an answer.
    """

    __slots__ = (
        "_call",
        "_has_ended",
        "_is_closed",
        "_is_sent",
        "_loop",
        "_on_end",
        "deadline",
        "is_gone",
        "metadata",
        "on_gone",
    )

    def __init__(self, event: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._call = event.call
        self.metadata: Metadata = event.invocation_metadata
        self.deadline: float = event.call_details.deadline
        self._loop = loop
        self.is_gone = False
        self.on_gone: Callable[[], None] | None = None
        self._is_closed = self._is_sent = self._has_ended = False
        self._on_end: list[Callable[[], None]] = []
        # Operations hold what comes of them: each batch has its own.
        self._call.start_server_batch((cygrpc.ReceiveCloseOnServerOperation(_NO_FLAGS),), self._closed)

    def add_callback(self, act: Callable[[], None]) -> bool:
        """Act, on the thread that asks the core, when the call has ended; false where it has."""
        if self._has_ended:
            return False
        self._on_end.append(act)
        return True

    def peer(self) -> str:
        """Return the caller's address."""
        return str(self._call.peer().decode())

    def cancel(self) -> None:
        """End the call without an answer."""
        self._call.cancel()

    def receive(self, came: Callable[[DirectCall, bytes | None], None]) -> None:
        """Have the message read; ``came`` is called with it on the thread that asks the core, with None for none."""

        def act(event: Any) -> None:
            came(self, event.batch_operations[0].message())

        self._call.start_server_batch((cygrpc.ReceiveMessageOperation(_NO_FLAGS),), act)

    def reply(self, content: bytes, metadata: Metadata = ()) -> None:
        """Answer with a message."""
        self._finish((cygrpc.SendMessageOperation(content, _NO_FLAGS),), grpc.StatusCode.OK, "", metadata)

    def refuse(self, code: grpc.StatusCode, text: str, metadata: Metadata = ()) -> None:
        """Answer with an error."""
        self._finish((), code, text, metadata)

    def _finish(self, message: tuple[Any, ...], code: grpc.StatusCode, text: str, metadata: Metadata) -> None:
        self.on_gone = None
        if self.is_gone:
            return
        status = cygrpc.SendStatusFromServerOperation(
            tuple(metadata) or None, code.value[0], text.encode(), _NO_FLAGS
        )
        self._call.start_server_batch(
            (cygrpc.SendInitialMetadataOperation(None, _NO_FLAGS), *message, status), self._sent
        )

    def _closed(self, event: Any) -> None:
        self._is_closed = True
        if event.batch_operations[0].cancelled():
            self.is_gone = True
            self._loop.call_soon_threadsafe(self._tell_gone)
            self._end()
        elif self._is_sent:
            self._end()

    def _sent(self, _: Any) -> None:
        self._is_sent = True
        if self._is_closed:
            self._end()

    def _end(self) -> None:
        if not self._has_ended:
            self._has_ended = True
            for act in self._on_end:
                act()

    def _tell_gone(self) -> None:
        if self.on_gone is not None:
            self.on_gone()
            self.on_gone = None


class DirectCalls:
    """A grpc server's calls of one method; ``start`` before the server, ``close`` once it has stopped.

    Attributes:
        in_flight: calls that have not ended.
    """

    def __init__(
        self,
        server: grpc.Server,
        method: str,
        loop: asyncio.AbstractEventLoop,
        arrived: Callable[[DirectCall], None],
    ) -> None:
        """Take calls from now on.

        Args:
            server: not started yet.
            method: its whole path.
            loop: where calls are told that their callers have gone.
            arrived: called with each call, on the thread that asks the core; its message has not been read.
        """
        self.in_flight = 0
        self._loop = loop
        self._arrived = arrived
        self._method = method
        # No public way leads to it.
        self._server = server._state.server
        self._queue = cygrpc.CompletionQueue()
        self._server.register_completion_queue(self._queue)
        self._server.register_method(method)
        self._thread = threading.Thread(target=self._run, name="grpc-calls", daemon=True)

    def start(self) -> None:
        """Begin; the server must have started."""
        self._ask()
        self._thread.start()

    def close(self) -> None:
        """Let the thread end; the server must have stopped."""
        self._queue.shutdown()

    def _ask(self) -> None:
        self._server.request_registered_call(self._queue, self._queue, self._method, self._begun)

    def _run(self) -> None:
        while True:
            event = self._queue.poll()
            if event.completion_type == cygrpc.CompletionType.queue_shutdown:
                return
            try:
                event.tag(event)
            except Exception:
                # One call's failure must not cost the others their answers.
                log.exception("a gRPC call failed")
            # It holds the call, which the core counts as one that lasts.
            event = None

    def _begun(self, event: Any) -> None:
        if not event.success:
            return  # the server stops
        self._ask()
        call = DirectCall(event, self._loop)
        self.in_flight += 1
        call.add_callback(self._ended)
        self._arrived(call)

    def _ended(self) -> None:
        self.in_flight -= 1
