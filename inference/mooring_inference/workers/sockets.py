"""The sockets that a server process listens on: its own, or those that workers share."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

from mooring_inference.rest.http_server.listener import listen
from mooring_inference.settings import Settings
from mooring_inference.workers.place import WorkerPlace


@contextlib.contextmanager
def open_sockets(
    settings: Settings, stopping: asyncio.Event
) -> Iterator[tuple[socket.socket, socket.socket | None]]:
    """Yield the socket for requests, and the one for probes where there is one.

    Raises:
        OSError: an address is taken.
    """
    if settings.worker is None:
        with listen(settings.host, settings.http_port) as listener, listen_for_probes(settings) as probes:
            yield listener, probes
        return
    place = WorkerPlace.parse(settings.worker)
    # Readable means closed: nobody writes to it.
    asyncio.get_running_loop().add_reader(place.parent, stopping.set)
    with contextlib.ExitStack() as closing:
        listener = closing.enter_context(socket.socket(fileno=place.listener))
        yield (
            listener,
            closing.enter_context(socket.socket(fileno=place.probes)) if place.probes >= 0 else None,
        )


@contextlib.contextmanager
def listen_for_probes(settings: Settings) -> Iterator[socket.socket | None]:
    """Yield a bound socket for probes; None where none is wanted."""
    if settings.probe_port is None:
        yield None
        return
    with listen(settings.host, settings.probe_port) as probes:
        yield probes
