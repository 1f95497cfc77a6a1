"""Labels: what callers may send, and the stream that is written."""

from __future__ import annotations

from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_inference.capture.labels import Label, decode_labels
from mooring_inference.errors import RequestError

from tests.unit.inference.capture.capture_records import NOON, SECONDS, Clock, capturing, parts, record, rows


def test_one_label_or_many_are_read():
    assert decode_labels(b'{"id": "r1", "value": 1.5}') == [Label("r1", (1.5,))]
    body = b'{"labels": [{"id": "a", "value": true}, {"id": "b", "value": ["x", 2]}]}'
    assert decode_labels(body) == [Label("a", (True,)), Label("b", ("x", 2))]
    assert decode_labels(b'{"labels": []}') == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{", "body"),
        (b"[]", "body"),
        (b"{}", "id"),
        (b'{"id": 1, "value": 1}', "id"),
        (b'{"id": "", "value": 1}', "id"),
        (b'{"id": "' + b"x" * 257 + b'", "value": 1}', "id"),
        (b'{"id": "a"}', "value"),
        (b'{"id": "a", "value": null}', "value"),
        (b'{"id": "a", "value": {}}', "value"),
        (b'{"id": "a", "value": []}', "value"),
        (b'{"id": "a", "value": [1, [2]]}', "value[1]"),
        (b'{"id": "a", "value": "' + b"x" * 1025 + b'"}', "value"),
        (b'{"id": "a", "value": 1, "weight": 2}', "weight"),
        (b'{"labels": {}}', "labels"),
        (b'{"labels": [1]}', "labels[0]"),
        (b'{"labels": [{"id": "a", "value": 1}, {"id": "b"}]}', "labels[1].value"),
        (b'{"labels": [], "id": "a"}', "body"),
        (orjson.dumps({"id": "a", "value": [1] * 10_001}), "labels"),
    ],
)
def test_what_is_no_label_is_refused_with_its_field(body, field):
    with pytest.raises(RequestError) as error:
        decode_labels(body)
    assert (error.value.status, error.value.field) == (400, field)


def test_a_body_that_is_too_large_is_refused_before_it_is_read():
    with pytest.raises(RequestError) as error:
        decode_labels(b"x" * ((1 << 20) + 1))
    assert error.value.status == 413


_values = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
)
_labels = st.builds(
    lambda name, values: Label(name, tuple(values)),
    st.text(min_size=1, max_size=10),
    st.lists(_values, min_size=1, max_size=4),
)


@given(st.lists(_labels, max_size=5))
def test_labels_come_back_as_they_were_written(labels):
    body = orjson.dumps({"labels": [{"id": label.id, "value": list(label.values)} for label in labels]})
    assert decode_labels(body) == labels


@given(
    st.recursive(
        st.none() | _values,
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from(["id", "value", "labels", "x"]), inner)
        ),
    )
)
def test_any_json_is_labels_or_refused(document):
    try:
        found = decode_labels(orjson.dumps(document))
    except RequestError as error:
        found = error
    if isinstance(found, RequestError):
        assert (found.status, bool(found.field)) == (400, True)
    else:
        assert all(isinstance(label, Label) for label in found)


def test_labels_are_a_stream_of_their_own_that_joins_with_the_requests(tmp_path):
    capture = capturing(tmp_path, clock=Clock(), deployment="iris")
    record(capture, "r1", [[1, 2], [3, 4]], [[0], [0]])
    assert capture.labels.record("m", "r1", [1, "setosa"])
    assert capture.labels.record("m", "r2", [True, 2**53 + 1, 0.1], NOON + 3600)
    assert capture.close(SECONDS)
    now, later = (
        datetime(2026, 11, 24, 13, 59, 50, tzinfo=UTC),
        datetime(2026, 11, 24, 14, 59, 50, tzinfo=UTC),
    )
    assert rows(tmp_path / "labels/deployment=iris") == [
        {"id": "r1", "row": 0, "time": now, "model": "m", "value": 1.0, "text": "1"},
        {"id": "r1", "row": 1, "time": now, "model": "m", "value": None, "text": "setosa"},
        {"id": "r2", "row": 0, "time": later, "model": "m", "value": 1.0, "text": "true"},
        {
            "id": "r2",
            "row": 1,
            "time": later,
            "model": "m",
            "value": float(2**53),
            "text": "9007199254740993",
        },
        {"id": "r2", "row": 2, "time": later, "model": "m", "value": 0.1, "text": "0.1"},
    ]
    assert [path.parent.name for path in parts(tmp_path / "labels")] == ["hour=13", "hour=14"]
    keys = {(row["request"]["id"], row["request"]["row"]) for row in rows(tmp_path / "deployment=iris")}
    assert keys == {("r1", 0), ("r1", 1)}
    assert (capture.counters.labels_total, capture.counters.rows_total) == (5, 2)


def test_a_caller_is_told_when_its_label_was_not_taken(tmp_path):
    capture = capturing(tmp_path)
    assert capture.close(SECONDS)
    assert not capture.labels.record("m", "r1", [1])
    assert capture.counters.dropped["closed"] == 1
