"""Disks that are full, stores that are away, clocks that jump, processes that are ended."""

from __future__ import annotations

import resource
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import obstore.store
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from mooring_inference.capture.buffer import CaptureBuffer, CaptureCounters
from mooring_inference.capture.recorder import Capture
from mooring_inference.capture.retention import TrustedClock, find_expired
from mooring_inference.capture.settings import CaptureSettingsError

from tests.unit.inference.capture.capture_records import (
    NOON,
    SECONDS,
    Clock,
    capturing,
    parts,
    record,
    rows,
    settings,
    signature,
    spec,
)
from tests.unit.object_store import object_store

ROOT = Path(__file__).parents[4]


# The buffer


@hypothesis_settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 60), st.integers(1, 9), st.booleans())))
def test_the_buffer_never_holds_more_than_it_may_and_counts_all_that_it_refuses(offers):
    counters = CaptureCounters()
    buffer = CaptureBuffer(counters, max_bytes=100, max_rows=20)
    accepted, refused = [], 0
    for number, (size, count, takes) in enumerate(offers):
        if buffer.offer(size, count, (None, size, count, number)):
            accepted.append(number)
        else:
            refused += count
        assert buffer.held_bytes <= 100
        assert buffer.held_rows <= 20
        if takes:
            for entry in buffer.take(1, 1):
                assert entry[3] == accepted.pop(0)
                buffer.release(entry[1], entry[2])
    left = buffer.take(10**9, 10**9)
    assert [entry[3] for entry in left] == accepted
    assert buffer.held_bytes == sum(entry[1] for entry in left)
    assert counters.dropped_total == counters.dropped["full"] == refused


def test_what_does_not_fit_is_dropped_by_reason():
    counters = CaptureCounters()
    buffer = CaptureBuffer(counters, max_bytes=100, max_rows=10)
    assert not buffer.offer(101, 1, (None, 101, 1, 0.0))
    assert buffer.offer(100, 1, (None, 100, 1, 0.0))
    assert not buffer.offer(1, 2, (None, 1, 2, 0.0))
    buffer.close()
    assert not buffer.offer(1, 3, (None, 1, 3, 0.0))
    assert {reason: n for reason, n in counters.dropped.items() if n} == {
        "too_large": 1,
        "full": 2,
        "closed": 3,
    }


def test_rows_of_many_threads_are_all_written_once(tmp_path):
    capture = capturing(tmp_path, flush_seconds="0.1")

    def work(thread):
        for number in range(400):
            record(capture, f"{thread}-{number}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert capture.close(SECONDS)
    assert sorted(row["request"]["id"] for row in rows(tmp_path)) == sorted(
        f"{t}-{n}" for t in range(8) for n in range(400)
    )
    assert capture.buffered() == (0, 0)
    record(capture, "late")
    assert {reason: n for reason, n in capture.counters.dropped.items() if n} == {"closed": 1}


def test_a_request_larger_than_the_buffer_is_dropped_as_too_large(tmp_path):
    sig = signature([spec("x", shape=(None, None))])
    capture = capturing(tmp_path, sig=sig, buffer_bytes=str(1 << 20))
    record(capture, "large", np.zeros((3, 1 << 20)), np.zeros((3, 1)), sig=sig)
    record(capture, "small", np.zeros((1, 3)), sig=sig)
    assert capture.close(SECONDS)
    assert [row["request"]["id"] for row in rows(tmp_path)] == ["small"]
    assert capture.counters.dropped["too_large"] == 3


def test_strings_count_by_their_length(tmp_path):
    sig = signature([spec("x", "BYTES", (None,))])
    capture = capturing(tmp_path, sig=sig, buffer_bytes=str(1 << 20))
    record(capture, "large", ["x" * (2 << 20)], sig=sig)
    assert capture.close(SECONDS)
    assert capture.counters.dropped["too_large"] == 1


# Disks


@contextmanager
def small_disk(path, size):
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a file system of few bytes can be mounted by root alone")
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=True)


