"""The collector over HTTP: events, health and metrics."""

from __future__ import annotations

import logging
from collections.abc import Callable

from prometheus_client.exposition import generate_latest

from mooring_inference.collect.collector import Collector
from mooring_inference.collect.events import UnknownTypeError, read_event
from mooring_inference.collect.metrics import CollectMetrics
from mooring_inference.errors import RequestError
from mooring_inference.observability.metrics import CONTENT_TYPE
from mooring_inference.rest.http_server.exchange import Exchange

log = logging.getLogger(__name__)


class CollectFront:
    """Answers HTTP requests; see ``http_server.exchange.Handler``.

    Attributes:
        is_draining: whether it says that it is not ready.
    """

    def __init__(self, collector: Collector, metrics: CollectMetrics) -> None:
        self.is_draining = False
        self._collector = collector
        self._metrics = metrics

    def admit(self, exchange: Exchange) -> RequestError | None:
        """Return None: who may call is for the network to say."""
        return None

    def note_refusal(self, error: RequestError) -> None:
        """Count what was refused before it was read."""
        self._metrics.events.labels("too_large" if error.status == 413 else "unread").inc()

    def handle(self, exchange: Exchange) -> None:
        """Answer a request."""
        self._answer(exchange, self._take if exchange.method == "POST" else self._look)

    def look(self, exchange: Exchange) -> None:
        """Answer what posts no event."""
        self._answer(exchange, self._look)

    def _answer(self, exchange: Exchange, answer: Callable[[Exchange], None]) -> None:
        try:
            answer(exchange)
        except RequestError as error:
            exchange.respond_error(error)
        except Exception:
            log.exception("an event failed")
            exchange.respond_error(RequestError("internal error", status=500))

    def _take(self, exchange: Exchange) -> None:
        try:
            event = read_event(exchange.headers)
        except UnknownTypeError:
            self._metrics.events.labels("unknown_type").inc()
            raise
        except RequestError:
            self._metrics.events.labels("malformed").inc()
            raise
        self._collector.take(event, exchange.body)
        # The logger complains of any other status.
        exchange.respond_json(200, {})

    def _look(self, exchange: Exchange) -> None:
        match exchange.path:
            case b"/health/live":
                exchange.respond_json(200, {"live": True})
            case b"/health/ready":
                exchange.respond_json(503 if self.is_draining else 200, {"ready": not self.is_draining})
            case b"/metrics":
                self._collector.expire()
                exchange.respond(
                    200, generate_latest(self._metrics.registry), content_type=CONTENT_TYPE.encode()
                )
            case _:
                raise RequestError(
                    "nothing is served here but /metrics, /health/live and /health/ready; events are posted",
                    status=404,
                )


class MetricsFront:
    """The same without events, for a port that scrapers may reach."""

    def __init__(self, front: CollectFront) -> None:
        """``front`` answers all requests on another port."""
        self._front = front

    def admit(self, exchange: Exchange) -> RequestError | None:
        """Return a refusal for what is no look at something."""
        if exchange.method in ("GET", "HEAD"):
            return None
        return RequestError("this port takes no events", status=405, headers=((b"allow", b"GET, HEAD"),))

    def handle(self, exchange: Exchange) -> None:
        """Answer a request."""
        self._front.look(exchange)
