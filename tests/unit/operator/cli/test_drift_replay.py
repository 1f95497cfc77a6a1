"""`mooring drift replay` says when a monitor would have alarmed over files of the past."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.unit.cli_world import invoke

BEGIN = datetime(2026, 10, 1, 18, tzinfo=UTC)


def traffic(seed, count, shift=0.0):
    rng = np.random.default_rng(seed)
    return pa.table({"age": rng.normal(40, 10, count) + 10 * shift, "size": rng.normal(0, 1, count)})


def monitor(**spec):
    rows = {"uri": "s3://elsewhere/rows"}
    written = {"target": {"name": "iris"}, "baseline": rows, "window": rows, **spec}
    return {
        "apiVersion": "mooring.dev/v1alpha1",
        "kind": "DriftMonitor",
        "metadata": {"name": "watch"},
        "spec": {key: value for key, value in written.items() if value is not None},
    }


def hours(shifts):
    """500 rows in each hour, each shifted by so many standard deviations, with a time."""
    parts = []
    for number, shift in enumerate(shifts):
        times = [BEGIN + timedelta(hours=number, seconds=7 * row) for row in range(500)]
        parts.append(traffic(number + 100, 500, shift).append_column("time", pa.array(times)))
    return pa.concat_tables(parts)


@pytest.fixture
def replay(capsys, tmp_path):
    pq.write_table(traffic(0, 20_000), tmp_path / "baseline.parquet")

    def run_command(spec, *arguments):
        (tmp_path / "monitor.json").write_text(json.dumps(monitor(**spec)))
        baseline = ["--baseline", str(tmp_path / "baseline.parquet")]
        return invoke(capsys, "drift", "replay", str(tmp_path / "monitor.json"), *baseline, *arguments)

    return run_command


def test_drift_alarms_when_it_begins_and_is_left_behind(replay, tmp_path):
    pq.write_table(hours([0, 0, 1, 1, 0, 0, 0, 0, 0]), tmp_path / "day.parquet")
    spec = {"sensitivity": "normal", "actions": ["Rollback"]}
    cut = ["--window", str(tmp_path / "day.parquet"), "--by", "time", "--every", "1h"]
    code, out, err = replay(spec, *cut)
    assert (code, err) == (1, "")
    *table, rollback, sentence = out.splitlines()
    drifted = [line.split()[1] for line in table if " Drifted " in line]
    assert drifted[:2] == ["20:00:00", "21:00:00"]
    assert "Watching" in table[-2]
    assert rollback.startswith(
        "after 2026-10-01 20:00:00 a rollback is asked for: DriftDetected: evidence 10000"
    )
    assert sentence.startswith("1 alarm in 9 windows, after 2026-10-01 20:00:00; "), out

    code, out, _ = replay(spec, *cut, "-o", "json")
    windows = json.loads(out)["windows"]
    assert code == 1
    assert [one["window"] for one in windows if one["begins"]] == ["2026-10-01 20:00:00"]
    # Once for a revision, as the operator asks.
    assert [one["window"] for one in windows if one["rollback"]] == ["2026-10-01 20:00:00"]
    assert windows[2]["driftedFeatures"] == ["age"]
    assert windows[2]["evidence"] == {"value": 10_000, "limit": 1000}


def test_without_a_sensitivity_each_window_is_judged_by_itself(replay, tmp_path):
    folder = tmp_path / "days"
    folder.mkdir()
    for name, shift in (("b", 1.0), ("a", 0.0), ("c", 0.0)):
        pq.write_table(traffic(ord(name) + 100, 500, shift), folder / f"{name}.parquet")
    (folder / "notes.txt").write_text("no rows")
    code, out, _ = replay({}, "--window", str(folder), "-o", "json")
    assert code == 1
    assert [(one["window"], one["phase"]) for one in json.loads(out)["windows"]] == [
        ("a.parquet", "Watching"), ("b.parquet", "Drifted"), ("c.parquet", "Watching"),
    ]  # fmt: skip
    code, out, _ = replay({"driftedFeatures": 2}, "--window", str(folder))
    assert code == 0, out


def test_what_a_monitor_asks_for_is_what_is_compared(replay, tmp_path):
    pq.write_table(traffic(1, 500, 1.0), tmp_path / "b.parquet")
    window = ["--window", str(tmp_path / "b.parquet"), "-o", "json"]
    assert replay({"features": ["size"]}, *window)[0] == 0
    code, out, _ = replay({"minRows": 501}, *window)
    found = json.loads(out)
    assert code == 2
    assert found["message"] == "no alarm in 1 window, of which 1 said nothing"
    assert found["windows"][0]["reason"] == "InsufficientData"
    _, out, _ = replay({"features": ["gone"]}, *window)
    assert "'gone'" in json.loads(out)["windows"][0]["message"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--rows", "100", "--by", "time", "--every", "1h"], "not by both"),
        (["--by", "time"], "go together"),
        (["--every", "1h"], "go together"),
        (["--by", "time", "--every", "soon"], "'soon' is not a valid duration"),
        (["--by", "time", "--every", "0s"], "'0s' is not a valid duration above 0"),
        (["--rows", "0"], "--rows"),
        (["--by", "when", "--every", "1h"], "--by 'when': --window has no such column, but age, size, time"),
        (["--by", "age", "--every", "1h"], "--by 'age': double tells no time"),
        (["--name", "other"], "has no DriftMonitor other"),
    ],
)
def test_wrong_options_are_said_with_code_2(replay, tmp_path, arguments, said):
    pq.write_table(hours([0]), tmp_path / "day.parquet")
    code, out, err = replay({}, "--window", str(tmp_path / "day.parquet"), *arguments)
    assert (code, out) == (2, "")
    assert said in " ".join(err.replace("│", " ").split())


def test_a_manifest_that_is_not_valid_is_not_played(replay, tmp_path):
    code, out, err = replay({"minRows": 1}, "--window", str(tmp_path))
    assert (code, out) == (1, "")
    assert "spec.minRows" in err
    assert "nothing to replay" in err


def test_files_that_are_not_there_are_said(replay, tmp_path):
    (tmp_path / "empty").mkdir()
    for path, said in (
        ("none.parquet", "there is no such file"),
        ("empty", "no file in this folder ends with"),
    ):
        code, out, err = replay({}, "--window", str(tmp_path / path))
        assert (code, out) == (2, "")
        assert said in err
        assert err.count("\n") == 1


def test_a_damaged_file_is_one_window_and_those_after_it_are_judged(replay, tmp_path):
    folder = tmp_path / "days"
    folder.mkdir()
    for name, shift in (("a", 0.0), ("c", 1.0)):
        pq.write_table(traffic(ord(name) + 100, 500, shift), folder / f"{name}.parquet")
    (folder / "b.parquet").write_bytes(b"PAR1")
    code, out, err = replay({}, "--window", str(folder), "-o", "json")
    windows = json.loads(out)["windows"]
    assert (code, err) == (1, "")
    assert [(one["window"], one["rows"], one["reason"]) for one in windows] == [
        ("a.parquet", 500, "NoDrift"), ("b.parquet", 0, "WindowUnreadable"), ("c.parquet", 500, "DriftDetected"),
    ]  # fmt: skip
    assert "b.parquet': it cannot be read" in windows[1]["message"]


def test_a_window_without_a_column_of_the_baseline_says_so(replay, tmp_path):
    pq.write_table(pa.table({"sepal": np.arange(500.0)}), tmp_path / "other.parquet")
    code, out, _ = replay({}, "--window", str(tmp_path / "other.parquet"))
    assert code == 2
    assert "no column could be compared; the schema changed: 'age' vanished" in " ".join(out.split())


KEPT = "deployment=iris/revision=1ac6bb2394"


@pytest.fixture
def kept(tmp_path):
    """Nine hours of requests as the runtime keeps them, of which the fourth and fifth are shifted."""
    folder = tmp_path / "store" / KEPT
    for number, shift in enumerate([0, 0, 0, 1, 1, 0, 0, 0, 0]):
        hour = BEGIN + timedelta(hours=number)
        path = folder / f"{hour:date=%Y-%m-%d}" / f"{hour:hour=%H}" / "a.parquet"
        path.parent.mkdir(parents=True)
        requests = [{"id": str(row), "time": hour + timedelta(seconds=7 * row)} for row in range(500)]
        rows = traffic(number + 100, 500, shift)
        pq.write_table(rows.append_column("request", pa.array(requests)), path)
    return f"file://{folder}"


def test_what_a_revision_kept_is_cut_by_time_and_judged(replay, kept):
    spec = {"sensitivity": "normal", "actions": ["Rollback"]}
    span = ["--since", "2026-10-01T10:30:00Z", "--until", "2026-10-02T03:00:00Z", "--every", "1h"]
    code, out, err = replay(spec, "--captured", kept, *span, "-o", "json")
    windows = json.loads(out)["windows"]
    assert (code, err) == (1, "")
    # Hours without rows are none.
    assert [one["window"][:13] for one in windows][:2] == ["2026-10-01 18", "2026-10-01 19"]
    assert [one["rows"] for one in windows] == [500] * 9
    assert [one["window"][11:13] for one in windows if one["begins"]] == ["21"]
    assert [one["window"][11:13] for one in windows if one["rollback"]] == ["21"]

    halves = ["--since", "2026-10-01", "--until", "2026-10-01T19:30:00+00:00", "--every", "30m"]
    code, out, _ = replay(spec, "--captured", kept, *halves, "-o", "json")
    assert [one["window"][11:16] for one in json.loads(out)["windows"]] == ["18:00", "18:30", "19:00"]
    assert sum(one["rows"] for one in json.loads(out)["windows"]) == 500 + 258
    assert code == 0


def test_a_damaged_hour_of_what_was_kept_is_told_and_the_others_are_judged(replay, kept, tmp_path):
    [path] = tmp_path.rglob("hour=20/a.parquet")
    path.write_bytes(b"PAR1")
    span = ["--since", "2026-10-01", "--until", "2026-10-01T23:00:00Z", "--every", "1h"]
    code, out, _ = replay({}, "--captured", kept, *span, "-o", "json")
    windows = json.loads(out)["windows"]
    assert code == 1
    assert [one["reason"] for one in windows] == [
        "NoDrift", "NoDrift", "WindowUnreadable", "DriftDetected", "DriftDetected",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "give --window or --captured"),
        (["--captured", "s3://b/k", "--every", "1h"], "it goes with --since WHEN and --every TIME"),
        (["--captured", "s3://b/k", "--since", "2026-10-01"], "it goes with --since WHEN and --every TIME"),
        (["--captured", "s3://b/k", "--since", "yesterday", "--every", "1h"], "'yesterday' is no time"),
        (["--captured", "s3://b/k", "--since", "2100-01-01", "--every", "1h"], "is not after --since"),
        (["--captured", "s3://b/k", "--since", "2026-01-01", "--every", "1s"], "at most 10000 windows"),
        (["--captured", "s3://b/k", "--since", "2000-01-01", "--every", "960h"], "up to 768h"),
        (
            ["--captured", "s3://b/k", "--since", "2026-10-01", "--every", "soon"],
            "'soon' is not a valid duration",
        ),
        (["--captured", "s3://b/k", "--rows", "5"], "is cut by --every alone"),
        (["--captured", "s3://b/k", "--window", "a.csv"], "is cut by --every alone"),
        (["--captured", "a/b", "--since", "2026-10-01", "--every", "24h"], "--captured 'a/b' is not allowed"),
        (["--window", "a.csv", "--since", "2026-10-01"], "only --captured has one"),
    ],
)
def test_a_wrong_use_of_what_was_kept_is_told(replay, arguments, said):
    code, out, err = replay({}, *arguments)
    assert (code, out) == (2, "")
    assert said in " ".join(err.replace("│", " ").split())
    assert "Traceback" not in err


def test_a_folder_without_dates_is_told(replay, kept):
    span = ["--since", "2026-10-01", "--until", "2026-10-03", "--every", "1h"]
    code, _, err = replay({}, "--captured", kept.removesuffix(KEPT), *span)
    assert code == 2
    assert "no request was kept from 2026-10-01T00:00:00Z to 2026-10-03T00:00:00Z" in " ".join(err.split())


@pytest.mark.parametrize(
    "spec",
    [
        {"window": None, "baseline": None},
        {"window": None, "baseline": {"profile": {}}},
        {"window": {"capture": {}}, "baseline": {"afterPromotion": "24h"}},
        {"retrain": {"image": "train:1", "output": "s3://models/iris"}},
    ],
    ids=["captured", "counted", "first hours", "trains"],
)
def test_whatever_a_monitor_watches_it_can_be_replayed(replay, tmp_path, spec):
    pq.write_table(hours([0, 3, 0]), tmp_path / "day.parquet")
    code, out, err = replay(spec, "--window", str(tmp_path / "day.parquet"), "--by", "time", "--every", "1h")
    assert (code, err) == (1, "")
    assert out.splitlines()[-1].startswith("1 alarm in 3 windows, after 2026-10-01 19:00:00")
