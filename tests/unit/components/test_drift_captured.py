"""Rows that were kept, cut out by time, from the folders in which the runtime puts them."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mooring_artifacts.drift_question import Rows, parse_question
from mooring_artifacts.errors import InputError
from mooring_artifacts.local_files import MOST_FILES
from mooring_components.drift import captured
from mooring_components.drift.captured import fetch_part
from mooring_components.drift.errors import EvaluationError
from mooring_components.drift.report import make_report
from mooring_inference.capture.columns import TIME_TYPE

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
FOLDER = "deployment=d/revision=r"


def keep(root, *minutes, values=None, name="f"):
    """Keep one row for each of these minutes after noon, each in the folder of its hour."""
    values = minutes if values is None else values
    hours = {}
    for minute, value in zip(minutes, values, strict=True):
        moment = NOON + timedelta(minutes=minute)
        hours.setdefault(moment.replace(minute=0, second=0, microsecond=0), []).append((moment, value))
    for hour, rows in hours.items():
        path = root / FOLDER / f"{hour:date=%Y-%m-%d}" / f"{hour:hour=%H}" / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        request = pa.array(
            [{"id": "a", "time": moment} for moment, _ in rows],
            pa.struct([("id", pa.string()), ("time", TIME_TYPE)]),
        )
        x = pa.array([float(value) for _, value in rows], pa.float32())
        pq.write_table(pa.table({"request": request, "x": x, "prediction.y": x}), path)


def part(root, since, until, **fields):
    asked = Rows(
        uri=f"file://{root}/{FOLDER}",
        since=NOON + timedelta(minutes=since),
        until=NOON + timedelta(minutes=until),
        **fields,
    )
    return fetch_part(asked, "WindowUnreadable", "spec.window.uri").open()


def values(rows, name="x"):
    return rows.column(name).to_pylist()


def test_rows_belong_to_the_window_of_their_time_and_to_no_other(tmp_path):
    keep(tmp_path, *range(-90, 150, 10))
    windows = [part(tmp_path, begin, begin + 30) for begin in range(-90, 150, 30)]
    assert [values(one) for one in windows] == [[b, b + 10, b + 20] for b in range(-90, 150, 30)]
    assert [one.num_rows for one in windows] == [3] * 8
    assert len({one.digest for one in windows}) == 8


def test_late_rows_of_an_hour_are_found_whatever_file_they_are_in(tmp_path):
    keep(tmp_path, 1, 2, name="20260301T120000Z-1-a")
    keep(tmp_path, 3, name="20260301T125900Z-1-b")
    assert values(part(tmp_path, 0, 60)) == [1, 2, 3]


def test_only_folders_of_the_hours_are_listed(tmp_path, monkeypatch):
    keep(tmp_path, *range(0, 60 * 24, 60))
    listed = []
    whole = captured.list_files

    def listing(there, *how, **more):
        listed.append(str(there))
        return whole(there, *how, **more)

    monkeypatch.setattr(captured, "list_files", listing)
    part(tmp_path, 90, 180)
    assert [one.rpartition("/")[2] for one in listed] == ["hour%3D13", "hour%3D14"]


def test_counts_beside_the_rows_are_none_of_the_files_that_there_may_be(tmp_path):
    """A hundred replicas write twelve thousand files an hour, half of them of rows."""
    keep(tmp_path, 5)
    [hour] = {path.parent for path in tmp_path.rglob("*.parquet")}
    for number in range(MOST_FILES + 1):
        (hour / f"{number}.state").touch()
    assert values(part(tmp_path, 0, 60)) == [5.0]


def test_a_window_without_a_file_has_too_few_rows(tmp_path):
    keep(tmp_path, 0)
    with pytest.raises(EvaluationError, match="no request was kept from 2026-03-01T14:00:00Z to") as told:
        part(tmp_path, 120, 180)
    assert told.value.reason == "InsufficientData"


def test_hours_without_a_file_are_no_fault(tmp_path):
    keep(tmp_path, 0, 180)
    assert values(part(tmp_path, 0, 240)) == [0, 180]


def test_a_file_without_times_is_refused(tmp_path):
    keep(tmp_path, 0)
    [file] = tmp_path.rglob("*.parquet")
    pq.write_table(pa.table({"x": [1.0]}), file)
    with pytest.raises(EvaluationError, match=r"there is no request\.time"):
        part(tmp_path, 0, 60)


def test_a_damaged_file_is_told(tmp_path):
    keep(tmp_path, 0)
    [file] = tmp_path.rglob("*.parquet")
    file.write_bytes(b"PAR1")
    with pytest.raises(EvaluationError) as told:
        part(tmp_path, 0, 60)
    assert told.value.reason == "WindowUnreadable"


def test_a_column_that_is_left_out_is_none_of_what_is_compared(tmp_path):
    path = tmp_path / "test.parquet"
    pq.write_table(pa.table({"x": [1.0], "label": [0]}), path)
    asked = Rows(uri=f"file://{path}", without=["label"])
    rows = fetch_part(asked, "BaselineUnreadable", "spec.baseline.uri").open()
    assert rows.schema.names == ["x"]


def test_windows_of_a_drifting_stream_are_compared_with_its_beginning(tmp_path):
    random = np.random.default_rng(0)
    minutes = np.linspace(0, 119.9, 3000)
    shift = np.where(minutes >= 90, 1.5, 0.0)
    keep(tmp_path, *minutes.tolist(), values=(random.normal(size=3000) + shift).tolist())
    uri = f"file://{tmp_path}/{FOLDER}"

    def rows(since, until):
        times = (NOON + timedelta(minutes=minute) for minute in (since, until))
        return {
            "uri": uri,
            **dict(zip(("since", "until"), (f"{t:%Y-%m-%dT%H:%M:%SZ}" for t in times), strict=True)),
        }

    def ask(since, until):
        window = {"baseline": rows(0, 60), "window": rows(since, until), "minRows": 100}
        return make_report({**window, "ks": {"alpha": 0.01}}, "run-1")

    quiet, drifted = ask(60, 75), ask(90, 105)
    assert (quiet.drifted_features, drifted.drifted_features) == ([], ["x", "prediction.y"])
    assert 1400 < quiet.baseline_rows < 1600
    assert 350 < drifted.window_rows < 400
    assert quiet.schema_changes == []


@pytest.mark.parametrize(
    ("minutes", "wants", "counted", "reason", "says"),
    [
        (
            range(60),
            61,
            False,
            "GatheringWindow",
            "has 60 of the 61 rows that spec.window.capture.rows wants, from",
        ),
        (range(60, 120), 61, False, "WindowEmpty", "has none of the 61 rows"),
        ((), 61, False, "WindowEmpty", "has none of the 61 rows"),
        ((), 61, True, "WindowEmpty", "has none of the 61 rows"),
    ],
)
def test_a_window_with_fewer_rows_than_it_needs_goes_on(tmp_path, minutes, wants, counted, reason, says):
    keep(tmp_path, *minutes)
    keep(tmp_path, *range(-60, 0), name="before")
    uri = f"file://{tmp_path}/{FOLDER}"
    times = {"since": NOON.isoformat(), "until": (NOON + timedelta(hours=1)).isoformat()}
    before = {"since": (NOON - timedelta(hours=1)).isoformat(), "until": NOON.isoformat()}
    baseline = {"uri": uri, "counted": True} if counted else {"uri": uri, **before}
    question = {"baseline": baseline, "window": {"uri": uri, **times, "rows": wants}, "minRows": 20}
    failure = make_report({**question, "ks": {"alpha": 0.01}}, "run-1")
    assert failure.error.reason == reason
    assert says in failure.error.message
    if reason == "GatheringWindow":
        question["window"]["rows"] = 60
        assert make_report({**question, "ks": {"alpha": 0.01}}, "run-1").window_rows == 60


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ({"since": "2026-03-01T12:00:00Z"}, "since and until come together"),
        ({"since": "2026-03-01T12:00:00Z", "until": "2026-03-01T12:00:00Z"}, "since must be before until"),
        ({"since": "2026-01-01T12:00:00Z", "until": "2026-03-01T12:00:00Z"}, "at most 32 days"),
        ({"since": "2026-03-01T12:00:00", "until": "2026-03-01T13:00:00Z"}, "question.window.since"),
        ({"since": "noon", "until": "2026-03-01T13:00:00Z"}, "question.window.since"),
    ],
)
def test_a_span_that_is_none_is_refused(rows, says):
    question = {"baseline": {"uri": "s3://a"}, "window": {"uri": "s3://b", **rows}, "minRows": 1}
    with pytest.raises(InputError, match=says):
        parse_question(question)
