"""The parts of the serving benchmark that measure nothing: protocols, statistics, aims, tables, the docs' section."""

from __future__ import annotations

import json
import socket
import threading
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.benchmarks.serving.aims import Aim, Outcome, evaluate
from tests.benchmarks.serving.http1 import Http1Exchange, post
from tests.benchmarks.serving.http2 import Http2Exchange, ProtocolError
from tests.benchmarks.serving.load import LoadGenerator
from tests.benchmarks.serving.models import MODELS, sample_rows, write_models
from tests.benchmarks.serving.publish import HEADING, replace_section
from tests.benchmarks.serving.results import (
    Cell,
    Results,
    Sample,
    Shutdowns,
    from_json,
    percentile,
    to_json,
)
from tests.benchmarks.serving.servers import OURS
from tests.benchmarks.serving.tables import tables, to_markdown

SAMPLE = Sample(rate=1000.0, p50=1.0, p99=2.0, cpu=100.0, failed=0, client_busy=0.5)


def results_of(**cpu_of_peers):
    """Results of mlp over JSON with 16 and 64 clients: ours takes 100 us, the peers what is given."""
    results = Results()
    for clients in (16, 64):
        results.samples[Cell("mlp", OURS, "JSON", clients)] = [SAMPLE] * 3
        for peer, rounds in cpu_of_peers.items():
            results.samples[Cell("mlp", peer, "JSON", clients)] = [replace(SAMPLE, cpu=cpu) for cpu in rounds]
    return results


def aim_named(results, start):
    return next(outcome for outcome in evaluate(results) if outcome.aim.text.startswith(start))


@given(st.lists(st.integers(0, 1000), min_size=1), st.floats(0.01, 1.0))
def test_a_percentile_has_its_share_of_values_at_or_below_it(values, share):
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9
    assert sum(value < found for value in values) < share * len(values)


def test_a_ratio_is_the_median_of_the_rounds_and_not_the_ratio_of_medians():
    results = Results()
    peer, ours = Cell("mlp", "kserve", "JSON", 16), Cell("mlp", OURS, "JSON", 16)
    # The machine was half as fast in the last round, for both.
    results.samples[ours] = [replace(SAMPLE, cpu=cpu) for cpu in (10.0, 12.0, 24.0)]
    results.samples[peer] = [replace(SAMPLE, cpu=cpu) for cpu in (80.0, 84.0, 192.0)]
    assert results.ratio("cpu", peer, ours) == 8.0


def test_an_aim_takes_the_lowest_ratio_of_the_busy_servers():
    results = results_of(kserve=(800.0, 900.0, 850.0))
    for clients, cpu in ((1, 200.0), (64, 650.0)):
        results.samples[Cell("mlp", OURS, "JSON", clients)] = [SAMPLE] * 3
        results.samples[Cell("mlp", "kserve", "JSON", clients)] = [replace(SAMPLE, cpu=cpu)] * 3
    outcome = aim_named(results, "mlp, JSON: requests per CPU second, by kserve's")
    assert outcome.value == 6.5
    assert outcome.verdict == "missed by 7%"
    assert "2.0" in outcome.detail


@pytest.mark.parametrize(
    ("wanted", "more_is_better", "value", "met", "verdict"),
    [
        (7.0, True, 7.0, True, "met"),
        (8.0, True, 6.0, False, "missed by 25%"),
        (20.0, False, 19.0, True, "met"),
        (20.0, False, 30.0, False, "missed by 50%"),
        (0.0, False, 0.0, True, "met"),
        (0.0, False, 3.0, False, "missed by 3"),
        (7.0, True, None, None, "not measured"),
    ],
)
def test_an_aim_says_whether_it_is_met_and_by_how_much_not(wanted, more_is_better, value, met, verdict):
    outcome = Outcome(Aim("an aim", wanted, more_is_better, "x", lambda results: (value, "")), value, "")
    assert outcome.met is met
    assert outcome.verdict == verdict


def test_aims_of_what_was_not_measured_are_shown_all_the_same():
    assert {outcome.verdict for outcome in evaluate(Results())} == {"not measured"}


def test_a_protocol_that_a_server_lacks_is_a_dash():
    results = results_of(kserve=(800.0,))
    results.samples[Cell("mlp", OURS, "gRPC", 16)] = [SAMPLE]
    text = to_markdown(next(t for t in tables(results, evaluate(results)) if t.title.startswith("mlp")))
    assert f"| {OURS} | gRPC | 1,000 / - | 1.00 / - | 2.00 / - | 100 / - | - | - |" in text
    assert "| kserve | JSON | 1,000 / 1,000 |" in text
    assert "kserve | gRPC" not in text


def test_a_rate_that_the_client_has_limited_is_marked():
    results = Results(samples={Cell("tab", OURS, "JSON", 64): [replace(SAMPLE, client_busy=0.99)]})
    assert "| >1,000 |" in to_markdown(tables(results, [])[1])


