"""The HTTP server for probes and metrics."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from mooring_operator.runtime.telemetry import CONTENT_TYPE, Telemetry

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

    def __init__(self, telemetry: Telemetry, *, healthy: Check, ready: Check) -> None:
        self._telemetry = telemetry
        app = web.Application()
        app.router.add_get("/healthz", _probe(healthy))
        app.router.add_get("/readyz", _probe(ready))
        app.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)

    async def start(self, host: str, port: int) -> int:
        """Listen; give the port, which is a free one where `port` is 0.

        Raises:
            OSError: the port is taken, or not ours to take.
        """
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        bound: int = self._runner.addresses[0][1]
        return bound

    async def stop(self) -> None:
        """Listen no more."""
        await self._runner.cleanup()

    async def _metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=self._telemetry.exposition(), headers={"Content-Type": CONTENT_TYPE})


def _probe(check: Check) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(request: web.Request) -> web.StreamResponse:
        problem = check()
        return web.Response(text=f"{problem or 'ok'}\n", status=200 if problem is None else 503)

    return answer
