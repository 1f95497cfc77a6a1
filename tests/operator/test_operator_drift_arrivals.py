"""Rows of what is kept that come late, twice, or with a wrong time: each window is evaluated once, and none is lost."""

import shutil
from datetime import timedelta

import pyarrow.parquet as pq
import pytest
from mooring_artifacts.captured_files import mark_rewritten
from mooring_artifacts.window_states import count, prepare
from mooring_artifacts.window_states.files import minute_name, profile_name

from tests.operator.real_drift import GRACE, ROWS, WINDOW, KeptRows, columns, stored, watching  # noqa: F401

pytestmark = pytest.mark.asyncio(loop_scope="module")


def windows(world):
    """Which windows were evaluated, in their order."""
    return [question["window"]["since"] for question in world.evaluations.made]


async def test_rows_that_come_within_the_grace_are_in_their_window(watching):  # noqa: F811
    kept = KeptRows(watching)
    since = kept.since
    kept.keep()
    watching.now = since + WINDOW + GRACE / 2
    await watching.check_drift()
    kept.keep(500, "late", written=watching.now)
    kept.since = since
    await kept.end()
    assert watching.drift["evaluation"]["windowRows"] == ROWS + 500
    assert kept.fresh == ("True", "RequestsKept")
    assert kept.arrivals["late"] == 0


async def test_rows_that_come_later_are_counted_and_said_and_in_no_window(watching):  # noqa: F811
    kept = KeptRows(watching)
    watching.evaluations.made.clear()
    first = kept.since
    kept.keep()
    await kept.end()
    kept.keep(300, "late", since=first, written=first + WINDOW + 2 * GRACE)
    kept.keep()
    await kept.end()
    assert (kept.arrivals["late"], kept.arrivals["cameLate"]) == (300, 300)
    assert watching.drift["evaluation"]["windowRows"] == ROWS
    assert kept.fresh == ("True", "RowsLate")
    assert (
        "300 rows came after their window was evaluated, and are in none (300 of this revision"
        in kept.message
    )
    assert "spec.window.capture.grace" in kept.message
    assert watching.events("traffic").count("RowsLate") == 1
    kept.keep(200, "later", since=first, written=kept.since + WINDOW)
    kept.keep()
    await kept.end()
    assert (kept.arrivals["late"], kept.arrivals["cameLate"]) == (500, 200)
    kept.keep()
    await kept.end()
    assert kept.arrivals["late"] == 500
    assert kept.fresh == ("True", "RequestsKept")
    made = windows(watching)
    assert len(made) == len(set(made)) == 4


async def test_rows_may_be_hours_late_and_those_beyond_a_day_are_looked_for_no_more(watching):  # noqa: F811
    kept = KeptRows(watching)
    first = kept.since
    kept.keep()
    await kept.end()
    for hours, rows in ((5, 50), (23, 70), (25, 110)):
        kept.keep(rows, f"{hours}", since=first - timedelta(hours=hours), written=kept.since + WINDOW)
    kept.keep()
    await kept.end()
    assert kept.arrivals["late"] == 50 + 70


async def test_what_erasure_writes_anew_is_not_late(watching):  # noqa: F811
    kept = KeptRows(watching)
    path = kept.keep()
    await kept.end()
    table = pq.ParquetFile(path).read()
    rewritten = table.replace_schema_metadata(mark_rewritten(table.schema.metadata))
    kept.put("a.parquet", stored(rewritten), kept.since - WINDOW, kept.since)
    kept.keep()
    await kept.end()
    assert kept.arrivals["late"] == 0


async def test_rows_that_were_kept_twice_count_once(watching):  # noqa: F811
    kept = KeptRows(watching)
    path = kept.keep()
    shutil.copy2(path, path.with_name("copy.parquet"))
    await kept.end()
    assert watching.drift["evaluation"]["windowRows"] == ROWS
    assert kept.arrivals["repeated"] == ROWS
    assert kept.fresh == ("True", "RowsRepeated")
    assert f"{ROWS} rows were kept twice, and count once" in kept.message


async def test_a_clock_that_is_ahead_is_said(watching):  # noqa: F811
    kept = KeptRows(watching)
    kept.keep(written=kept.since)
    await kept.end()
    assert kept.fresh == ("True", "ClockAhead")
    assert "rows have times up to 600 s after their files were written" in kept.message


