"""Servers that are stopped under load, one after the other, each replaced before."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import onnxruntime

from tests.benchmarks.serving.models import sample_rows, write_models
from tests.benchmarks.serving.stops.balancer import Balancer
from tests.benchmarks.serving.stops.callers import Caller, Counts, call
from tests.benchmarks.serving.stops.cases import Case, Server, write_certificates

_MODEL = "tab"
# A server is stopped at a random moment up to this many seconds after it shares the load.
_LOADED_SECONDS = 0.5
_READY_SECONDS = 120.0
# Between the choice of a port and its use somebody else may take it.
_STARTS = 3


@dataclass(frozen=True)
class Load:
    """What all cases have in common.

    Attributes:
        clients: at once.
        drain_seconds: of the servers.
        notice_seconds: how long after its readiness has failed a server still gets new connections.
        stall_seconds: how long, at most, all processes of a server stand still at a random moment of its stop.
        at_once: servers that are being stopped at the same time, at most.
    """

    clients: int = 64
    drain_seconds: float = 2.0
    notice_seconds: float = 0.5
    stall_seconds: float = 0.0
    at_once: int = 1


async def stop_again_and_again(
    case: Case, load: Load, folder: Path, *, tries: int, say: Callable[[str], None]
) -> Counts:
    """Stop so many servers, each while it and its successor are under load; gives what the callers have seen.

    Raises:
        TimeoutError: a server is not ready after minutes.
        RuntimeError: one does not end with code 0, or several do not start.
    """
    write_models(folder, [_MODEL])
    authority = write_certificates(folder)
    rows = sample_rows(_MODEL)
    session = onnxruntime.InferenceSession(
        str(folder / _MODEL / "model.onnx"), providers=["CPUExecutionProvider"]
    )
    (wanted,) = session.run(None, {"x": rows})
    stops = _Stops(case, load, say)
    counts, balancer, ending = Counts(on_loss=stops.tell), Balancer(load.notice_seconds), asyncio.Event()
    servers: list[Server] = []

    async def start() -> Server:
        for _ in range(_STARTS):
            server = Server(case, folder / _MODEL, folder, load.drain_seconds)
            servers.append(server)
            await server.start()
            following.append(asyncio.create_task(balancer.follow(server.port, server.is_ready)))
            opened = balancer.until_open(server.port, lambda: servers[-1].has_ended)
            if await asyncio.wait_for(opened, _READY_SECONDS):
                return server
            following.pop().cancel()
        raise RuntimeError(f"{case.name}: servers end before they are ready")

    following: list[asyncio.Task[None]] = []
    try:
        async with balancer.listening(), asyncio.TaskGroup() as group:
            current = await start()
            caller = Caller(case.protocol, balancer.port, authority if case.tls else None)
            for _ in range(load.clients):
                group.create_task(call(caller, rows, wanted, counts, ending))
            for index in range(tries):
                successor = await start()
                await _until_answered(counts, load.clients)
                await asyncio.sleep(random.uniform(0, _LOADED_SECONDS))
                await stops.begin(current)
                say(f"{case.name}: {index + 1}/{tries}, {counts.lost.total()} of {counts.answered} lost")
                current = successor
            await stops.all_done()
            ending.set()
    finally:
        for task in following:
            task.cancel()
        for server in servers:
            server.kill()
    return counts


class _Stops:
    """Stops servers, and tells of what is lost meanwhile."""

    def __init__(self, case: Case, load: Load, say: Callable[[str], None]) -> None:
        self._case = case
        self._load = load
        self._say = say
        self._since: dict[Server, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def begin(self, server: Server) -> None:
        """Stop a server; waits while as many as may be are being stopped."""
        self._tasks.add(asyncio.create_task(self._stop(server)))
        while len(self._tasks) >= self._load.at_once:
            await self._wait(asyncio.FIRST_COMPLETED)

    async def all_done(self) -> None:
        """Wait until all have ended."""
        if self._tasks:
            await self._wait(asyncio.ALL_COMPLETED)

    async def _wait(self, until: str) -> None:
        done, self._tasks = await asyncio.wait(self._tasks, return_when=until)
        for task in done:
            task.result()

    def tell(self, reason: str, seconds: float) -> None:
        """Say what was lost, and how far the servers that are being stopped have come."""
        now = perf_counter()
        for server, since in self._since.items():
            reason += f"; stopped {now - since:.2f} s ago: {server.last_words()}"
        self._say(f"{self._case.name}: lost after {seconds:.3f} s: {reason}")

    async def _stop(self, server: Server) -> None:
        self._since[server] = perf_counter()
        stalling = asyncio.create_task(self._stall(server)) if self._load.stall_seconds else None
        if code := await server.stop():
            raise RuntimeError(f"{self._case.name}: a server ended with code {code}")
        if stalling is not None:
            await stalling
        del self._since[server]

    async def _stall(self, server: Server) -> None:
        await asyncio.sleep(random.uniform(0, 1.2 * self._load.drain_seconds))
        await server.stand_still(random.uniform(0, self._load.stall_seconds))


async def _until_answered(counts: Counts, more: int) -> None:
    wanted = counts.answered + counts.lost.total() + more
    while counts.answered + counts.lost.total() < wanted:
        await asyncio.sleep(0.01)
