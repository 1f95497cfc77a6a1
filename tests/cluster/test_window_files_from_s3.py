"""Windows of many files come from a real S3 server: some files at a time, in their order, whatever one of them does."""

import threading
import time
from datetime import UTC, datetime, timedelta

import obstore
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mooring_artifacts.drift_question import Rows
from mooring_components.drift.captured import fetch_part
from mooring_components.drift.errors import EvaluationError
from mooring_components.drift.fetching import AT_ONCE, ask_at_once
from mooring_inference.capture.columns import TIME_TYPE

from tests.cluster.between import Between

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
FILES = 100
FOLDER = "kept/deployment=d/revision=r/date=2026-03-01/hour=12"


@pytest.fixture
def store(s3_store, monkeypatch):
    """The server with an hour's files, one row each, and what stands before it."""
    bucket = obstore.store.from_url(f"s3://{s3_store.bucket}/")
    kind = pa.struct([("id", pa.string()), ("row", pa.int32()), ("time", TIME_TYPE)])
    for number in range(FILES):
        request = pa.array([{"id": "a", "row": 0, "time": NOON + timedelta(seconds=number)}], kind)
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table({"request": request, "x": [float(number)]}), sink)
        obstore.put(bucket, f"{FOLDER}/{number:03}.parquet", sink.getvalue().to_pybytes())
    with Between(s3_store.environment["AWS_ENDPOINT"]) as between:
        monkeypatch.setenv("AWS_ENDPOINT", between.endpoint)
        yield between


def window():
    rows = Rows(uri="s3://mooring/kept/deployment=d/revision=r", since=NOON, until=NOON + timedelta(hours=1))
    return fetch_part(rows, "WindowUnreadable", "spec.window").open()


def test_files_come_some_at_a_time_and_their_rows_in_order(store):
    store.meddle = lambda path: time.sleep(0.02)
    assert window().column("x").to_pylist() == list(range(FILES))
    assert len(store.asked) == FILES
    assert 2 < store.most <= AT_ONCE


def test_a_slow_file_holds_up_those_that_wait_for_it_and_changes_no_order(store):
    met = threading.Event()

    def meddle(path):
        if path.endswith("/000.parquet"):
            # It is answered when all others of the first ones are.
            assert met.wait(30)
        elif f"/{AT_ONCE - 1:03}.parquet" in path:
            met.set()

    store.meddle = meddle
    assert window().column("x").to_pylist() == list(range(FILES))


def test_a_store_that_fails_now_and_then_is_asked_again(store):
    failed = set()

    def meddle(path):
        if path.endswith("7.parquet") and path not in failed:
            failed.add(path)
            return 503
        return None

    store.meddle = meddle
    assert window().num_rows == FILES
    assert len(failed) == FILES // 10


@pytest.mark.parametrize("status", [403, 404])
def test_a_file_that_fails_is_named_and_no_more_are_asked_for(store, status):
    store.meddle = lambda path: status if path.endswith("/040.parquet") else None
    with pytest.raises(EvaluationError, match=r"'040\.parquet' cannot be read") as told:
        window()
    assert told.value.reason == "WindowUnreadable"
    assert len(store.asked) == 2 * AT_ONCE


def test_what_is_here_is_asked_for_one_by_one():
    threads = set()
    assert list(ask_at_once(range(5), lambda n: threads.add(threading.get_ident()) or n, local=True)) == list(
        range(5)
    )
    assert threads == {threading.get_ident()}