async def test_a_clock_that_is_behind_makes_all_rows_late(watching):  # noqa: F811
    kept = KeptRows(watching)
    for _ in range(2):
        kept.keep(since=kept.since - timedelta(hours=1), written=kept.since + WINDOW)
        await kept.end()
    assert watching.drift["reason"] == "InsufficientData"
    assert kept.fresh == ("False", "InsufficientData")
    assert kept.arrivals["late"] == ROWS
    assert "clocks of servers are behind" in kept.message


async def test_a_damaged_file_is_tried_three_times_and_the_next_window_is_evaluated(watching):  # noqa: F811
    kept = KeptRows(watching)
    since = kept.since
    kept.put("a.parquet", stored(columns(), damage=True), since, since + WINDOW)
    await kept.end()
    for _ in range(2):
        assert kept.fresh == ("False", "WindowUnreadable")
        assert (watching.drift["phase"], watching.drift["reason"]) == ("Failed", "WindowUnreadable")
        watching.now += WINDOW
        await watching.check_drift()
    assert f"; the window until {since + WINDOW:%Y-%m-%dT%H:%M:%SZ} is left" in watching.drift["message"]
    shutil.rmtree(kept.folder)
    kept.keep()
    await watching.check_drift()
    assert watching.drift["reason"] == "NoDrift"
    assert kept.fresh == ("True", "RequestsKept")


async def test_rows_of_another_model_are_a_schema_change(watching):  # noqa: F811
    kept = KeptRows(watching)
    kept.keep(age=None, income=None, x=None, pixel=[0.0] * ROWS)
    await kept.end()
    assert (watching.drift["phase"], watching.drift["reason"]) == ("Watching", "SchemaChanged")
    assert "no column could be compared" in watching.drift["message"]


class CountedRows(KeptRows):
    """The same, of which the server keeps counts."""

    def __init__(self, world):
        super().__init__(world, baseline={"profile": {}})
        self.profile = prepare(columns(rows=20 * ROWS))
        self.folder.mkdir(parents=True)
        (self.folder / profile_name(self.profile.digest)).write_bytes(self.profile.content)

    def count(self, name="a", since=None, written=None, profile=None, change=lambda content: content):
        """Count rows of one minute."""
        since = self.since if since is None else since
        state = count(profile or self.profile, columns(7))
        content = change(bytearray(state.to_bytes()))
        path = self.folder / f"{since:date=%Y-%m-%d}" / f"{since:hour=%H}" / minute_name(since, name, 0)
        path.parent.mkdir(parents=True, exist_ok=True)
        self.put(path.name, content, since, written or since + WINDOW).rename(path)


def newer(content):
    """A state of a version that is not known."""
    content[8] = 9
    return content


async def test_counts_that_come_late_are_said(watching):  # noqa: F811
    kept = CountedRows(watching)
    first = kept.since
    kept.count()
    await kept.end()
    assert watching.drift["reason"] == "NoDrift"
    kept.count("late", since=first, written=kept.since + GRACE)
    kept.count()
    await kept.end()
    assert kept.arrivals["late"] == ROWS
    assert kept.fresh == ("True", "RowsLate")


@pytest.mark.parametrize(
    ("odd", "said"),
    [
        ({"change": newer}, "not a window state: it has version 9; 2 is known"),
        (
            {"change": lambda content: content[:-9]},
            "not a window state: its checksum is not that of its content",
        ),
        ({"name": "0", "change": lambda content: content[:30]}, "a window state of 30 bytes is cut off"),
        ({"profile": prepare({"pixel": columns()["x"]})}, "it is one of baseline profile"),
    ],
)
async def test_counts_that_are_none_are_said(watching, odd, said):  # noqa: F811
    kept = CountedRows(watching)
    kept.count()
    if "profile" in odd:
        state = count(odd["profile"], {"pixel": columns(7)["x"]})
        odd = {"change": lambda _: state.to_bytes()}
    kept.count(**{"name": "b", **odd})
    await kept.end()
    assert (watching.drift["phase"], watching.drift["reason"]) == ("Failed", "WindowUnreadable")
    assert said in watching.drift["message"]
