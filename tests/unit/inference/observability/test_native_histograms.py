"""Native histograms, and the protobuf exposition read back by an independent parser and by Prometheus itself."""

from __future__ import annotations

import contextlib
import http.server
import json
import math
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.internal.decoder import _DecodeVarint32
from hypothesis import assume, given
from hypothesis import strategies as st
from mooring_inference.observability.native_histograms import (
    CONTENT_TYPE,
    NativeHistogram,
    native_key,
    prefers_protobuf,
)
from mooring_inference.observability.native_histograms.exposition import render_protobuf
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    SummaryMetricFamily,
    UntypedMetricFamily,
)

from cluster.prometheus import Prometheus

SECONDS = st.floats(1e-9, 1e6)
DURATIONS = st.lists(SECONDS | st.just(0.0) | st.integers(-20, 20).map(lambda power: 2.0**power), max_size=40)


def observed(durations):
    histogram = NativeHistogram()
    for seconds in durations:
        histogram.observe(seconds)
    return histogram


def state(histogram):
    return histogram.buckets, histogram.zeros, pytest.approx(histogram.sum)


@given(SECONDS | st.integers(-100, 100).map(lambda power: 2.0**power))
def test_an_observation_falls_into_the_bucket_whose_bounds_enclose_it(seconds):
    ((bucket, count),) = observed([seconds]).buckets.items()
    assert count == 1
    assert 2 ** ((bucket - 1) / 8) * (1 - 1e-15) < seconds <= 2 ** (bucket / 8) * (1 + 1e-15)


def test_powers_of_two_are_the_upper_bound_of_their_bucket():
    for power in range(-30, 30):
        assert observed([2.0**power]).buckets == {8 * power: 1}
        assert observed([math.nextafter(2.0**power, math.inf)]).buckets == {8 * power + 1: 1}


def test_what_is_no_duration_does_not_spoil_the_histogram():
    histogram = observed([0.0, -1.0, 1e-39, math.nan, math.inf, -math.inf, 3.0])
    assert (histogram.zeros, histogram.count, histogram.sum) == (4, 5, pytest.approx(3.0))


@given(DURATIONS, DURATIONS)
def test_merged_histograms_equal_one_that_saw_everything(first, second):
    together = NativeHistogram.merged([observed(first), observed(second)])
    assert state(together) == state(observed(first + second))
    assert together.count == len(first) + len(second)


@given(DURATIONS)
def test_a_histogram_survives_json(durations):
    histogram = observed(durations)
    back = NativeHistogram.from_json(json.loads(json.dumps(histogram.to_json())))
    assert state(back) == state(histogram)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"sum": "1", "zeros": 0, "buckets": {}},
        {"sum": math.nan, "zeros": 0, "buckets": {}},
        {"sum": 1, "zeros": -1, "buckets": {}},
        {"sum": 1, "zeros": 0, "buckets": []},
        {"sum": 1, "zeros": 0, "buckets": {"1": True}},
        {"sum": 1, "zeros": 0, "buckets": {"a": 1}},
    ],
)
def test_json_of_something_else_is_refused(document):
    with pytest.raises(ValueError, match=r"expected|invalid literal"):
        NativeHistogram.from_json(document)


@given(DURATIONS, st.integers(1, 20))
def test_a_coarser_histogram_has_fewer_buckets_that_still_enclose_the_observations(durations, most):
    histogram = observed(durations)
    schema, buckets = histogram.coarsened(most)
    assert len(buckets) <= most or schema == -4
    assert sum(buckets.values()) == histogram.count - histogram.zeros
    exact = {}
    for seconds in durations:
        if seconds > 0:
            place = math.log2(seconds) * 2.0**schema
            # A logarithm cannot tell a bound from its neighbours.
            assume(place == round(place) or abs(place - round(place)) > 1e-8)
            exact[math.ceil(place)] = exact.get(math.ceil(place), 0) + 1
    assert buckets == exact


# The message types, written down a second time as protobuf's own library wants them.

