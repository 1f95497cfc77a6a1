"""Files of past traffic are cut into windows: no row is lost, none comes twice."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_components.drift.errors import EvaluationError
from mooring_components.drift.windows import cut_by_rows, cut_by_time

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECONDS = st.lists(st.integers(-(10**9), 4 * 10**9), min_size=1, max_size=40)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("windows")


def write(folder, **columns):
    pq.write_table(pa.table(columns), folder / "rows.parquet")
    return [folder / "rows.parquet"]


@given(count=st.integers(1, 50), size=st.integers(1, 60))
def test_rows_are_cut_in_their_order(folder, count, size):
    windows = list(cut_by_rows(write(folder, x=list(range(count))), size))
    parts = [window.table.column("x").to_pylist() for window in windows]
    assert [x for part in parts for x in part] == list(range(count))
    assert all(len(part) == size for part in parts[:-1])
    assert windows[-1].name.endswith(f" to {count}")


@given(seconds=SECONDS, every=st.integers(1, 10**6))
def test_each_row_is_in_the_window_of_its_time(folder, seconds, every):
    times = [EPOCH + timedelta(seconds=each) for each in seconds]
    files = write(folder, second=seconds, time=pa.array(times, pa.timestamp("us", "UTC")))
    windows = list(cut_by_time(files, "time", timedelta(seconds=every)))
    begins = [
        (datetime.strptime(w.name, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC) - EPOCH).total_seconds()
        for w in windows
    ]
    assert begins == sorted(set(begins))
    found = []
    for begin, window in zip(begins, windows, strict=True):
        assert window.table.schema.names == ["second"]
        inside = window.table.column("second").to_pylist()
        assert inside == sorted(inside)
        assert all(begin <= second < begin + every for second in inside)
        assert begin % every == 0
        found += inside
    assert found == sorted(seconds)


@pytest.mark.parametrize(
    "times",
    [
        pa.array(["2026-10-01T01:30:00Z", "2026-10-01T00:10:00Z", "2026-10-01T01:00:00Z"]),
        pa.array(["2026-10-01 01:30:00", "2026-10-01 00:10:00", "2026-10-01 01:00:00"]),
        pa.array([5_400, 600, 3_600], pa.timestamp("s")),
        pa.array(
            [5_400_000_000_001, 600_000_000_000, 3_600_000_000_000], pa.timestamp("ns", "Europe/Berlin")
        ),
        pa.DictionaryArray.from_arrays([1, 0, 1], ["2026-10-01T00:10:00Z", "2026-10-01T01:00:00Z"]),
    ],
)
def test_times_of_every_kind_are_read(folder, times):
    windows = list(cut_by_time(write(folder, x=[1, 2, 3], time=times), "time", timedelta(hours=1)))
    assert [sorted(w.table.column("x").to_pylist()) for w in windows] == [[2], [1, 3]]


@pytest.mark.parametrize(
    ("times", "said"),
    [
        (pa.array([1.5, 2.5]), "--by 'time': double tells no time"),
        (pa.array(["yesterday", "today"]), "--by 'time': string tells no time"),
        (pa.array([1, None], pa.timestamp("s")), "--by 'time': 1 of 2 rows have no time"),
        (pa.array([True, False]), "tells no time"),
        (pa.array([1_759_309_200, 1_759_312_800]), "--by 'time': int64 tells no time"),
        (pa.array([0, 10**18], pa.timestamp("us")), "a row has a time outside of the years 1 to 9999"),
    ],
)
def test_what_tells_no_time_is_said(folder, times, said):
    with pytest.raises(EvaluationError, match=said) as caught:
        list(cut_by_time(write(folder, x=[1, 2], time=times), "time", timedelta(hours=1)))
    assert caught.value.reason == "WindowUnreadable"


def test_files_whose_columns_do_not_fit_together_are_said(folder):
    pq.write_table(pa.table({"x": [1]}), folder / "a.parquet")
    pq.write_table(pa.table({"x": ["text"]}), folder / "b.parquet")
    with pytest.raises(EvaluationError, match="do not fit together"):
        list(cut_by_rows([folder / "a.parquet", folder / "b.parquet"], 10))


def test_equal_rows_have_one_digest(folder):
    first, second, third = cut_by_rows(write(folder, x=[1, 2, 1, 2, 1, 3]), 2)
    assert first.digest == second.digest != third.digest