def test_rows_that_a_full_disk_has_no_room_for_are_counted_and_capture_goes_on_when_there_is_room(tmp_path):
    monotonic = Clock(0.0)
    sig = signature([spec("x", shape=(None, 64))])
    noise = np.random.default_rng(0).normal(size=(20_000, 64))  # 5 MB, which do not compress
    with small_disk(tmp_path / "disk", "3m") as disk:
        capture = capturing(disk, sig=sig, monotonic=monotonic)
        (disk / "other").write_bytes(bytes(2 << 20))
        record(capture, "lost", noise, np.zeros((20_000, 1)), sig=sig)
        assert capture.flush(SECONDS)
        assert capture.counters.dropped == {**capture.counters.dropped, "disk": 20_000}
        assert not parts(disk)
        record(capture, "while it waits", noise[:3], np.zeros((3, 1)), sig=sig)
        assert capture.flush(SECONDS)
        assert capture.counters.dropped["disk"] == 20_003
        (disk / "other").unlink()
        monotonic.now += 60
        record(capture, "kept", noise[:5], np.zeros((5, 1)), sig=sig)
        assert capture.close(SECONDS)
        assert [row["request"]["id"] for row in rows(disk)] == ["kept"] * 5
    assert capture.counters.rows_total == 5
    assert capture.counters.pending_rows == 0


def test_files_that_may_not_grow_are_given_up(tmp_path):
    script = f"""
import numpy as np, resource
from tests.unit.inference.capture.capture_records import *
sig = signature([spec("x", shape=(None, 64))])
capture = capturing({str(tmp_path)!r}, sig=sig)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
record(capture, "lost", np.random.default_rng(0).normal(size=(5000, 64)), np.zeros((5000, 1)), sig=sig)
assert capture.flush(SECONDS)
record(capture, "kept", np.ones((5, 64)), np.zeros((5, 1)), sig=sig)
assert capture.close(SECONDS)
print(capture.counters.dropped["disk"], capture.counters.rows_total)
"""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["5000", "5"], done.stderr
    assert [row["request"]["id"] for row in rows(tmp_path)] == ["kept"] * 5
    assert not list((tmp_path / ".unfinished").iterdir())


def test_a_folder_that_cannot_be_written_for_a_while_costs_the_rows_of_that_time(tmp_path):
    monotonic = Clock(0.0)
    capture = capturing(tmp_path, monotonic=monotonic)
    record(capture, "before")
    assert capture.flush(SECONDS)
    shutil.rmtree(tmp_path / ".unfinished")
    (tmp_path / ".unfinished").write_text("in the way")
    record(capture, "lost")
    assert capture.flush(SECONDS)
    (tmp_path / ".unfinished").unlink()
    monotonic.now += 60
    record(capture, "after")
    assert capture.close(SECONDS)
    assert sorted(row["request"]["id"] for row in rows(tmp_path)) == ["after", "before"]
    assert capture.counters.dropped["disk"] == 1


def test_a_folder_that_cannot_be_made_is_an_error_at_start(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CaptureSettingsError, match=r"--capture_uri: .*file/x cannot be made"):
        capturing(tmp_path / "file" / "x")
    with pytest.raises(CaptureSettingsError, match=r"--capture_spool_dir: .*file/x cannot be written"):
        capturing("s3://b/c", spool_dir=str(tmp_path / "file" / "x"))


# Object stores


def test_files_reach_the_object_store_and_leave_the_spool(tmp_path, monkeypatch):
    with object_store(monkeypatch) as store:
        capture = capturing("s3://b/some/where", spool_dir=str(tmp_path), clock=Clock())
        record(capture)
        assert capture.close(SECONDS)
    (key,) = store.objects
    assert key.startswith("some/where/deployment=m/revision=v1/date=2026-11-24/hour=13/")
    (tmp_path / "found.parquet").write_bytes(store.objects[key])
    assert [row["request"]["id"] for row in rows(tmp_path)] == ["r1"]
    assert [path.name for path in tmp_path.iterdir()] == ["found.parquet"]
    assert (capture.counters.uploads_total, capture.counters.spooled_files) == (1, 0)


