"""The HTTP server for probes and metrics.

Any pod that the network lets through may ask, and the loop that answers is the one that every tenant's resources wait
for: so connections are bounded, and so is the time that metrics take.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

from aiohttp import web

from mooring_operator.runtime.telemetry import CONTENT_TYPE, Telemetry

MOST_CONNECTIONS = 256
_SHARE = 0.1
"""Of the time, that may be spent on making metrics: between two the loop is for others nine times as long."""

Check = Callable[[], str | None]
"""Gives a sentence on what is wrong; None: nothing."""


def overdue(longest_work: Callable[[], float], limit: float) -> Check:
    """Make the liveness check: no worker may be at work for longer than `limit` seconds.

    How long keys wait says nothing: a tenant with many, or with a slow store, is no reason for a restart. Work
    ends at its deadline, whatever it waits for; where it does not, its worker is lost. That the loop runs is
    proved by the answer: while it is blocked there is none.
    """

    def check() -> str | None:
        seconds = longest_work()
        return f"a worker has been at work for {seconds:.0f} s" if seconds > limit else None

    return check


class HealthServer:
    """Serves `/healthz`, `/readyz` and `/metrics`."""

    def __init__(
        self,
        telemetry: Telemetry,
        *,
        healthy: Check,
        ready: Check,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._telemetry = telemetry
        self._clock = clock
        app = web.Application()
        app.router.add_get("/healthz", _probe(healthy))
        app.router.add_get("/readyz", _probe(ready))
        app.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        self._server: asyncio.Server | None = None
        self._metrics_body, self._good_until = b"", float("-inf")

    async def start(self, host: str, port: int) -> int:
        """Listen; give the port, which is a free one where `port` is 0.

        Raises:
            OSError: the port is taken, or not ours to take.
        """
        await self._runner.setup()
        self._server = await asyncio.get_running_loop().create_server(self._accept, host, port)
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def stop(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()
        await self._runner.cleanup()

    def _accept(self) -> asyncio.BaseProtocol:
        """Take a connection, in the place of the oldest where there are enough: a probe is the latest, and short."""
        server = self._runner.server
        assert server is not None
        for connection in server.connections[: 1 - MOST_CONNECTIONS]:
            if connection.transport is not None:
                connection.transport.abort()
        return server()

    async def _metrics(self, request: web.Request) -> web.Response:
        if (began := self._clock()) >= self._good_until:
            self._metrics_body = self._telemetry.exposition()
            self._good_until = began + (self._clock() - began) / _SHARE
        return web.Response(body=self._metrics_body, headers={"Content-Type": CONTENT_TYPE})


def _probe(check: Check) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(request: web.Request) -> web.StreamResponse:
        problem = check()
        return web.Response(text=f"{problem or 'ok'}\n", status=200 if problem is None else 503)

    return answer
