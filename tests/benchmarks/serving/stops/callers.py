"""Callers that send on whatever happens, by Triton's public clients, and count what they lose."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

# Servers are started by this process: handlers of forks, which grpc has, end it now and then.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")

import grpc
import numpy as np
from tritonclient.grpc import InferInput as GrpcInput
from tritonclient.grpc.aio import InferenceServerClient as GrpcClient
from tritonclient.http import InferInput as HttpInput
from tritonclient.http.aio import InferenceServerClient as HttpClient

_PATIENCE_SECONDS = 60.0
# The longest pause between two requests, seconds; every second request follows at once.
_PAUSE_SECONDS = 0.05

Ask = Callable[[np.ndarray], Awaitable[np.ndarray]]


@dataclass(frozen=True)
class Caller:
    """How a caller sends.

    Attributes:
        protocol: ``REST`` or ``gRPC``.
        port: the load balancer's.
        authority: file with the certificate of the servers' authority; None without TLS.
    """

    protocol: str
    port: int
    authority: Path | None = None


@dataclass
class Counts:
    """What all callers have seen.

    Attributes:
        answered: right answers.
        lost: requests without one, by what came instead.
        on_loss: is told of each as it is seen, with what came instead and for how many seconds it was awaited.
    """

    answered: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    on_loss: Callable[[str, float], None] = lambda reason, seconds: None

    def lose(self, reason: str, seconds: float) -> None:
        """Count a request that got no right answer."""
        self.lost[reason] += 1
        self.on_loss(reason, seconds)


async def call(
    caller: Caller, rows: np.ndarray, wanted: np.ndarray, counts: Counts, ending: asyncio.Event
) -> None:
    """Send one request after the other on a connection of its own; pause now and then.

    Args:
        caller: how it is sent.
        rows, wanted: inputs and what they give, shapes (rows, features) and (rows, outputs).
        counts: what is added to.
        ending: set when nothing more is to be sent; what is under way is still awaited.
    """
    connect = _rest if caller.protocol == "REST" else _grpc
    async with connect(caller) as ask:
        while not ending.is_set():
            index = random.randrange(len(rows))
            sent = perf_counter()
            try:
                found = await asyncio.wait_for(ask(rows[index : index + 1]), _PATIENCE_SECONDS)
            except Exception as error:
                counts.lose(_reason(error), perf_counter() - sent)
            else:
                if np.allclose(found, wanted[index : index + 1], rtol=1e-3, atol=1e-4):
                    counts.answered += 1
                else:
                    counts.lose("a wrong answer", perf_counter() - sent)
            if random.random() < 0.5:
                await asyncio.sleep(random.uniform(0, _PAUSE_SECONDS))


def _reason(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:400]


@contextlib.asynccontextmanager
async def _rest(caller: Caller) -> AsyncIterator[Ask]:
    tls = caller.authority and ssl.create_default_context(cafile=caller.authority)
    async with HttpClient(
        f"127.0.0.1:{caller.port}", conn_limit=1, ssl=tls is not None, ssl_context=tls
    ) as client:

        async def ask(row: np.ndarray) -> np.ndarray:
            tensor = HttpInput("x", list(row.shape), "FP32").set_data_from_numpy(row)
            return (await client.infer("m", [tensor])).as_numpy("y")

        yield ask


@contextlib.asynccontextmanager
async def _grpc(caller: Caller) -> AsyncIterator[Ask]:
    tls = caller.authority and grpc.ssl_channel_credentials(caller.authority.read_bytes())
    # Else all clients of this process would share one connection.
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with GrpcClient(
        f"127.0.0.1:{caller.port}", ssl=tls is not None, creds=tls, channel_args=options
    ) as client:

        async def ask(row: np.ndarray) -> np.ndarray:
            tensor = GrpcInput("x", list(row.shape), "FP32")
            tensor.set_data_from_numpy(row)
            return (await client.infer("m", [tensor])).as_numpy("y")

        yield ask