def test_files_wait_while_the_object_store_is_away(tmp_path, monkeypatch):
    with object_store(monkeypatch) as store:
        store.refuses = True
        capture = capturing("s3://b", spool_dir=str(tmp_path))
        record(capture, "a")
        assert capture.flush(SECONDS)
        record(capture, "b")
        assert capture.flush(SECONDS)
        store.wait_for(lambda: store.refused >= 2)
        assert capture.counters.spooled_files == 2
        assert not store.objects
        store.refuses = False
        store.wait_for(lambda: len(store.objects) == 2)
        assert capture.close(SECONDS)
    assert capture.counters.upload_errors_total >= 2
    assert capture.counters.dropped_total == 0
    assert not parts(tmp_path)


def test_a_full_spool_costs_rows_and_not_the_disk(tmp_path, monkeypatch):
    with object_store(monkeypatch) as store:
        store.refuses = True
        found = replace(settings("s3://b", spool_dir=str(tmp_path)), spool_bytes=1)
        capture = Capture(found, environ={})
        capture.register("m", "v1", signature())
        record(capture, "waits")
        assert capture.flush(SECONDS)
        record(capture, "lost", [[1, 2], [3, 4]], [[0], [0]])
        assert capture.flush(SECONDS)
        assert capture.counters.dropped["upload"] == 2
        assert len(parts(tmp_path)) == 1
        store.refuses = False
        store.wait_for(lambda: len(store.objects) == 1)
        assert capture.close(SECONDS)


def test_what_was_not_uploaded_by_the_deadline_is_uploaded_by_the_next_process(tmp_path, monkeypatch):
    with object_store(monkeypatch) as store:
        store.refuses = True
        first = capturing("s3://b", spool_dir=str(tmp_path))
        record(first)
        assert not first.close(1.0)
        assert len(parts(tmp_path)) == 1
        store.refuses = False
        second = capturing("s3://b", spool_dir=str(tmp_path))
        assert second.close(SECONDS)
        assert len(store.objects) == 1
    assert not parts(tmp_path)


def test_a_process_that_was_killed_leaves_its_complete_files_to_the_next(tmp_path, monkeypatch):
    with object_store(monkeypatch) as store:
        store.refuses = True
        with process("s3://b", tmp_path) as child:
            wait_for(child, "more")
            # The living one's are not taken away.
            other = capturing("s3://b", spool_dir=str(tmp_path))
            assert other.close(SECONDS)
            assert len([path for path in parts(tmp_path) if ".unfinished" not in path.parts]) == 1
            child.kill()
            child.wait(SECONDS)
        store.refuses = False
        assert capturing("s3://b", spool_dir=str(tmp_path)).close(SECONDS)
        (content,) = store.objects.values()
        assert list(tmp_path.iterdir()) == []
    (tmp_path / "found.parquet").write_bytes(content)
    assert pq.read_metadata(tmp_path / "found.parquet").num_rows == 100


# Processes


@contextmanager
def process(uri, spool):
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.unit.inference.capture.capture_process", str(uri), str(spool)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield child
    finally:
        child.kill()
        child.wait(SECONDS)
        child.stdout.close()


def wait_for(child, word):
    for line in child.stdout:
        if line.strip() == word:
            return
    pytest.fail(f"the process ended without {word}")


def visible(folder):
    return [path for path in parts(folder) if ".unfinished" not in path.parts]


def test_sigkill_loses_nothing_that_was_complete_and_leaves_no_broken_file(tmp_path):
    with process(tmp_path / "out", tmp_path / "spool") as child:
        wait_for(child, "more")
        child.kill()
        child.wait(SECONDS)
    counts = [pq.ParquetFile(path).read().num_rows for path in visible(tmp_path)]
    assert counts == [100]
    capture = capturing(tmp_path / "out")
    assert not list((tmp_path / "out" / ".unfinished").iterdir())
    assert capture.close(SECONDS)


def test_sigterm_loses_nothing_of_two_processes_that_share_a_folder(tmp_path):
    with process(tmp_path, tmp_path) as first, process(tmp_path, tmp_path) as second:
        for child in (first, second):
            wait_for(child, "more")
            child.send_signal(signal.SIGTERM)
        said = [child.communicate(timeout=SECONDS)[0].split() for child in (first, second)]
    assert [dropped for _, dropped in said] == ["0", "0"]
    assert len(rows(tmp_path)) == sum(int(count) for count, _ in said)
    assert {first.returncode, second.returncode} == {0}


