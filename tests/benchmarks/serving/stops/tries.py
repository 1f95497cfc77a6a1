"""Servers that are stopped under load, one after the other, each replaced before."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

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
    """

    clients: int = 64
    drain_seconds: float = 2.0
    notice_seconds: float = 0.5


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
    counts, balancer, ending = Counts(), Balancer(load.notice_seconds), asyncio.Event()
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
                if code := await current.stop():
                    raise RuntimeError(f"{case.name}: a server ended with code {code}")
                say(f"{case.name}: {index + 1}/{tries}, {counts.lost.total()} of {counts.answered} lost")
                current = successor
            ending.set()
    finally:
        for task in following:
            task.cancel()
        for server in servers:
            server.kill()
    return counts


async def _until_answered(counts: Counts, more: int) -> None:
    wanted = counts.answered + counts.lost.total() + more
    while counts.answered + counts.lost.total() < wanted:
        await asyncio.sleep(0.01)
