"""Paths of captured files: what is written is read back, and nothing else is taken for it."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_inference.capture import paths

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NAMES = st.text(min_size=1)
HOURS = st.integers(0, 70_000_000)
ROOT = Path(__file__).parents[4]


@given(NAMES, NAMES, HOURS)
def test_the_hour_that_is_written_is_read(deployment, revision, hour):
    archive = paths.archive_of_requests(deployment)
    for folder in (paths.folder_of_revision(archive, revision), paths.archive_of_labels(deployment)):
        path = paths.folder_of_hour(folder, hour)
        start = EPOCH + timedelta(hours=hour)
        assert paths.span_of(path) == paths.span_of(f"some/where/{path}/") == (start, True)
        date = path.rpartition("/")[0]
        assert paths.span_of(date) == (start.replace(hour=0), False)
        assert paths.span_of(folder) is None


@given(NAMES, NAMES, HOURS)
def test_names_stay_in_their_part_of_the_path(deployment, revision, hour):
    folder = paths.folder_of_revision(paths.archive_of_requests(deployment), revision)
    parts = PurePosixPath(paths.folder_of_hour(folder, hour)).parts
    assert [part.partition("=")[0] for part in parts] == ["deployment", "revision", "date", "hour"]
    assert all(part.isascii() and part.count("=") == 1 for part in parts)


@pytest.mark.parametrize(
    "folder",
    [
        "",
        "deployment=m",
        "date=never/hour=01",
        "date=2026-02-30",
        "date=2026-11-24/hour=24",
        "date=2026-11-24/hour=-1",
        "date=2026-11-24/hour=٣",
        "date=2026-11-24/hour=",
        "date=9999-12-31/hour=99",
        "hour=13",
        "date=2026-11-24/revision=b/hour=13",
    ],
)
def test_other_folders_are_of_no_time(folder):
    assert paths.span_of(folder) is None


def test_the_last_date_that_there_is_has_hours():
    assert paths.span_of("date=9999-12-31/hour=23") == (datetime(9999, 12, 31, 23, tzinfo=UTC), True)


def test_what_stands_above_a_capture_s_folder_says_nothing_about_it():
    above = "date=2020-01-01/hour=05"
    assert paths.span_of(f"{above}/deployment=m") is None
    assert paths.span_of(f"{above}/deployment=m/date=2026-11-24") == (
        datetime(2026, 11, 24, tzinfo=UTC),
        False,
    )


@given(st.datetimes(datetime(1000, 1, 1), timezones=st.just(UTC)), st.integers(1, 1 << 22), st.uuids())
def test_names_of_files_are_unique_and_sort_by_time(now, pid, unique):
    name = paths.file_name(now, pid, unique.hex)
    assert paths.is_complete(PurePosixPath("deployment=m/date=2026-11-24/hour=13", name))
    assert not paths.is_complete(PurePosixPath(paths.UNFINISHED, name))
    assert PurePosixPath(name).suffix == paths.SUFFIX
    assert name != paths.file_name(now, pid, uuid.uuid4().hex)
    assert name[:16] == now.strftime("%Y%m%dT%H%M%SZ")


def test_spools_are_found_by_their_name():
    assert PurePosixPath(paths.spool_name(uuid.uuid4().hex)).match(paths.SPOOLS)


def test_no_other_module_of_capture_writes_a_path_of_its_own():
    for path in (ROOT / "inference" / "mooring_inference" / "capture").glob("*.py"):
        if path.name != "paths.py":
            for written in ("deployment=", "revision=", "date=%", "hour=%", ".parquet", ".unfinished"):
                assert f'"{written}' not in path.read_text(), path.name
                assert f"'{written}" not in path.read_text(), path.name
