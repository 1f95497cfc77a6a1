"""What a server tells of its requests: native histograms, traces, log lines."""

from __future__ import annotations

import asyncio
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from mooring_inference.observability.native_histograms import CONTENT_TYPE
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.unit.inference.inference_process import BODY, running, save_negation

INFER = "/v2/models/m/infer"
PROTOBUF = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory):
    return save_negation(tmp_path_factory.mktemp("model"))


@pytest.mark.parametrize("flags", [[], ["--workers=2"]])
async def test_scrapers_that_ask_for_protobuf_get_native_histograms(model_dir, flags):
    async with running(model_dir, *flags, "--drain_seconds=0") as (_, client):
        await client.post(INFER, json=BODY)
        answer = await client.get("/metrics", headers={"accept": PROTOBUF})
        assert answer.headers["content-type"] == CONTENT_TYPE
        assert b"mooring_inference_request_duration_seconds" in answer.content
        plain = await client.get("/metrics", headers={"accept": "text/plain"})
        assert plain.headers["content-type"].startswith("text/plain")
        assert len(answer.content) < len(plain.content)


@pytest.fixture
def collector():
    """(address, spans) of what receives traces."""
    spans = []

    class Receive(BaseHTTPRequestHandler):
        def do_POST(self):
            content = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                import gzip

                content = gzip.decompress(content)
            for resource in ExportTraceServiceRequest.FromString(content).resource_spans:
                for scope in resource.scope_spans:
                    spans.extend(scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receive)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", spans
    server.shutdown()
    server.server_close()


async def test_sampled_requests_are_spans(model_dir, collector):
    address, spans = collector
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": address, "NO_PROXY": "127.0.0.1"}
    trace = "0af7651916cd43dd8448eb211c80319c"
    async with running(model_dir, "--drain_seconds=0", env=environment) as (process, client):
        for flags in ("01", "00"):
            headers = {"traceparent": f"00-{trace}-b7ad6b7169203331-{flags}"}
            assert (await client.post(INFER, json=BODY, headers=headers)).status_code == 200
        assert (await client.post(INFER, json=BODY)).status_code == 200
        process.terminate()
        assert await process.wait() == 0
    (span,) = spans
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (trace, "b7ad6b7169203331")
    assert span.end_time_unix_nano > span.start_time_unix_nano


async def test_requests_are_logged_only_where_that_is_wanted_and_without_their_content(model_dir):
    async with running(model_dir, "--log_requests", "--drain_seconds=0") as server:
        await server.client.post(INFER, json=BODY, headers={"x-request-id": "r1"})
        async with asyncio.timeout(20):
            line = await server.line("answered")
        assert (line["request_id"], line["status"], line["model"]) == ("r1", 200, "m")
        assert "inputs" not in line
    async with running(model_dir, "--drain_seconds=0") as server:
        await server.client.post(INFER, json=BODY)
        server.process.terminate()
        await server.line("stopped")
        assert all(line["message"] != "answered" for line in server.lines)