LABEL = {"optional": 1, "repeated": 3}
KIND = {
    "double": 1,
    "uint64": 4,
    "string": 9,
    "message": 11,
    "uint32": 13,
    "enum": 14,
    "sint32": 17,
    "sint64": 18,
    "int64": 3,
    "int32": 5,
}
MESSAGES = {
    "LabelPair": [("name", 1, "string"), ("value", 2, "string")],
    "Gauge": [("value", 1, "double")],
    "Counter": [("value", 1, "double"), ("created_timestamp", 3, "Timestamp")],
    "Quantile": [("quantile", 1, "double"), ("value", 2, "double")],
    "Summary": [("sample_count", 1, "uint64"), ("sample_sum", 2, "double"), ("quantile", 3, "Quantile*")],
    "Untyped": [("value", 1, "double")],
    "Timestamp": [("seconds", 1, "int64"), ("nanos", 2, "int32")],
    "Bucket": [("cumulative_count", 1, "uint64"), ("upper_bound", 2, "double")],
    "BucketSpan": [("offset", 1, "sint32"), ("length", 2, "uint32")],
    "Histogram": [
        ("sample_count", 1, "uint64"),
        ("sample_sum", 2, "double"),
        ("bucket", 3, "Bucket*"),
        ("schema", 5, "sint32"),
        ("zero_threshold", 6, "double"),
        ("zero_count", 7, "uint64"),
        ("positive_span", 12, "BucketSpan*"),
        ("positive_delta", 13, "sint64*"),
        ("created_timestamp", 15, "Timestamp"),
    ],
    "Metric": [
        ("label", 1, "LabelPair*"),
        ("gauge", 2, "Gauge"),
        ("counter", 3, "Counter"),
        ("summary", 4, "Summary"),
        ("untyped", 5, "Untyped"),
        ("histogram", 7, "Histogram"),
    ],
    "MetricFamily": [
        ("name", 1, "string"),
        ("help", 2, "string"),
        ("type", 3, "int32"),
        ("metric", 4, "Metric*"),
    ],
}


def metric_family():
    file = descriptor_pb2.FileDescriptorProto(name="metrics_test.proto", package="test", syntax="proto2")
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind in fields:
            plain = kind.removesuffix("*")
            message.field.add(
                name=field,
                number=number,
                label=LABEL["repeated" if kind.endswith("*") else "optional"],
                type=KIND.get(plain, KIND["message"]),
                type_name=None if plain in KIND else f".test.{plain}",
            )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("test.MetricFamily"))


FAMILY = metric_family()


def parse(body):
    families, position = {}, 0
    while position < len(body):
        length, position = _DecodeVarint32(body, position)
        family = FAMILY.FromString(body[position : position + length])
        family.DiscardUnknownFields()
        assert family.ByteSize() == length, "fields that the message does not have"
        families[family.name] = family
        position += length
    return families


def latency(durations, **labels):
    """A classic family of one series."""
    family = HistogramMetricFamily("latency_seconds", "How long.", labels=tuple(labels))
    bounds = [0.1, 1.0, math.inf]
    buckets = [("+Inf" if b == math.inf else str(b), sum(d <= b for d in durations)) for b in bounds]
    family.add_metric(tuple(labels.values()), buckets, sum(durations))
    return family


@given(DURATIONS)
def test_a_histogram_is_one_family_with_classic_and_native_buckets(durations):
    native = observed(durations)
    labels = {"model": "größe", "code": "200"}
    body = render_protobuf([latency(durations, **labels)], {native_key("latency_seconds", labels): native})
    (metric,) = parse(body)["latency_seconds"].metric
    assert {pair.name: pair.value for pair in metric.label} == labels
    histogram = metric.histogram
    assert [bucket.upper_bound for bucket in histogram.bucket] == [0.1, 1, math.inf]
    assert histogram.bucket[2].cumulative_count == histogram.sample_count == len(durations)
    assert histogram.sample_sum == pytest.approx(sum(durations))
    assert (histogram.schema, histogram.zero_count) == (3, native.zeros)
    assert 0 < histogram.zero_threshold < 1e-30
    # As a scraper reads it: spans are relative to each other, and so are counts.
    numbers, counts, end, count = [], [], 0, 0
    for span in histogram.positive_span:
        numbers += range(end + span.offset, end + span.offset + span.length)
        end += span.offset + span.length
    for delta in histogram.positive_delta:
        count += delta
        counts.append(count)
    assert dict(zip(numbers, counts, strict=True)) == native.buckets


def test_a_histogram_without_a_native_form_stays_classic():
    (metric,) = parse(render_protobuf([latency([0.5], a="b")], {}))["latency_seconds"].metric
    assert metric.histogram.sample_count == 1
    assert not metric.histogram.HasField("schema")
    assert not metric.histogram.HasField("zero_threshold")


