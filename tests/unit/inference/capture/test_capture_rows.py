"""What is recorded is in the files: rows, names, types, masks, partitions."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from mooring_inference.capture.buffer import CaptureCounters
from mooring_inference.capture.layout import plan_layout
from mooring_inference.capture.rows import RequestStream
from mooring_inference.capture.settings import CaptureSettings

from tests.unit.inference.capture.capture_records import (
    NOON,
    SECONDS,
    Clock,
    capturing,
    parts,
    read,
    record,
    rows,
    signature,
    spec,
)


def captured(folder, record_all, **options):
    """The rows of what ``record_all(capture)`` records."""
    capture = capturing(folder, clock=Clock(), **options)
    record_all(capture)
    assert capture.close(SECONDS)
    return rows(folder), capture.counters


def test_a_request_becomes_a_row_with_its_features_predictions_and_circumstances(tmp_path):
    found, counters = captured(tmp_path, lambda c: record(c, "r1", [[1, 2]], [[3]], route="candidate"))
    assert found == [
        {
            "request": {
                "id": "r1",
                "row": 0,
                "time": datetime(2026, 11, 24, 13, 59, 50, tzinfo=UTC),
                "model": "m",
                "revision": "v1",
                "route": "candidate",
                "status": 200,
                "latency_seconds": 0.25,
            },
            "x[0]": 1.0,
            "x[1]": 2.0,
            "prediction.y": 3.0,
        }
    ]
    assert (counters.rows_total, counters.dropped_total, counters.files_total) == (1, 0, 1)


def test_each_row_of_a_request_is_a_row_with_its_number(tmp_path):
    def record_all(capture):
        record(capture, "a", [[1, 2], [3, 4]], [[5], [6]])
        record(capture, "b", [[7, 8]], [[9]])

    found, _ = captured(tmp_path, record_all)
    assert [(r["request"]["id"], r["request"]["row"], r["x[0]"], r["prediction.y"]) for r in found] == [
        ("a", 0, 1, 5),
        ("a", 1, 3, 6),
        ("b", 0, 7, 9),
    ]


def test_files_lie_in_folders_of_deployment_revision_date_and_hour(tmp_path):
    captured(tmp_path, record, deployment="iris/eu")
    (path,) = parts(tmp_path)
    assert str(path.parent.relative_to(tmp_path)) == "deployment=iris_eu/revision=v1/date=2026-11-24/hour=13"


def test_rows_go_to_the_hour_of_their_request(tmp_path):
    clock = Clock(NOON)
    capture = capturing(tmp_path, clock=clock)
    for seconds in (0, 20, -20):
        clock.now = NOON + seconds
        record(capture, f"at{seconds}")
    assert capture.close(SECONDS)
    found = {path.parent.name: [r["request"]["id"] for r in rows(path.parent)] for path in parts(tmp_path)}
    assert found == {"hour=13": ["at0", "at-20"], "hour=14": ["at20"]}


def test_types_stay_what_they_are_in_the_model(tmp_path):
    inputs = [
        spec("whole", "INT64", (None,)),
        spec("flag", "BOOL", (None, 1)),
        spec("word", "BYTES", (None,)),
        spec("half", "FP16", (None, 1)),
        spec("tiny", "UINT8", (None,)),
    ]
    sig = signature(inputs, [spec("label", "BYTES", (None,))])
    values = {
        "whole": [2**60, -1],
        "flag": [[True], [False]],
        "word": ["ä", "日本"],
        "half": [[0.5], [1]],
        "tiny": [0, 255],
    }
    found, _ = captured(tmp_path, lambda c: record(c, "r", values, ["a", "b"], sig=sig), sig=sig)
    kept = [{name: value for name, value in row.items() if name != "request"} for row in found]
    assert kept == [
        {"whole": 2**60, "flag": True, "word": "ä", "half": 0.5, "tiny": 0, "prediction.label": "a"},
        {"whole": -1, "flag": False, "word": "日本", "half": 1.0, "tiny": 255, "prediction.label": "b"},
    ]
    types = {field.name: field.type for field in read(tmp_path).schema}
    assert types["tiny"] == pa.uint8()
    assert types["half"] == pa.float32()


def test_rows_of_other_shapes_are_lists(tmp_path):
    sig = signature([spec("image", "UINT8", (None, 2, 2)), spec("tokens", "INT64", (None, None))])
    values = {"image": [[[1, 2], [3, 4]], [[5, 6], [7, 8]]], "tokens": [[1, 2, 3], [4, 5, 6]]}

    def record_all(capture):
        record(capture, "two", values, [[0], [0]], sig=sig)
        record(capture, "one", {"image": [[[9, 9], [9, 9]]], "tokens": [[7]]}, [[0]], sig=sig)

    found, _ = captured(tmp_path, record_all, sig=sig)
    assert [(row["image"], row["tokens"]) for row in found] == [
        ([1, 2, 3, 4], [1, 2, 3]),
        ([5, 6, 7, 8], [4, 5, 6]),
        ([9, 9, 9, 9], [7]),
    ]


def test_a_failed_request_has_features_and_no_predictions(tmp_path):
    def record_all(capture):
        record(capture, "good")
        record(capture, "bad", y=None, status=500)

    found, counters = captured(tmp_path, record_all)
    assert [(row["request"]["status"], row["x[0]"], row["prediction.y"]) for row in found] == [
        (200, 1, 3),
        (500, 1, None),
    ]
    assert counters.without_predictions_total == 0


def test_an_output_that_was_not_asked_for_is_null(tmp_path):
    sig = signature(outputs=[spec("a", shape=(None, 1)), spec("b", "BYTES", (None,))])

    def record_all(capture):
        record(capture, "both", y={"a": [[1]], "b": ["x"]}, sig=sig)
        record(capture, "other order", y={"b": ["y"], "a": [[2]]}, sig=sig)
        record(capture, "only b", y={"b": ["z"]}, sig=sig)

    found, _ = captured(tmp_path, record_all, sig=sig)
    assert [(row["prediction.a"], row["prediction.b"]) for row in found] == [(1, "x"), (2, "y"), (None, "z")]


def test_outputs_of_another_number_of_rows_are_left_out_and_counted_except_where_one_row_has_them_all(
    tmp_path,
):
    sig = signature(outputs=[spec("boxes", shape=(None, 4)), spec("scores", shape=(None, None))])
    y = {"boxes": np.zeros((3, 4)), "scores": [[1, 2, 3]]}

    def record_all(capture):
        record(capture, "one", y=y, sig=sig)
        record(capture, "two", [[1, 2], [3, 4]], y=y, sig=sig)

    found, counters = captured(tmp_path, record_all, sig=sig)
    assert [row["prediction.scores"] for row in found] == [[1, 2, 3], None, None]
    assert [row["prediction.boxes[0]"] for row in found] == [None, None, None]
    assert counters.without_predictions_total == 1 + 2 + 2


def test_requests_whose_inputs_have_other_rows_or_widths_are_dropped_and_counted(tmp_path):
    sig = signature([spec("a"), spec("b", shape=(None,)), spec("scale", shape=())])

    def record_all(capture):
        record(capture, "good", {"a": [[1, 2], [3, 4]], "b": [5, 6], "scale": 7}, [[0], [0]], sig=sig)
        record(capture, "rows", {"a": [[1, 2], [3, 4]], "b": [5, 6, 7], "scale": 7}, [[0], [0]], sig=sig)
        record(capture, "width", {"a": [[1, 2, 3]], "b": [5], "scale": 7}, sig=sig)

    found, counters = captured(tmp_path, record_all, sig=sig)
    assert [(row["a[1]"], row["b"], row["scale"]) for row in found] == [(2, 5, 7), (4, 6, 7)]
    assert counters.dropped["shape"] == 2 + 1


def test_requests_that_could_not_be_read_have_no_rows(tmp_path):
    found, counters = captured(
        tmp_path, lambda c: (record(c, "good"), record(c, "bad", {}, None, status=400))
    )
    assert [row["request"]["id"] for row in found] == ["good"]
    assert counters.dropped_total == 0


def test_features_have_the_names_that_they_are_given(tmp_path):
    names = {"x": ["age", "income"]}
    found, _ = captured(tmp_path, record, names=names, features="income")
    assert [set(row) for row in found] == [{"request", "income", "prediction.y"}]
    assert found[0]["income"] == 2.0


def test_masked_values_never_reach_a_file(tmp_path):
    key = "k" * 16
    names = {"x": ["secret", "card", "age"]}
    sig = signature([spec("x", "FP64", (None, 3)), spec("email", "BYTES", (None,))])
    values = {
        "x": [[1, 4111, 0.5], [1, 4111, 1], [1, 42, 7.5], [1, np.nan, np.nan]],
        "email": ["a@b", "a@b", "ä@b", ""],
    }
    found, _ = captured(
        tmp_path,
        lambda c: record(c, "r", values, [[0]] * 4, sig=sig),
        sig=sig,
        names=names,
        mask="secret=drop,card=hmac,age=bucket:1,5,email=hmac",
        environ={"MOORING_CAPTURE_HMAC_KEY": key},
    )

    def digest(text):
        return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()[:32]

    assert [row["age"] for row in found] == ["<1", "[1,5)", ">=5", None]
    assert [row["card"] for row in found] == [digest("4111.0"), digest("4111.0"), digest("42.0"), None]
    assert [row["email"] for row in found] == [digest("a@b"), digest("a@b"), digest("ä@b"), digest("")]
    assert "secret" not in found[0]
    content = b"".join(path.read_bytes() for path in parts(tmp_path))
    assert b"a@b" not in content
    assert key.encode() not in content


def test_the_whole_of_an_input_is_masked_by_its_name(tmp_path):
    found, _ = captured(tmp_path, record, mask="x=drop,prediction.y=bucket:0")
    assert set(found[0]) == {"request", "prediction.y"}
    assert found[0]["prediction.y"] == ">=0"


def test_one_row_of_a_large_batch_does_not_keep_the_batch_in_memory(tmp_path):
    capture = capturing(
        tmp_path, sig=signature(outputs=[spec("y", shape=(None, 50_000))]), buffer_bytes=str(8 << 20)
    )
    batch = np.zeros((100, 50_000), np.float32)  # 20 MB
    sig = signature(outputs=[spec("y", shape=(None, 50_000))])
    inputs = {"x": np.zeros((1, 2), np.float32)}
    capture.record("r", "m", "v1", "stable", inputs, [(sig.outputs[0], batch[3:4])], 0.1, 200)
    assert capture.close(SECONDS)
    assert (capture.counters.rows_total, capture.counters.dropped_total) == (1, 0)


_elements = st.floats(width=32, allow_nan=False)


@st.composite
def _requests(draw):
    width = draw(st.integers(1, 4))
    counts = draw(st.lists(st.integers(1, 5), min_size=1, max_size=6))
    rows_of = [
        draw(st.lists(st.lists(_elements, min_size=width, max_size=width), min_size=n, max_size=n))
        for n in counts
    ]
    memory = draw(st.sampled_from(["C", "F", "view"]))
    failed = draw(st.lists(st.booleans(), min_size=len(counts), max_size=len(counts)))
    return width, rows_of, memory, failed


@hypothesis_settings(max_examples=60, deadline=None)
@given(_requests())
def test_every_row_of_every_request_comes_back_in_order_with_its_own_id_and_prediction(case):
    width, requests, memory, failed = case
    sig = signature([spec("x", shape=(None, width))])
    layout = plan_layout(sig, CaptureSettings(uri="/unused"))
    stream = RequestStream(
        deployment="d", model="m", revision="v", layout=layout, key=None, counters=CaptureCounters()
    )
    entries = []
    for number, values in enumerate(requests):
        x = np.array(values, np.float32)
        x = np.concatenate([x, x], axis=1)[:, :width] if memory == "view" else np.array(x, order=memory)
        y = None if failed[number] else [(sig.outputs[0], x[:, :1])]
        entries.append((stream, 0, len(x), NOON, f"id-{number}", "stable", 200, 0.5, {"x": x}, y))
    batch = stream.columns(entries, [len(values) for values in requests])
    found = batch.to_pylist()
    names = ["x"] if width == 1 else [f"x[{index}]" for index in range(width)]
    wanted = [
        (
            f"id-{number}",
            row,
            [np.float32(v) for v in values],
            None if failed[number] else np.float32(values[0]),
        )
        for number, request in enumerate(requests)
        for row, values in enumerate(request)
    ]
    assert [
        (row["request"]["id"], row["request"]["row"], [row[name] for name in names], row["prediction.y"])
        for row in found
    ] == wanted


@pytest.mark.parametrize("text", ["", "plain", "ü" * 3, "日本", "\ud800 alone"])
def test_any_id_can_be_written(tmp_path, text):
    found, counters = captured(tmp_path, lambda c: (record(c, text), record(c, "next")), sample="1")
    assert found[1]["request"]["id"] == "next"
    assert counters.dropped_total == 0
