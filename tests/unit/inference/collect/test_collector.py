"""Events become captured rows, or are refused, and are counted either way."""

from __future__ import annotations

import orjson
import pyarrow.dataset as ds
import pytest
from mooring_inference.access.json_limits import JsonLimits
from mooring_inference.capture import Capture, CaptureSettings
from mooring_inference.capture.settings import Drop
from mooring_inference.collect.collector import Collector, CollectSettings
from mooring_inference.collect.events import read_event
from mooring_inference.collect.joining import EVENT_BYTES
from mooring_inference.collect.metrics import EVENTS, REQUESTS, CollectMetrics
from mooring_inference.errors import RequestError

from tests.unit.inference.collect.logger_events import headers, raw


def body(width=2):
    return orjson.dumps({"instances": [list(range(width))]})


ANSWER = orjson.dumps({"predictions": [1]})


class Bench:
    """A collector that captures into a folder."""

    def __init__(self, folder, settings=None, **capture):
        self.folder = folder
        self.capture = Capture(CaptureSettings(str(folder), **capture))
        self.metrics = CollectMetrics(self.capture.counters)
        self.collector = Collector(settings or CollectSettings(), self.capture, self.metrics)

    def take(self, content, is_request=True, id="a1", now=0.0, **changed):
        self.collector.take(read_event(raw(headers(is_request, id, **changed))), content, now)

    def exchange(self, request, response=ANSWER, id="a1", **changed):
        self.take(request, True, id, **changed)
        self.take(response, False, id, **changed)

    def counts(self):
        found = {}
        for family, outcomes in (("events", EVENTS), ("requests", REQUESTS)):
            for outcome in outcomes:
                name = f"mooring_collect_{family}_total"
                if count := self.metrics.registry.get_sample_value(name, {"outcome": outcome}):
                    found[outcome] = count
        return found

    def rows(self):
        """All rows, with the revision's folder, once the files are complete."""
        assert self.capture.close(10)
        files = sorted(self.folder.rglob("*.parquet"))
        table = ds.dataset([str(file) for file in files]).to_table() if files else None
        return [] if table is None else table.to_pylist()


@pytest.fixture
def bench(tmp_path):
    made = []

    def make(settings=None, **capture):
        made.append(Bench(tmp_path, settings, **capture))
        return made[-1]

    yield make
    for one in made:
        one.capture.close(10)


def test_canary_and_stable_are_kept_apart(bench, tmp_path):
    one = bench()
    one.exchange(body(), ce_endpoint="default")
    one.exchange(body(), ce_endpoint="canary")
    one.exchange(body(), ce_inferenceservicename="other")
    assert len(one.rows()) == 3
    folders = {file.parts[len(tmp_path.parts) :][:2] for file in tmp_path.rglob("*.parquet")}
    assert folders == {
        ("deployment=digits", "revision=default"),
        ("deployment=digits", "revision=canary"),
        ("deployment=other", "revision=default"),
    }


def test_the_operator_says_what_the_folders_are_called(bench, tmp_path):
    one = bench(CollectSettings(revision="r7"), deployment="d")
    one.exchange(body(), ce_inferenceservicename="d-r7")
    [row] = one.rows()
    assert (row["request"]["model"], row["request"]["revision"]) == ("d-r7", "r7")
    assert next(tmp_path.rglob("*.parquet")).is_relative_to(tmp_path / "deployment=d" / "revision=r7")


def test_the_id_is_what_the_caller_knows(bench):
    one = bench()
    v2 = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1]}]}
    answer = {"outputs": [{"name": "y", "datatype": "FP32", "shape": [1], "data": [1]}]}
    one.exchange(
        orjson.dumps(v2 | {"id": "body"}), orjson.dumps(answer), metadata={"X-Request-Id": ["header"]}
    )
    one.exchange(orjson.dumps(v2), orjson.dumps(answer | {"id": "answer"}))
    one.exchange(orjson.dumps(v2), orjson.dumps(answer), metadata={"X-Request-Id": ["header"]})
    one.exchange(orjson.dumps(v2), orjson.dumps(answer))
    assert [row["request"]["id"] for row in one.rows()] == ["body", "answer", "header", "a1"]


def test_what_is_to_be_masked_is_never_kept_without_its_mask(bench):
    one = bench(masks={"email": Drop()})
    one.exchange(orjson.dumps({"instances": [{"email": "a@b", "age": 3}]}))
    one.exchange(orjson.dumps({"instances": [{"mail": "a@b", "age": 3}]}), id="other")
    assert one.counts() == {"taken": 4, "captured": 1, "unsettled": 1}
    [row] = one.rows()
    assert set(row) == {"request", "age", "prediction.predictions"}


def test_forms_of_requests_are_bounded(bench):
    one = bench()
    for width in range(1, 12):
        one.exchange(body(width), id=f"id-{width}")
    assert one.counts() == {"taken": 22, "captured": 8, "too_many_forms": 3}
    # The known ones go on.
    one.exchange(body(1))
    assert one.counts()["captured"] == 9


@pytest.mark.parametrize(
    ("changed", "content", "status", "outcome"),
    [
        ({"ce_namespace": "theirs"}, body(), 403, "foreign"),
        ({"ce_component": "transformer"}, body(), 403, "foreign"),
        ({}, bytes(2000), 413, "too_large"),
        ({"id": "b"}, bytes(900), 503, "full"),
        ({}, body(), 409, "duplicate"),
    ],
)
def test_what_is_refused_is_counted(bench, changed, content, status, outcome):
    settings = CollectSettings(
        namespace="ml", join_bytes=EVENT_BYTES + 500, limits=JsonLimits(max_bytes=1000)
    )
    one = bench(settings)
    one.take(body())
    with pytest.raises(RequestError) as caught:
        one.take(content, **changed)
    assert caught.value.status == status
    assert one.counts() == {"taken": 1, outcome: 1}


@pytest.mark.parametrize(
    ("request_body", "response", "outcome"),
    [
        (b"", b"{}", "not_inference"),
        (b'{"prompt": "x"}', b"{}", "not_inference"),
        (b"{", ANSWER, "undecodable"),
        (body(), b"\xff", "undecodable"),
        (b"[" * 5000, ANSWER, "undecodable"),
        (b'{"instances":' + b"[" * 900 + b"]" * 900 + b"}", ANSWER, "undecodable"),
    ],
)
def test_what_cannot_be_kept_is_counted(bench, request_body, response, outcome):
    one = bench()
    one.exchange(request_body, response)
    assert one.counts() == {"taken": 2, outcome: 1}


def test_what_waits_for_ever_is_given_up_and_counted(bench):
    one = bench(CollectSettings(join_seconds=60))
    one.take(body(), True, "request", now=0)
    one.take(ANSWER, False, "response", now=0)
    one.take(body(), True, "late", now=50)
    value = one.metrics.registry.get_sample_value
    one.collector.expire(61)
    assert one.counts() == {"taken": 3, "unanswered": 1, "unasked": 1}
    assert value("mooring_collect_waiting_events") == 1
    assert one.collector.close() == 1
    assert one.counts() == {"taken": 3, "unanswered": 2, "unasked": 1}
    assert value("mooring_collect_waiting_bytes") == 0


def test_a_sample_is_of_requests(bench):
    one = bench(sample=0.0)
    one.exchange(body())
    assert one.rows() == []
    assert one.capture.counters.sampled_out_total == 1
