"""Figures of a stream consumer and its health, over HTTP."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterable
from socketserver import ThreadingMixIn
from typing import cast
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIEnvironment

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, make_wsgi_app

# The loop comes round at least once in this many seconds unless it hangs.
STALLED_SECONDS = 120.0
# A caller has so long for its request, and to read the answer.
_CALLER_SECONDS = 5.0


class StreamMetrics:
    """Counts of one consumer."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.messages = Counter(
            "mooring_stream_messages", "Messages by outcome.", ["outcome"], registry=self.registry
        )
        self.batch = Histogram(
            "mooring_stream_batch_messages",
            "Messages taken at once.",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024),
            registry=self.registry,
        )
        self.seconds = Histogram(
            "mooring_stream_batch_seconds",
            "From taking messages to their acknowledgement.",
            registry=self.registry,
        )
        self.held = Gauge(
            "mooring_stream_messages_held", "Taken, not acknowledged yet.", registry=self.registry
        )
        self.backlog = Gauge(
            "mooring_stream_backlog_messages",
            "Waiting for the group, where the source says.",
            registry=self.registry,
        )
        self.unavailable = Counter(
            "mooring_stream_unavailable",
            "Failed calls of a system, by role.",
            ["role"],
            registry=self.registry,
        )
        for outcome in ("answered", "dead", "retried", "lost"):
            self.messages.labels(outcome)
        for role in ("source", "sink", "dead_letters"):
            self.unavailable.labels(role)
        self._down: set[str] = {"source", "sink"}
        self._beat = time.monotonic()

    def note_alive(self) -> None:
        """Note that the loop came round."""
        self._beat = time.monotonic()

    def note_up(self, role: str) -> None:
        """Note that a system answers."""
        self._down.discard(role)

    def note_down(self, role: str) -> None:
        """Note that a system does not answer."""
        self._down.add(role)
        self.unavailable.labels(role).inc()

    def problem(self, *, ready: bool) -> str | None:
        """Return why the consumer is not alive, or not ready; None if it is."""
        if time.monotonic() - self._beat > STALLED_SECONDS:
            return "the loop hangs"
        if ready and self._down:
            return f"{', '.join(sorted(self._down))} unavailable"
        return None


class _Quiet(WSGIRequestHandler):
    timeout = _CALLER_SECONDS

    def handle(self) -> None:
        # What a caller leaves unsaid is no matter of ours.
        with contextlib.suppress(OSError):
            super().handle()

    def log_message(self, format: str, *args: object) -> None:
        return


class _ThreadingServer(ThreadingMixIn, WSGIServer):
    """Each caller has a thread: one that says nothing keeps nobody from an answer, and the process not from its end."""

    daemon_threads = True
    block_on_close = False


class MetricsServer:
    """Serves ``/metrics``, ``/health/live`` and ``/health/ready`` from a thread."""

    def __init__(self, metrics: StreamMetrics, host: str, port: int) -> None:
        figures = make_wsgi_app(metrics.registry)

        def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            path = environ.get("PATH_INFO")
            if path == "/metrics":
                return cast("Iterable[bytes]", figures(environ, start_response))
            if path not in ("/health/live", "/health/ready"):
                start_response("404 Not Found", [])
                return [b""]
            problem = metrics.problem(ready=path == "/health/ready")
            start_response(
                "503 Service Unavailable" if problem else "200 OK", [("Content-Type", "text/plain")]
            )
            return [(problem or "ok").encode()]

        self._server = make_server(host, port, app, server_class=_ThreadingServer, handler_class=_Quiet)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
