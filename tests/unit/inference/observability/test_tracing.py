"""Traces, received by a real OTLP endpoint."""

from __future__ import annotations

import contextlib
import gzip
import http.server
import os
import socket
import subprocess
import sys
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_inference.observability.tracing import (
    RequestTrace,
    TraceParent,
    parse_traceparent,
    start_tracing,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

TRACE, SPAN = 0x0AF7651916CD43DD8448EB211C80319C, 0x00F067AA0BA902B7
SAMPLED = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (SAMPLED, TraceParent(TRACE, SPAN, True)),
        (SAMPLED[:-2] + "00", TraceParent(TRACE, SPAN, False)),
        (SAMPLED[:-2] + "fe", TraceParent(TRACE, SPAN, False)),
        (SAMPLED[:-2] + "03", TraceParent(TRACE, SPAN, True)),
        (f" {SAMPLED} ", TraceParent(TRACE, SPAN, True)),
        ("cc" + SAMPLED[2:] + "-what-comes", TraceParent(TRACE, SPAN, True)),
        (None, None),
        ("", None),
        (SAMPLED + "-more", None),
        ("ff" + SAMPLED[2:], None),
        (SAMPLED.upper(), None),
        (SAMPLED[:-1], None),
        ("00-" + "0" * 32 + SAMPLED[35:], None),
        (SAMPLED[:36] + "0" * 16 + SAMPLED[52:], None),
    ],
)
def test_traceparent_is_read_as_the_recommendation_says(header, expected):
    assert parse_traceparent(header) == expected


@given(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.integers(0, 255))
def test_every_valid_traceparent_comes_back(trace_id, span_id, flags):
    header = f"00-{trace_id:032x}-{span_id:016x}-{flags:02x}"
    assert parse_traceparent(header) == (trace_id, span_id, bool(flags & 1))


@given(st.text("0123456789abcdefF-", max_size=60))
def test_any_header_is_read_or_passed_over(header):
    parent = parse_traceparent(header)
    assert parent is None or (parent.trace_id and parent.span_id)


@contextlib.contextmanager
def collector():
    """An OTLP receiver; its address and the spans that came, each with its resource."""
    spans = []

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            assert self.path == "/v1/traces"
            for group in ExportTraceServiceRequest.FromString(body).resource_spans:
                resource = {pair.key: pair.value.string_value for pair in group.resource.attributes}
                spans.extend((resource, span) for scope in group.scope_spans for span in scope.spans)
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", spans
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def clean_environment(monkeypatch):
    for name in list(os.environ):
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)
    return monkeypatch


def request(**changes):
    now = time.time_ns()
    fields = {"model": "iris", "revision": "r1", "protocol": "v2", "start_ns": now, "end_ns": now + 5_000_000}
    return RequestTrace(**(fields | {"status": 200} | changes))


def values(span):
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in span.attributes}


def test_a_sampled_request_becomes_a_span_under_its_caller(clean_environment):
    with collector() as (endpoint, spans):
        clean_environment.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        tracing = start_tracing()
        ok = request(batch_size=8, stages={"queue": 0.001, "compute": 0.003})
        tracing.record(parse_traceparent(SAMPLED), ok, "vendor=1")
        tracing.record(parse_traceparent(SAMPLED), request(status=503))
        tracing.record(parse_traceparent(SAMPLED[:-2] + "00"), request(model="unsampled"))
        tracing.record(parse_traceparent(None), request(model="without"))
        tracing.close()
    (resource, first), (_, second) = spans
    assert resource["service.name"] == "mooring-inference"
    assert first.name == "infer iris"
    assert (first.trace_id.hex(), first.parent_span_id.hex()) == tuple(SAMPLED.split("-")[1:3])
    assert first.span_id != first.parent_span_id
    assert first.trace_state == "vendor=1"
    assert first.kind == first.SPAN_KIND_SERVER
    assert (first.start_time_unix_nano, first.end_time_unix_nano) == (ok.start_ns, ok.end_ns)
    assert values(first) == {
        "mooring.model": "iris",
        "mooring.revision": "r1",
        "mooring.protocol": "v2",
        "http.response.status_code": 200,
        "mooring.batch_size": 8,
        "mooring.stage.queue_seconds": 0.001,
        "mooring.stage.compute_seconds": 0.003,
    }
    assert first.status.code == first.status.STATUS_CODE_UNSET
    assert second.status.code == second.status.STATUS_CODE_ERROR
    assert "mooring.batch_size" not in values(second)


def test_the_service_is_named_as_the_environment_says(clean_environment):
    with collector() as (endpoint, spans):
        clean_environment.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{endpoint}/v1/traces")
        clean_environment.setenv("OTEL_SERVICE_NAME", "scoring")
        tracing = start_tracing()
        tracing.record(parse_traceparent(SAMPLED), request())
        tracing.close()
    assert [resource["service.name"] for resource, _ in spans] == ["scoring"]


@pytest.mark.parametrize("environment", [{}, {"OTEL_EXPORTER_OTLP_ENDPOINT": ""}])
def test_without_an_endpoint_nothing_is_traced(environment):
    assert start_tracing(environment) is None


def test_without_an_endpoint_nothing_is_imported():
    code = (
        "import sys; from mooring_inference.observability.tracing import start_tracing;"
        "assert start_tracing({}) is None;"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_is_asked_for_and_missing_is_warned_of(caplog, monkeypatch):
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    assert start_tracing(endpoint | {"OTEL_SDK_DISABLED": "true"}) is None
    assert not caplog.records
    assert start_tracing(endpoint | {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}) is None
    assert caplog.records[-1].fields == {"expected": "http/protobuf", "got": "grpc"}
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    assert start_tracing(endpoint) is None
    assert "extra 'tracing'" in caplog.text


def test_a_collector_that_never_answers_holds_up_no_request(clean_environment):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        clean_environment.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        clean_environment.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
        tracing = start_tracing()
        # More than the SDK's queue holds: the rest is dropped.
        for _ in range(5000):
            tracing.record(parse_traceparent(SAMPLED), request())
        silent.settimeout(60)
        connection, _ = silent.accept()
        assert connection.recv(4) == b"POST"
        # All were recorded while the first export still waits for its answer.
        tracing.close(grace_seconds=0.1)
        connection.close()