def test_results_survive_being_written_and_read():
    results = results_of(kserve=(800.0, 900.0))
    results.absent["bentoml", "gRPC"] = "it has no such protocol"
    results.limits["mlp", 32] = [200_000.0]
    results.memory[OURS, "idle"] = 70.0
    results.shutdowns[OURS] = Shutdowns(tries=100, lost=0)
    results.starts[OURS] = [0.3]
    assert from_json(to_json(results)) == results


@pytest.mark.parametrize(
    ("page", "wanted"),
    [
        ("# A\n\n## B\n\nb\n\n{}\n\nold\n\n## C\n\nc\n", "# A\n\n## B\n\nb\n\n{}\n\nnew\n\n## C\n\nc\n"),
        ("# A\n\n{}\n\nold\n\n### inner\n\nold\n", "# A\n\n{}\n\nnew\n"),
        ("# A\n", "# A\n\n{}\n\nnew\n"),
    ],
)
def test_only_its_own_section_of_the_docs_is_replaced(page, wanted):
    new = f"{HEADING}\n\nnew\n"
    assert replace_section(page.format(HEADING), HEADING, new) == wanted.format(HEADING)


def test_models_are_the_same_every_time_and_take_any_batch(tmp_path):
    for folder in ("a", "b"):
        write_models(tmp_path / folder, ["tab", "mlp"])
    for name in ("tab", "mlp"):
        file = tmp_path / "a" / name / "model.onnx"
        assert file.read_bytes() == (tmp_path / "b" / name / "model.onnx").read_bytes()
        session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        (outputs,) = session.run(None, {"x": sample_rows(name)[:3]})
        assert outputs.shape == (3, MODELS[name][-1])
        assert np.abs(outputs).max() > 0.01


RESPONSES = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "chunked": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("response", RESPONSES.values(), ids=RESPONSES)
@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_an_http1_answer_is_complete_however_it_arrives(response, piece):
    exchange = Http1Exchange(b"")
    pieces = [response[start : start + piece] for start in range(0, len(response), piece)]
    answers = [exchange.receive(data)[0] for data in pieces]
    assert answers[:-1] == [None] * (len(pieces) - 1)
    assert answers[-1] == b"hello"
    assert not exchange.failed


def test_an_http1_answer_tells_of_failure_and_of_the_end_of_its_connection():
    exchange = Http1Exchange(b"")
    exchange.receive(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\nConnection: close\r\n\r\n")
    assert exchange.failed
    assert exchange.closes


def frame(kind, flags, stream, payload):
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


HEADERS, TRAILERS = frame(1, 4, 1, b"\x88"), frame(1, 5, 1, b"\x88")


@pytest.mark.parametrize("piece", [1, 8, 1000])
def test_a_grpc_answer_is_complete_with_its_trailers(piece):
    exchange = Http2Exchange("host", "/service/method", b"question")
    exchange.request()
    data = HEADERS + frame(0, 0, 1, b"\0\0\0\0\x06answer") + TRAILERS
    answers = [exchange.receive(data[start : start + piece])[0] for start in range(0, len(data), piece)]
    assert answers[-1] == b"answer"
    assert set(answers[:-1]) <= {None}
    assert not exchange.failed


def test_a_grpc_call_that_has_only_trailers_has_failed():
    exchange = Http2Exchange("host", "/service/method", b"question")
    exchange.request()
    exchange.receive(TRAILERS)
    assert exchange.failed


def test_a_grpc_message_waits_for_the_servers_window():
    exchange = Http2Exchange("host", "/service/method", b"x" * 15_000)
    sent = [exchange.request() for _ in range(5)]
    assert [b"x" * 15_000 in data for data in sent] == [True] * 4 + [False]
    _, released = exchange.receive(frame(8, 0, 0, (60_000).to_bytes(4, "big")))
    assert b"x" * 15_000 in released


def test_a_call_that_the_server_resets_is_lost():
    exchange = Http2Exchange("host", "/service/method", b"question")
    exchange.request()
    with pytest.raises(ProtocolError, match="reset"):
        exchange.receive(frame(3, 0, 1, bytes(4)))


@pytest.fixture
def short_lived_server():
    """Answers 50 requests over all connections and then ends every connection without an answer."""
    listener = socket.create_server(("127.0.0.1", 0))
    left = [50]
    lock = threading.Lock()

    def answer(connection):
        with connection:
            while connection.recv(1 << 16):
                with lock:
                    left[0] -= 1
                    if left[0] < 0:
                        return
                connection.sendall(RESPONSES["length"])

    def accept():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield listener.getsockname()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def test_requests_without_an_answer_are_counted_as_lost(short_lived_server):
    request = post("host", "/", json.dumps({"x": 1}).encode(), {})
    with LoadGenerator(short_lived_server, lambda: Http1Exchange(request), 4) as generator:
        load = generator.run(30.0)
        assert len(load.latencies) == 50
        assert load.failed == 4
        assert load.seconds < 30.0
        assert generator.finish(1.0) == 4
