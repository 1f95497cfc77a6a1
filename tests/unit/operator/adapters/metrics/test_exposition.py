"""What is read of the text that a pod shows: the real runtime's, and a hostile one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_inference.observability.metrics import ServingMetrics
from mooring_operator.adapters.metrics.exposition import UnreadableError, read_counters
from mooring_operator.planning.analysis.pod_counters import (
    COUNTERS,
    histogram_of,
    predictions_of,
    rate_of,
)
from mooring_operator.planning.analysis.queries import LATENCY, PREDICTIONS, RATES

REQUESTS = "mooring_inference_requests_total"

OTHERS = b"""# HELP nv_inference_request_success Number of successful inference requests, all batch sizes
# TYPE nv_inference_request_success counter
nv_inference_request_success{model="a\\"}b",version="1"} 11.000000
nv_inference_request_success{model="b",version="2"} 2
nv_inference_request_failure{model="b",reason="OTHER",version="2"} 1 1395066363000
nv_inference_count{model="b",version="2"} 77
# TYPE vllm:e2e_request_latency_seconds histogram
vllm:e2e_request_latency_seconds_bucket{engine="0",le="0.3",model_name="m"} 4.0
vllm:e2e_request_latency_seconds_bucket{engine="0",le="+Inf",model_name="m"} 5.0
vllm:e2e_request_latency_seconds_sum{engine="0",model_name="m"} 9.0
http_requests_total{handler="/v1/completions",method="POST",status="2xx"} 8.0
http_requests_total{handler="/v1/chat/completions",method="POST",status="2xx"} 1e1
"""


def test_the_runtime_is_read_as_it_shows_itself():
    metrics = ServingMetrics()
    series = metrics.of("iris", "c0ffee0001")
    for code, seconds in [(200, 0.01)] * 5 + [(503, 0.4)] * 2:
        series.began()
        series.answered("v2-rest", code, seconds)
    series.began()
    series.answered("v2-grpc", 200, 0.02)
    for output in ([1], [2], [2]):
        series.predicted(np.array(output))
    metrics.of("other", "c0ffee0001").predicted(np.array([3]))
    text, _ = metrics.exposition("text/plain;version=0.0.4")
    found = read_counters(text)
    assert predictions_of(found, PREDICTIONS, "iris") == {"1": 1.0, "2": 2.0}
    assert rate_of(found, RATES["errorRate"], "iris") == (2.0, 8.0)
    histogram = histogram_of(found, LATENCY, "iris")
    assert histogram.total == 8.0
    assert {name for name, _ in found} <= COUNTERS


def test_other_runtimes_are_read_over_all_labels_that_nobody_asks_about():
    found = read_counters(OTHERS)
    assert found["nv_inference_request_success", (("model", 'a"}b'),)] == 11.0
    assert found["nv_inference_request_failure", (("model", "b"),)] == 1.0
    assert found["http_requests_total", (("status", "2xx"),)] == 18.0
    assert found["vllm:e2e_request_latency_seconds_bucket", (("le", "+Inf"),)] == 5.0
    assert {name for name, _ in found} <= COUNTERS


HOSTILE = {
    "beyond exact numbers": b'%s{code="200"} 1e308',
    "no number": b'%s{code="200"} many',
    "NaN": b'%s{code="200"} NaN',
    "infinite": b'%s{code="200"} +Inf',
    "negative": b'%s{code="200"} -1',
    "no end": b'%s{code="200',
    "no value": b'%s{code="200"}',
    "no name": b'%s{="200"} 1',
    "no text": b'%s{code="\xff\xfe"} 1',
    "long": b'%s{code="' + b"9" * 5000 + b'"} 1',
    "many": b"\n".join(b'%%s{code="%d"} 1' % n for n in range(2100)),
}


@pytest.mark.parametrize("text", HOSTILE)
def test_what_is_not_the_format_is_refused_and_not_told(text):
    hostile = HOSTILE[text].replace(b"%s", REQUESTS.encode())
    with pytest.raises(UnreadableError) as refusal:
        read_counters(hostile)
    assert len(str(refusal.value)) < 100
    assert not {"many", "\xff", "999"} & set(str(refusal.value).split())


def test_what_nobody_asks_about_may_be_anything():
    assert read_counters(b"<html>\n\xff\xfe\n" + b"x" * 100_000 + b"\nother{ 1") == {}


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_counters_or_refused(text, asked):
    try:
        found = read_counters((REQUESTS.encode() if asked else b"") + text)
    except UnreadableError:
        return
    assert all(value >= 0 for value in found.values())
