"""OpenTelemetry spans of requests that come with a sampled ``traceparent`` (W3C Trace Context).

Nothing is imported and nothing costs anything unless ``OTEL_EXPORTER_OTLP_ENDPOINT`` (or the one of traces) is
set; then each request costs reading one header, and each sampled one a span, which a thread of the SDK sends by
OTLP over HTTP. The SDK's other variables (``OTEL_EXPORTER_OTLP_HEADERS``, ``OTEL_SERVICE_NAME``,
``OTEL_RESOURCE_ATTRIBUTES``, ``OTEL_BSP_*``) do what they say. Requests without the header have no span: where
traces begin is for the mesh or the caller to say.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

log = logging.getLogger(__name__)

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")

# Later versions may say more behind the flags; version 00 may not, and ff is none.
_TRACEPARENT = re.compile(r"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED = 0x01


class TraceParent(NamedTuple):
    """The caller's span: its trace's id, its own id, whether it is recorded."""

    trace_id: int
    span_id: int
    sampled: bool


@dataclass(frozen=True, slots=True)
class RequestTrace:
    """What is known of a request when it has been answered.

    Attributes:
        model, revision, protocol: as in the metrics.
        start_ns, end_ns: nanoseconds since 1970.
        status: the HTTP status, for gRPC that of the same error.
        batch_size: rows of the batch that the request was in; 0 if it came to no batch.
        stages: seconds by stage, such as queue and compute.
    """

    model: str
    revision: str
    protocol: str
    start_ns: int
    end_ns: int
    status: int
    batch_size: int = 0
    stages: Mapping[str, float] = field(default_factory=dict)


def parse_traceparent(header: str | None) -> TraceParent | None:
    """Return the caller's span; None without a header and for one that breaks the W3C recommendation."""
    if header is None:
        return None
    match = _TRACEPARENT.fullmatch(header.strip())
    if match is None or (match[1] == "00" and match[5]):
        return None
    trace_id, span_id = int(match[2], 16), int(match[3], 16)
    if not trace_id or not span_id:
        return None
    return TraceParent(trace_id, span_id, bool(int(match[4], 16) & _SAMPLED))


def start_tracing(environ: Mapping[str, str] = os.environ) -> Tracing | None:
    """Start tracing as the environment asks for it, once in each process; None where it does not.

    Where it asks for what is not there, a warning is logged and requests go without spans.
    """
    if (
        not any(environ.get(name) for name in _ENDPOINTS)
        or environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    ):
        return None
    protocol = next((environ[name] for name in _PROTOCOLS if environ.get(name)), "http/protobuf")
    if protocol != "http/protobuf":
        log.warning(
            "no traces: OTEL_EXPORTER_OTLP_PROTOCOL is not one that is supported",
            extra={"fields": {"expected": "http/protobuf", "got": protocol}},
        )
        return None
    try:
        return Tracing(_provider(environ))
    except ImportError as exc:
        log.warning(
            "no traces: the extra 'tracing' is not installed",
            extra={"fields": {"missing": exc.name or str(exc)}},
        )
        return None


class Tracing:
    """Makes spans, and sends them from a thread of its own."""

    def __init__(self, provider: TracerProvider) -> None:
        from opentelemetry import trace

        self._api = trace
        self._provider = provider
        self._tracer = provider.get_tracer("mooring_inference")

    def record(
        self, parent: TraceParent | None, request: RequestTrace, tracestate: str | None = None
    ) -> None:
        """Make the span of an answered request, if its caller's is sampled; never blocks.

        Args:
            parent: by ``parse_traceparent``.
            request: what to tell.
            tracestate: the header of that name.
        """
        if parent is None or not parent.sampled:
            return
        api = self._api
        context = api.SpanContext(
            parent.trace_id,
            parent.span_id,
            is_remote=True,
            trace_flags=api.TraceFlags(api.TraceFlags.SAMPLED),
            trace_state=api.TraceState.from_header([tracestate]) if tracestate else None,
        )
        span = self._tracer.start_span(
            f"infer {request.model}",
            context=api.set_span_in_context(api.NonRecordingSpan(context)),
            kind=api.SpanKind.SERVER,
            attributes=_attributes(request),
            start_time=request.start_ns,
        )
        if request.status >= 500:
            span.set_status(api.Status(api.StatusCode.ERROR))
        span.end(request.end_ns)

    def close(self, grace_seconds: float = 5.0) -> None:
        """Send what is left, for at most ``grace_seconds``."""
        # The SDK sends what is left at shutdown, for as long as the collector takes.
        sending = threading.Thread(target=self._provider.shutdown, name="traces-shutdown", daemon=True)
        sending.start()
        sending.join(grace_seconds)


def _attributes(request: RequestTrace) -> dict[str, str | int | float]:
    attributes: dict[str, str | int | float] = {
        "mooring.model": request.model,
        "mooring.revision": request.revision,
        "mooring.protocol": request.protocol,
        "http.response.status_code": request.status,
    }
    if request.batch_size:
        attributes["mooring.batch_size"] = request.batch_size
    for stage, seconds in request.stages.items():
        attributes[f"mooring.stage.{stage}_seconds"] = seconds
    return attributes


def _provider(environ: Mapping[str, str]) -> TracerProvider:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    named = "OTEL_SERVICE_NAME" in environ or "service.name" in environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    resource = Resource.create({} if named else {"service.name": "mooring-inference"})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider
