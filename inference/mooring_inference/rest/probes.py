"""The port for probes: health and nothing else, without TLS.

Kubelet has no certificate to show, so where callers must show one it could not probe the port that they use.
"""

from __future__ import annotations

from mooring_inference.errors import RequestError
from mooring_inference.rest.front import OPEN_TO_ALL, RestFront
from mooring_inference.rest.http_server.exchange import Exchange
from mooring_inference.rest.http_server.limits import HttpLimits
from mooring_inference.rest.routes import find_route

PROBE_LIMITS = HttpLimits(max_body_bytes=1024, max_connections=64)


class ProbeFront:
    """Answers probes; see ``http_server.exchange.Handler``."""

    def __init__(self, front: RestFront) -> None:
        """``front`` answers all requests on another port."""
        self._front = front

    def admit(self, exchange: Exchange) -> RequestError | None:
        """Return a 404 for whatever is no probe."""
        route = find_route(exchange.path)
        if route is not None and route.action in OPEN_TO_ALL:
            return None
        return RequestError("this port answers probes alone", status=404)

    def handle(self, exchange: Exchange) -> None:
        """Answer a probe."""
        self._front.handle(exchange)
