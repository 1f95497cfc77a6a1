"""What is kept is counted in the slots of the model's profile, a file a minute, and evaluations add the files up."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from functools import reduce
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from mooring_artifacts.window_states import count, merge, parse_profile, parse_state, prepare
from mooring_artifacts.window_states.files import minute_of, profile_name, profile_of, state_name
from mooring_components.drift.report import make_report
from mooring_inference.capture.columns import TIME_TYPE
from mooring_inference.capture.recorder import Capture
from mooring_inference.capture.retention import find_expired
from mooring_inference.capture.spool import Spool
from mooring_inference.capture.states import StateCounter, StateFiles

from tests.unit.inference.capture.capture_records import SECONDS, Clock, record, settings, signature, spec

SIGNATURE = signature([spec("x", shape=(None, 3)), spec("colour", "BYTES", (None,))])
NAMES = {"x": ["age", "income", "hour"]}
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
FOLDER = "deployment=m/revision=v1"


def traffic(seed, rows, shift=0.0):
    random = np.random.default_rng(seed)
    x = random.normal([0, shift, 0], size=(rows, 3)).astype(np.float32)
    return {"x": x, "colour": random.choice(["red", "blue"], rows).astype(object)}


def columns_of(rows):
    return {**dict(zip(NAMES["x"], rows["x"].T, strict=True)), "colour": rows["colour"]}


PROFILE = prepare(columns_of(traffic(0, 5000)))


def kept(folder, *minutes, profile=PROFILE, **values):
    """A process that keeps requests: one for each pair of a minute after noon and its rows."""
    clock = Clock()
    capture = Capture(settings(folder, **values), environ={}, clock=clock)
    capture.register("m", "v1", SIGNATURE, NAMES, profile)
    for number, (minute, rows) in enumerate(minutes):
        clock.now = NOON.timestamp() + 60 * minute
        record(capture, f"{number}", rows, rows["x"][:, :1], sig=SIGNATURE)
    assert capture.close(SECONDS)
    return capture


def states(folder, profile=PROFILE):
    """The states in a folder, by their minute."""
    found = {}
    for path in sorted(folder.rglob("*.state")):
        found.setdefault(minute_of(path.name), []).append(parse_state(path.read_bytes(), profile))
    return found


def counts(state):
    return [feature.rows.tolist() for feature in state.features]


def test_each_minute_of_each_process_is_a_file_and_their_sum_is_the_whole(tmp_path):
    parts = [(minute, traffic(100 * replica + minute, 50)) for replica in (0, 1) for minute in range(58, 63)]
    kept(tmp_path, *parts[:5])
    kept(tmp_path, *parts[5:])
    found = states(tmp_path)
    assert [f"{minute:%H:%M}" for minute in found] == ["12:58", "12:59", "13:00", "13:01", "13:02"]
    assert [len(each) for each in found.values()] == [2] * 5
    whole = reduce(merge, [state for each in found.values() for state in each])
    together = {
        name: np.concatenate([columns_of(rows)[name] for _, rows in parts])
        for name in columns_of(parts[0][1])
    }
    assert (whole.rows, counts(whole)) == (500, counts(count(PROFILE, together)))
    hours = {path.parent.name for path in tmp_path.rglob("*.state")}
    assert hours == {"hour=12", "hour=13"}


def test_a_minute_is_written_once_it_is_over(tmp_path):
    """And not at each look of the writer, four times a second."""
    clock, taken = Clock(NOON.timestamp() + 30), []
    files = StateFiles(tmp_path, lambda path, size: taken.append(path.suffix), clock)
    stream = SimpleNamespace(
        folder=FOLDER, counter=StateCounter(prepare({"age": np.arange(9, dtype=np.float32)}))
    )
    request = pa.StructArray.from_arrays([pa.array([NOON], TIME_TYPE)], ["time"])
    batch = pa.record_batch({"request": request, "age": pa.array([1.0], pa.float32())})
    for _ in range(3):
        files.add(stream, batch)
        files.complete(all_of_them=False)
    assert taken == []
    clock.now += 30
    files.complete(all_of_them=False)
    files.complete(all_of_them=False)
    assert taken == [".profile", ".state"]
    [file] = tmp_path.rglob("*.state")
    assert parse_state(file.read_bytes(), stream.counter.profile).rows == 3


def test_states_add_up_in_whatever_order_to_the_last_bit(tmp_path):
    kept(tmp_path, *((minute, traffic(minute, 70)) for minute in range(6)))
    found = [state for each in states(tmp_path).values() for state in each]
    random = np.random.default_rng(3)
    sums = {reduce(merge, [found[i] for i in random.permutation(6)]).to_bytes() for _ in range(20)}
    assert len(sums) == 1


def test_the_profile_is_beside_the_states_under_its_digest(tmp_path):
    kept(tmp_path, (0, traffic(1, 10)))
    [file] = tmp_path.rglob("*.profile")
    [state] = tmp_path.rglob("*.state")
    assert file.relative_to(tmp_path).as_posix() == f"{FOLDER}/{profile_name(PROFILE.digest)}"
    assert parse_profile(file.read_bytes()).digest == PROFILE.digest == profile_of(state.read_bytes())


def test_masked_features_and_those_that_are_not_kept_are_not_counted(tmp_path):
    kept(
        tmp_path,
        (0, traffic(1, 10)),
        mask="income=bucket:0,1,colour=hmac,hour=drop",
        hmac_key_file=key(tmp_path),
    )
    [file] = tmp_path.rglob("*.profile")
    profile = parse_profile(file.read_bytes())
    assert [feature.name for feature in profile.features] == ["age"]
    [[state]] = states(tmp_path, profile).values()
    assert state.rows == 10


def key(folder):
    path = folder / "key"
    path.write_text("k" * 32)
    return str(path)


def test_without_a_profile_nothing_is_counted(tmp_path):
    kept(tmp_path, (0, traffic(1, 10)), profile=None)
    assert [path.suffix for path in tmp_path.rglob("*.*") if path.is_file()] == [".parquet"]


def test_rows_that_do_not_fit_the_profile_are_kept_and_not_counted(tmp_path, caplog):
    """Of doubles, where the model takes floats: slots could not be told."""
    finer = prepare({"age": np.random.default_rng(0).normal(size=100)})
    kept(tmp_path, (0, traffic(1, 10)), (1, traffic(2, 10)), profile=finer)
    assert len(list(tmp_path.rglob("*.parquet"))) == 1
    assert list(tmp_path.rglob("*.state")) == []
    assert [record.message for record in caplog.records].count(
        "capture: rows do not fit the model's profile and are not counted"
    ) == 1


def test_many_rows_are_counted_as_they_come(tmp_path):
    """And not held for a minute."""
    kept(tmp_path, *((0, traffic(seed, 4000)) for seed in range(12)))
    [[state]] = states(tmp_path).values()
    assert state.rows == 48_000


def test_states_are_deleted_with_the_rows_of_their_hour(tmp_path):
    import obstore

    kept(tmp_path, (0, traffic(1, 10)), (61, traffic(2, 10)))
    store = obstore.store.LocalStore(tmp_path)
    expired = list(find_expired(store, "deployment=m", NOON + timedelta(hours=1)))
    assert sorted(path.rpartition(".")[2] for path in expired) == ["parquet", "state"]
    assert all("hour=12" in path for path in expired)


def test_states_that_a_process_has_left_are_uploaded_by_the_next_one(tmp_path):
    left = Spool(tmp_path)
    path = left.root / FOLDER / "date=2026-03-01" / "hour=12" / state_name(NOON, "1-a")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"state")
    os.close(left._lock)
    after = Spool(tmp_path)
    after.adopt()
    assert [file.name for file in after.files()] == [path.name]


@pytest.mark.parametrize(
    "name",
    [
        "20260301T1200Z-1-a.parquet",
        "20260301T1260Z-1-a.state",
        "x-20260301T1200Z-a.state",
        ".state",
        "a/b.state",
    ],
)
def test_other_names_are_of_no_minute(name):
    assert minute_of(name) is None


# --- evaluations --------------------------------------------------------------------------------


def ask(folder, since, until, **fields):
    uri = f"file://{folder}/{FOLDER}"
    times = (NOON + timedelta(minutes=minute) for minute in (since, until))
    window = dict(zip(("since", "until"), (f"{time:%Y-%m-%dT%H:%M:%SZ}" for time in times), strict=True))
    question = {"baseline": {"uri": uri, "counted": True}, "window": {"uri": uri, **window}, "minRows": 100}
    return make_report({**question, "ks": {"alpha": 0.01}, **fields}, "run-1")


def test_counted_windows_are_compared_with_the_profile(tmp_path):
    for replica in (0, 1):
        quiet = [(minute, traffic(50 * replica + minute, 100)) for minute in range(50, 60)]
        moved = [(minute, traffic(50 * replica + minute, 100, shift=1.0)) for minute in range(60, 70)]
        kept(tmp_path, *quiet, *moved)
    before, after = ask(tmp_path, 50, 60), ask(tmp_path, 60, 70)
    assert (before.window_rows, before.baseline_rows, before.drifted_features) == (2000, 5000, [])
    assert after.drifted_features == ["income"]
    assert after.window_digest != before.window_digest
    assert [feature.name for feature in ask(tmp_path, 60, 70, features=["age"]).features] == ["age"]


def test_no_row_is_read(tmp_path):
    kept(tmp_path, (0, traffic(1, 200)))
    for path in tmp_path.rglob("*.parquet"):
        path.write_bytes(b"none of it")
    assert ask(tmp_path, 0, 1).window_rows == 200


def damage(path):
    path.write_bytes(path.read_bytes()[:-1] + b"x")


@pytest.mark.parametrize(
    ("spoil", "reason", "says"),
    [
        (lambda folder: None, "InsufficientData", "nothing was counted from 2026-03-01T13:00:00Z to"),
        (lambda folder: damage(next(folder.rglob("*.state"))), "WindowUnreadable", "window state"),
        (lambda folder: next(folder.rglob("*.state")).write_bytes(b"MOOR"), "WindowUnreadable", "cut off"),
        (lambda folder: damage(next(folder.rglob("*.profile"))), "WindowUnreadable", "baseline profile"),
        (lambda folder: next(folder.rglob("*.profile")).unlink(), "WindowUnreadable", "does not exist"),
        (
            lambda folder: next(folder.rglob("*.profile")).write_bytes(prepare({"a": np.ones(9)}).content),
            "WindowUnreadable",
            "another content than its name says",
        ),
    ],
)
def test_what_cannot_be_added_up_is_told(tmp_path, spoil, reason, says):
    kept(tmp_path, (0, traffic(1, 200)))
    spoil(tmp_path)
    since = 60 if reason == "InsufficientData" else 0
    error = ask(tmp_path, since, since + 1).error
    assert (error.reason, says in error.message) == (reason, True), error.message
