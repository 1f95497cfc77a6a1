"""What counters of pods grew by between readings: processes begin, end, begin anew, and are read or not."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mooring_operator.planning.analysis.pod_counters import (
    COUNTERS,
    LABELS,
    Growth,
    Process,
    growth,
    histogram_of,
    rate_of,
)
from mooring_operator.planning.analysis.queries import LATENCY, RATES, AnswerUnusableError, Latency, Rate
from mooring_operator.planning.analysis.sources import SOURCES

NEW, OLD = "c0ffee0001", "beef000002"
REQUESTS = "mooring_inference_requests_total"


def series(code="200", model="iris", name=REQUESTS, **labels):
    return name, tuple(sorted({"code": code, "model": model, **labels}.items()))


def process(revision=NEW, **codes):
    return Process(revision, {series(code[1:]): float(count) for code, count in codes.items()})


@dataclass
class Server:
    """A process that is played: what it shows, and what it has counted since the last reading."""

    revision: str
    shows: dict = field(default_factory=dict)
    since: dict = field(default_factory=dict)
    was_read: bool = False


class Cluster:
    """Some pods; every request is known."""

    def __init__(self):
        self.servers, self.number = {}, 0
        self.before, self.unknown = {}, 0

    def begin(self, revision):
        self.number += 1
        self.servers[f"uid-{self.number}"] = Server(revision)

    def count(self, which, code, times):
        if self.servers:
            server = sorted(self.servers.items())[which % len(self.servers)][1]
            for counted in (server.shows, server.since):
                counted[series(code)] = counted.get(series(code), 0) + times

    def end(self, which):
        if self.servers:
            name, server = sorted(self.servers.items())[which % len(self.servers)]
            self.unknown += server.was_read
            del self.servers[name]

    def read(self):
        """Read all, and give the growth, what was counted indeed, and how many processes ended that had been read."""
        reading = {name: Process(one.revision, dict(one.shows)) for name, one in self.servers.items()}
        found, unknown = growth(self.before, reading), self.unknown
        truth = {}
        for server in self.servers.values():
            for one, count in server.since.items():
                of = truth.setdefault(server.revision, {})
                of[one] = of.get(one, 0) + count
            server.since, server.was_read = {}, True
        self.before, self.unknown = reading, 0
        return found, truth, unknown


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("begin"), st.sampled_from((NEW, OLD))),
        st.tuples(
            st.just("count"), st.integers(0, 9), st.sampled_from(("200", "404", "503")), st.integers(1, 40)
        ),
        st.tuples(st.just("end"), st.integers(0, 9)),
        st.tuples(st.just("read")),
    ),
    max_size=60,
)


@settings(max_examples=400)
@given(STEPS)
def test_each_request_is_counted_once_or_said_to_be_lost(steps):
    cluster = Cluster()
    for what, *how in [*steps, ("read",)]:
        match what:
            case "begin":
                cluster.begin(*how)
            case "count":
                cluster.count(*how)
            case "end":
                cluster.end(*how)
            case "read":
                found, truth, ended = cluster.read()
                assert sum(found.lost.values()) == ended
                for revision, counted in truth.items():
                    grown = {one: n for one, n in found.counted[revision].items() if n}
                    assert grown == counted
                assert all(n >= 0 for counted in found.counted.values() for n in counted.values())


@given(
    st.dictionaries(st.sampled_from(("c200", "c404", "c503")), st.integers(1, 50), min_size=1),
    st.dictionaries(st.sampled_from(("c200", "c404", "c503")), st.integers(0, 50)),
)
def test_a_counter_that_falls_or_goes_is_a_process_that_was_lost(first, then):
    """A server that begins anew where nothing else tells: whatever it shows less of than before."""
    found = growth({"uid": process(**first)}, {"uid": process(**then)})
    fell = any(then.get(code, 0) < count for code, count in first.items())
    assert found.lost == ({NEW: 1} if fell else {})
    start = {} if fell else first
    assert found.counted[NEW] == {
        series(code[1:]): count - start.get(code, 0) for code, count in then.items()
    }


def test_a_process_that_is_new_has_counted_all_that_it_shows():
    assert growth({}, {"uid": process(c200=7)}) == Growth({NEW: {series(): 7.0}}, {})


COUNTED = {
    series(): 90.0,
    series("503"): 6.0,
    series("429"): 4.0,
    series("503", model="other"): 50.0,
    ("nv_inference_request_success", ()): 30.0,
    ("nv_inference_request_failure", ()): 2.0,
}


@pytest.mark.parametrize(
    ("rate", "model", "events", "requests"),
    [
        (RATES["errorRate"], "iris", 6, 100),
        (RATES["rejectedRate"], "iris", 4, 100),
        (RATES["errorRate"], "", 56, 150),
        (Rate(REQUESTS, 'code="503"'), "iris", 6, 100),
        (SOURCES["Triton"].counts["errorRate"], "", 2, 32),
        (Rate("none", 'code=~"5.."'), "", 0, 0),
    ],
    ids=str,
)
def test_events_are_told_by_their_labels(rate, model, events, requests):
    assert rate_of(COUNTED, rate, model) == (events, requests)


def buckets(name=LATENCY.counter, **counts):
    return {
        (name, (("le", le.replace("_", ".").replace("inf", "+Inf")[1:]), ("model", "iris"))): float(count)
        for le, count in counts.items()
    }


def test_buckets_are_a_histogram_in_seconds():
    counted = {**buckets(x0_1=5, x0_5=8, xinf=9), **COUNTED}
    found = histogram_of(counted, LATENCY, "iris")
    assert (found.bounds, found.above, found.total) == ((0.1, 0.5), (4.0, 1.0), 9.0)
    in_ms = Latency(LATENCY.counter, unit=0.001)
    assert histogram_of(counted, in_ms, "").bounds == pytest.approx((0.0001, 0.0005))
    assert histogram_of(counted, LATENCY, "other") is None


@pytest.mark.parametrize("counts", [{"x0_1": 5}, {"x0_1": 5, "xinf": 4}, {"xwide": 1, "xinf": 4}])
def test_buckets_of_no_histogram_are_refused(counts):
    with pytest.raises(AnswerUnusableError):
        histogram_of(buckets(**counts), LATENCY, "iris")


def test_what_is_read_is_what_runtimes_count_and_no_gateway():
    assert {REQUESTS, LATENCY.counter, "nv_inference_request_failure", "http_requests_total"} <= COUNTERS
    assert not [name for name in COUNTERS if name.startswith(("envoy", "istio"))]
    assert sorted(LABELS) == ["code", "http_response_status_code", "le", "model", "prediction", "status"]
