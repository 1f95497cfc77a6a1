"""The port for metrics and health answers whoever asks, whatever others do on it."""

from __future__ import annotations

import socket
import threading
import urllib.request

import pytest
from mooring_inference.stream.metrics import MetricsServer, StreamMetrics

SECONDS = 30


@pytest.fixture
def server():
    made = MetricsServer(StreamMetrics(), "127.0.0.1", 0)
    yield made
    made.close()


@pytest.mark.parametrize("begun", [b"", b"GET /metrics HT", b"GET /metrics HTTP/1.1\r\nHost: h"])
def test_a_caller_that_goes_no_further_keeps_nobody_waiting(begun):
    server = MetricsServer(StreamMetrics(), "127.0.0.1", 0)
    with socket.create_connection(("127.0.0.1", server.port)) as silent:
        silent.sendall(begun)
        address = f"http://127.0.0.1:{server.port}/health/live"
        with urllib.request.urlopen(address, timeout=SECONDS) as answer:
            assert answer.status == 200
        closing = threading.Thread(target=server.close, daemon=True)
        closing.start()
        closing.join(SECONDS)
        assert not closing.is_alive()


def test_a_caller_that_goes_no_further_is_let_go(server, monkeypatch, capfd):
    monkeypatch.setattr("mooring_inference.stream.metrics._Quiet.timeout", 0.05)
    with socket.create_connection(("127.0.0.1", server.port), timeout=SECONDS) as silent:
        assert silent.recv(1) == b""
    assert capfd.readouterr().err == ""