def test_every_type_of_metric_is_there_under_the_name_of_its_series():
    counter = CounterMetricFamily("requests", "So many.", labels=("code",))
    counter.add_metric(("200",), 3, created=1_700_000_000.5)
    counter.add_metric(("500",), 1)
    summary = SummaryMetricFamily("size", "How large.", count_value=2, sum_value=5.5)
    families = parse(
        render_protobuf(
            [
                counter,
                GaugeMetricFamily("depth", "How deep.", value=-1.5),
                summary,
                InfoMetricFamily("build", "Which.", value={"version": "1"}),
                UntypedMetricFamily("odd", "What.", value=math.inf),
                GaugeMetricFamily("empty", "No series."),
            ],
            {},
        )
    )
    assert list(families) == ["requests_total", "depth", "size", "build_info", "odd"]
    assert [family.type for family in families.values()] == [0, 1, 2, 1, 3]
    first, second = families["requests_total"].metric
    assert (first.label[0].value, first.counter.value) == ("200", 3)
    assert (first.counter.created_timestamp.seconds, first.counter.created_timestamp.nanos) == (
        1_700_000_000,
        500_000_000,
    )
    assert (second.label[0].value, second.counter.value) == ("500", 1)
    assert not second.counter.HasField("created_timestamp")
    assert families["depth"].metric[0].gauge.value == -1.5
    assert families["depth"].help == "How deep."
    assert families["size"].metric[0].summary.sample_sum == 5.5
    assert families["size"].metric[0].summary.sample_count == 2
    assert families["build_info"].metric[0].label[0].value == "1"
    assert families["odd"].metric[0].untyped.value == math.inf


PROTOBUF = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"


@pytest.mark.parametrize(
    ("accept", "preferred"),
    [
        (f"{PROTOBUF},application/openmetrics-text;version=1.0.0;q=0.8,text/plain;q=0.5,*/*;q=0.1", True),
        (CONTENT_TYPE, True),
        (f"text/plain;q=0.9,{PROTOBUF};q=0.9", True),
        (f"{PROTOBUF};q=0.3,text/plain", False),
        (f"{PROTOBUF};q=0", False),
        (f"{PROTOBUF};q=x", False),
        (PROTOBUF.replace("delimited", "text"), False),
        ("application/vnd.google.protobuf", False),
        ("application/openmetrics-text;version=1.0.0,text/plain;q=0.5,*/*;q=0.1", False),
        ("*/*", False),
        ("", False),
        (";;,=,;q", False),
    ],
)
def test_protobuf_goes_to_scrapers_that_prefer_it(accept, preferred):
    assert prefers_protobuf(accept) is preferred


# A real Prometheus.


@contextlib.contextmanager
def exporter(body, accepted):
    class Metrics(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            accepted.append(self.headers["accept"])
            self.send_response(200)
            self.send_header("content-type", CONTENT_TYPE)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Metrics)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def prometheus(folder, target):
    """Prometheus that scrapes a port; a function that asks it."""
    configuration = {
        "global": {"scrape_interval": "200ms", "scrape_timeout": "200ms", "scrape_native_histograms": True},
        "scrape_configs": [
            {"job_name": "ours", "static_configs": [{"targets": [f"127.0.0.1:{target}"]}]},
        ],
    }

    def ask(query):
        """The values of a query once there are any."""
        url = f"{running.url}/api/v1/query?" + urllib.parse.urlencode({"query": query})
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=10) as response:
                if result := json.load(response)["data"]["result"]:
                    return {row["metric"].get("kind", ""): float(row["value"][1]) for row in result}
            time.sleep(0.05)
        raise AssertionError(f"no answer to {query}")

    with Prometheus(configuration, folder) as running:
        yield ask


def test_prometheus_takes_the_exposition_and_its_quantiles_are_near(tmp_path):
    durations = [0.001 * 1.01**step for step in range(1000)]
    native = observed([0.0, *durations])
    counter = CounterMetricFamily("answers", "So many.", value=7)
    body = render_protobuf(
        [counter, latency([0.0, *durations], kind="both"), latency([0.05], kind="classic")],
        {native_key("latency_seconds", {"kind": "both"}): native},
    )
    accepted = []
    with exporter(body, accepted) as target, prometheus(tmp_path, target) as ask:
        assert ask("answers_total") == {"": 7}
        assert ask("histogram_count(latency_seconds)") == {"both": 1001}
        assert ask("histogram_sum(latency_seconds)") == {"both": pytest.approx(sum(durations))}
        median = ask("histogram_quantile(0.5, latency_seconds)")["both"]
        assert median == pytest.approx(durations[500], rel=0.05)
        assert ask('latency_seconds_bucket{le="0.1"}') == {"classic": 1}
        assert ask("up") == {"": 1}
    assert prefers_protobuf(accepted[0])


def test_protobuf_is_in_memory_only_once_a_scraper_has_asked_for_it():
    code = (
        "import sys, mooring_inference.main\n"
        "from mooring_inference.observability.metrics import ServingMetrics\n"
        "metrics = ServingMetrics()\n"
        "metrics.exposition()\n"
        "assert 'google.protobuf' not in sys.modules\n"
        f"metrics.exposition({CONTENT_TYPE!r})\n"
        "assert 'google.protobuf' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
