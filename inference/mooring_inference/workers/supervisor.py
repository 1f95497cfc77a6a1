"""Several worker processes behind one socket, and the process that keeps them running."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import tempfile
from asyncio.subprocess import Process
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import monotonic

from mooring_inference.rest.http_server.listener import listen
from mooring_inference.settings import Settings
from mooring_inference.workers.place import WorkerPlace
from mooring_inference.workers.sockets import listen_for_probes
from mooring_inference.workers.turns import ConnectionTurns

log = logging.getLogger(__name__)

_FIRST_DELAY, _LONGEST_DELAY = 0.1, 10.0
# A worker that lived this long, seconds, started well.
_STABLE_SECONDS = 60.0
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  a folder of our own is made in it


async def supervise(settings: Settings, argv: Sequence[str]) -> int:
    """Run the workers until SIGTERM or SIGINT; start again those that end by themselves.

    Returns:
        The exit code: 0 after a drain; a worker's own where the first one cannot start.

    Raises:
        OSError: the address is taken.
    """
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    with (
        listen(settings.host, settings.http_port) as listener,
        listen_for_probes(settings) as probes,
        _grpc_port(settings) as grpc_flags,
        _pipe() as (parent, _),
        tempfile.TemporaryDirectory(prefix="mooring-", dir=_shared_memory()) as folder,
    ):
        ConnectionTurns.prepare(Path(folder), settings.workers)
        places = [
            WorkerPlace(index, listener.fileno(), parent, probes.fileno() if probes else -1, Path(folder))
            for index in range(settings.workers)
        ]
        workers = [_Worker(place, [*argv, *grpc_flags]) for place in places]
        # One first: a model that cannot be loaded is then said once, and its files are read once.
        first = asyncio.create_task(workers[0].keep_running(stopping))
        if not await workers[0].became_ready(first, stopping):
            return await first
        others = [asyncio.create_task(worker.keep_running(stopping)) for worker in workers[1:]]
        return max(await asyncio.gather(first, *others))


class _Worker:
    def __init__(self, place: WorkerPlace, argv: Sequence[str]) -> None:
        self._place = place
        self._argv = argv
        self._turns = ConnectionTurns(place.folder, place.index)

    async def keep_running(self, stopping: asyncio.Event) -> int:
        """Run the worker again when it ends; return its last exit code."""
        delay = _FIRST_DELAY
        has_served = False
        while True:
            started = monotonic()
            process = await self._start()
            code = await self._wait(process, stopping)
            self._turns.withdraw()
            has_served |= self._place.withdraw_ready()
            if stopping.is_set() or not has_served:
                return code
            delay = _FIRST_DELAY if monotonic() - started > _STABLE_SECONDS else delay
            log.error(
                "a worker ended",
                extra={"fields": {"worker": self._place.index, "code": code, "again_in_seconds": delay}},
            )
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), delay)
                return 0
            delay = min(2 * delay, _LONGEST_DELAY)

    async def became_ready(self, running: asyncio.Task[int], stopping: asyncio.Event) -> bool:
        """Return whether the worker became ready before it was asked to end."""
        # A process of its own tells it by a file.
        while not self._place.is_ready:
            if running.done() or stopping.is_set():
                return False
            await asyncio.sleep(0.02)
        return True

    async def _start(self) -> Process:
        return await asyncio.create_subprocess_exec(
            *[sys.executable, "-I", "-m", "mooring_inference", *self._argv, self._place.flag()],
            pass_fds=self._place.descriptors,
        )

    async def _wait(self, process: Process, stopping: asyncio.Event) -> int:
        ended = asyncio.create_task(process.wait())
        told = asyncio.create_task(stopping.wait())
        await asyncio.wait({ended, told}, return_when=asyncio.FIRST_COMPLETED)
        told.cancel()
        if not ended.done():
            process.send_signal(signal.SIGTERM)
        return await ended


@contextlib.contextmanager
def _grpc_port(settings: Settings) -> Iterator[list[str]]:
    """Yield flags that name a gRPC port for all, held so that nobody else takes it."""
    if settings.grpc_port is None:
        yield []
        return
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind((settings.host, settings.grpc_port))
        yield [f"--grpc_port={holder.getsockname()[1]}"]


@contextlib.contextmanager
def _pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    try:
        yield ends
    finally:
        for end in ends:
            os.close(end)


def _shared_memory() -> Path | None:
    """Return a file system in memory; None for the default folder, where there is none to write to."""
    return _SHARED_MEMORY if os.access(_SHARED_MEMORY, os.W_OK) else None