def test_arrow_is_not_imported_by_those_who_do_not_capture():
    script = "import sys, mooring_inference.capture; print([m for m in sys.modules if m in ('pyarrow', 'obstore')])"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_capture_itself_does_not_import_pandas(tmp_path):
    script = f"""
import sys
from mooring_inference.capture import Capture, parse_capture
from tests.unit.inference.capture.capture_records import record, signature, SECONDS
assert "pandas" not in sys.modules
capture = Capture(parse_capture({{"capture_uri": {str(tmp_path)!r}, "capture_mask": "x[0]=bucket:1"}}))
capture.register("m", "v1", signature())
record(capture)
assert capture.labels.record("m", "r1", ["yes"])
assert capture.close(SECONDS)
assert capture.counters.files_total == 2
print("pandas" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False", done.stderr


# Clocks


def test_files_are_completed_in_time_whatever_the_wall_clock_does(tmp_path):
    clock, monotonic = Clock(), Clock(0.0)
    capture = capturing(tmp_path, clock=clock, monotonic=monotonic, flush_seconds="60")
    record(capture, "before")
    clock.now -= 10 * 365 * 86_400
    record(capture, "in 2016")
    wait_until(lambda: capture.counters.pending_rows == 2)
    assert not visible(tmp_path)
    monotonic.now += 61
    wait_until(lambda: capture.counters.files_total == 2)
    assert {path.parent.parent.name[:9] for path in visible(tmp_path)} == {"date=2016", "date=2026"}
    assert capture.close(SECONDS)


def wait_until(condition):
    waiting = threading.Event()
    for _ in range(int(SECONDS / 0.01)):
        if condition():
            return
        waiting.wait(0.01)
    pytest.fail("it did not happen in time")


def test_a_clock_that_jumps_is_not_believed_until_it_has_run_evenly_for_an_hour():
    wall, steady = Clock(NOON), Clock(100.0)
    clock = TrustedClock(wall, steady)

    def advance(seconds, jump=0.0):
        wall.now += seconds + jump
        steady.now += seconds
        return clock.now() is not None

    assert advance(600, jump=1)
    assert not advance(600, jump=86_400 * 365)
    assert not advance(600, jump=-86_400 * 365)
    assert not advance(3599)
    assert advance(600)


# Retention


def test_retention_deletes_files_of_hours_that_ended_too_long_ago_and_nothing_else(tmp_path):
    names = {
        "deployment=m/revision=a/date=2026-11-22/hour=23/1.parquet": True,
        "deployment=m/revision=b/date=2026-11-23/hour=12/2.parquet": True,
        "deployment=m/revision=b/date=2026-11-23/hour=13/3.parquet": False,
        "deployment=m/revision=b/date=2026-11-24/hour=13/4.parquet": False,
        "deployment=m/revision=b/date=2026-11-22/hour=1/notes.txt": False,
        "deployment=m/revision=b/date=never/hour=1/5.parquet": False,
        "deployment=other/revision=b/date=2026-11-22/hour=1/6.parquet": False,
        "labels/deployment=m/date=2026-11-20/hour=00/7.parquet": True,
        "mine.parquet": False,
    }
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    capture = capturing(tmp_path, clock=Clock(NOON), retention_hours="24")
    capture.labels.record("m", "r1", [1])
    # What its thread does every ten minutes.
    capture._target._retention.look()
    assert capture.close(SECONDS)
    assert {name: not (tmp_path / name).exists() for name in names} == names
    assert capture.counters.deleted_total == 3
    assert not (tmp_path / "deployment=m/revision=a").exists()


@given(st.lists(st.integers(0, 200), unique=True), st.integers(0, 220), st.integers(0, 59))
def test_an_hour_is_expired_exactly_when_its_end_is_past(hours, end, minutes):
    start = datetime(2026, 1, 30, tzinfo=UTC)
    store = obstore.store.MemoryStore()
    paths = {}
    for hour in hours:
        when = start + timedelta(hours=hour)
        paths[hour] = f"p/deployment=m/revision=v/date={when:%Y-%m-%d}/hour={when:%H}/f.parquet"
        obstore.put(store, paths[hour], b"")
    found = find_expired(store, "p/deployment=m", start + timedelta(hours=end, minutes=minutes))
    assert set(found) == {paths[hour] for hour in hours if hour + 1 <= end}
