"""What is kept is counted in the slots of the model's profile, a file a minute, and evaluations add the files up."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta
from functools import reduce
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st
from mooring_artifacts.window_states import count, merge, parse_profile, parse_state, prepare
from mooring_artifacts.window_states.files import (
    choose_states,
    hour_name,
    minute_name,
    profile_name,
    profile_of,
)
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
AGES = prepare({"age": np.arange(9, dtype=np.float32)})


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
    """The states of minutes in a folder, by their minute."""
    found = {}
    for path in sorted(folder.rglob("*.state")):
        if minute := re.match(r"\d{8}T(\d\d)(\d\d)Z", path.name):
            content = parse_state(path.read_bytes(), profile)
            found.setdefault(f"{minute[1]}:{minute[2]}", []).append(content)
    return found


def counts(state):
    return [feature.rows.tolist() for feature in state.features]


def test_each_minute_of_each_process_is_a_file_and_their_sum_is_the_whole(tmp_path):
    parts = [(minute, traffic(100 * replica + minute, 50)) for replica in (0, 1) for minute in range(58, 63)]
    kept(tmp_path, *parts[:5])
    kept(tmp_path, *parts[5:])
    found = states(tmp_path)
    assert list(found) == ["12:58", "12:59", "13:00", "13:01", "13:02"]
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
    stream = SimpleNamespace(folder=FOLDER, counter=StateCounter(AGES))
    for _ in range(3):
        files.add(stream, batch_at(NOON))
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
    path = left.root / FOLDER / "date=2026-03-01" / "hour=12" / minute_name(NOON, "1-a", 0)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"state")
    os.close(left._lock)
    after = Spool(tmp_path)
    after.adopt()
    assert [file.name for file in after.files()] == [path.name]


@pytest.mark.parametrize(
    "name",
    [
        "20260301T1200Z-1-a-0.parquet",
        "20260301T1260Z-1-a-0.state",
        "20260301T2400Z-1-a-0.state",
        "20260301T1200Z-1-a-b.state",
        "x-20260301T1200Z-a-0.state",
        ".state",
        "a/b.state",
    ],
)
def test_other_names_are_of_no_minute(name):
    assert choose_states([name], NOON - timedelta(days=400), NOON + timedelta(days=400)) == []


def batch_at(time):
    request = pa.StructArray.from_arrays([pa.array([time], TIME_TYPE)], ["time"])
    return pa.record_batch({"request": request, "age": pa.array([1.0], pa.float32())})


def test_the_sum_of_an_hour_is_a_file_and_what_comes_later_stands_beside_it(tmp_path):
    clock, stream = Clock(), SimpleNamespace(folder=FOLDER, counter=StateCounter(AGES))
    files = StateFiles(tmp_path, lambda path, size: None, clock)

    def counted(minute, rows=1):
        clock.now = NOON.timestamp() + 60 * minute
        for _ in range(rows):
            files.add(stream, batch_at(NOON + timedelta(minutes=minute)))
        clock.now += 60
        files.complete(all_of_them=False)

    counted(57, rows=3)
    counted(58)
    counted(59)  # and 13:00 begins
    [*minutes] = names(tmp_path)
    assert len(minutes) == 3
    counted(60)  # 13:01
    [whole] = set(names(tmp_path)) - {*minutes, *names(tmp_path, "hour=13")}
    assert whole.startswith("20260301T12Z-")
    assert read(tmp_path, whole).rows == 5
    # A row of 12:59 that the writer gets to see when the hour was added up.
    files.add(stream, batch_at(NOON + timedelta(minutes=59, seconds=59)))
    files.complete(all_of_them=False)
    [late] = set(names(tmp_path, "hour=12")) - {whole, *minutes}
    chosen = choose_states(names(tmp_path), NOON, NOON + timedelta(hours=1))
    assert sorted(chosen) == sorted([whole, late])
    # Less than the hour is read minute by minute.
    chosen = choose_states(names(tmp_path), NOON + timedelta(minutes=58), NOON + timedelta(hours=1))
    assert sum(read(tmp_path, name).rows for name in chosen) == 3


def names(folder, within=""):
    return [path.name for path in folder.rglob("*.state") if within in str(path)]


def read(folder, name):
    [path] = folder.rglob(name)
    return parse_state(path.read_bytes(), AGES)


def test_an_hour_of_one_minute_has_no_sum(tmp_path):
    kept(tmp_path, (0, traffic(1, 10)))
    assert len(names(tmp_path)) == 1


@settings_of_hypothesis(max_examples=100, deadline=None)
@given(st.data())
def test_every_minute_is_chosen_once_whatever_sums_there_are(data):
    """Of counters that end, and start anew, at any minute, whose sums are there or not."""
    named = {}
    for counter in range(data.draw(st.integers(1, 3))):
        minutes = data.draw(st.lists(st.integers(0, 179), max_size=12).map(sorted))
        for number, minute in enumerate(minutes):
            name = minute_name(NOON + timedelta(minutes=minute), f"{counter}-a", number)
            named[name] = {(counter, number, minute)}
        for hour in data.draw(st.sets(st.integers(0, 2))):
            upto = data.draw(st.integers(0, len(minutes)))
            summed = {
                (counter, number, minute)
                for number, minute in enumerate(minutes[:upto])
                if minute // 60 == hour
            }
            named[hour_name(NOON + timedelta(hours=hour), f"{counter}-a", upto)] = summed
    since = data.draw(st.integers(0, 179))
    until = data.draw(st.integers(since, 180))
    chosen = choose_states(named, *(NOON + timedelta(minutes=minute) for minute in (since, until)))
    found = [one for name in chosen for one in named[name]]
    assert len(found) == len(set(found))
    assert set(found) == {one for some in named.values() for one in some if since <= one[2] < until}


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


def test_an_hour_is_read_from_its_sums(tmp_path):
    for replica in (0, 1):
        kept(tmp_path, *((minute, traffic(70 * replica + minute, 10)) for minute in range(60)))
    whole = ask(tmp_path, 0, 60)
    assert whole.window_rows == 1200
    for path in tmp_path.rglob("*T12??Z*.state"):
        path.write_bytes(b"none of it")
    assert ask(tmp_path, 0, 60).features == whole.features
    for path in tmp_path.rglob("*T12Z*.state"):
        path.unlink()
    assert ask(tmp_path, 0, 60).error.reason == "WindowUnreadable"


def test_no_row_is_read(tmp_path):
    kept(tmp_path, (0, traffic(1, 200)))
    for path in tmp_path.rglob("*.parquet"):
        path.write_bytes(b"none of it")
    assert ask(tmp_path, 0, 1).window_rows == 200


def damage(path):
    path.write_bytes(path.read_bytes()[:-1] + b"x")


def of_version_9(path):
    content = bytearray(path.read_bytes())
    content[4:6] = (9).to_bytes(2, "little")
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("spoil", "reason", "says"),
    [
        (lambda folder: None, "InsufficientData", "nothing was counted from 2026-03-01T13:00:00Z to"),
        (lambda folder: damage(next(folder.rglob("*.state"))), "WindowUnreadable", ".state': not a window"),
        (
            lambda folder: of_version_9(next(folder.rglob("*.state"))),
            "WindowUnreadable",
            ".state': not a window",
        ),
        (
            lambda folder: next(folder.rglob("*.state")).write_bytes(b"MOOR"),
            "WindowUnreadable",
            ".state': a window",
        ),
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
