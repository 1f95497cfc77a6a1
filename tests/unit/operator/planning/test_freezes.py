"""When windows hold: by what the clocks on the wall show, over zones, gaps and hours that come twice."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from mooring_operator.api.freezes import WEEKDAYS, Freeze
from mooring_operator.planning.freezes import (
    NoThaw,
    is_zone,
    next_start,
    problem_of,
    thaw_of,
)

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Santiago",  # changes at midnight
    "Africa/Cairo",  # likewise
    "Australia/Lord_Howe",  # half an hour
    "Asia/Kathmandu",
    "Pacific/Apia",  # has left out 2011-12-30
    "Pacific/Chatham",
    "Antarctica/Troll",  # two hours
)
MINUTE = timedelta(minutes=1)


def at(text: str, zone: str = "UTC", *, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC)


def thawed(now: datetime, *windows: Freeze) -> datetime | None:
    thaw = thaw_of(windows, now)
    return thaw.at if thaw is not None else None


clocks = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.sampled_from([0, 15, 30, 45]))
zones = st.sampled_from(ZONES)
daily = st.builds(
    lambda zone, start, end, days: {"timeZone": zone, "start": start, "end": end, **({"days": days} if days else {})},
    zones, clocks, clocks, st.lists(st.sampled_from(WEEKDAYS), max_size=6, unique=True),
)  # fmt: skip
weekly = st.builds(
    lambda zone, start, end, first, last: {
        "timeZone": zone, "start": f"{first} {start}", "end": f"{last} {end}"
    },
    zones, clocks, clocks, st.sampled_from(WEEKDAYS), st.sampled_from(WEEKDAYS),
)  # fmt: skip


def valid(window: dict) -> bool:
    return window["start"] != window["end"] or "days" in window


repeated = st.one_of(daily, weekly).filter(valid).map(Freeze.model_validate)
# Changes of clocks, and the days around them, come up far more often than others.
CHANGES = [
    at("2026-03-29T01:00"),
    at("2026-10-25T01:00"),
    at("2026-03-08T07:00"),
    at("2026-11-01T06:00"),
    at("2026-04-05T03:00"),
    at("2026-09-06T04:00"),
    at("2026-04-04T15:00"),
    at("2026-04-23T22:00"),
    at("2026-10-29T21:00"),
    at("2011-12-30T10:00"),
]
moments = st.one_of(
    st.builds(
        lambda change, minutes: change + minutes * MINUTE, st.sampled_from(CHANGES), st.integers(-4000, 4000)
    ),
    st.integers(0, 525_600).map(lambda minute: at("2026-01-01T00:00") + minute * MINUTE),
)


def minute_of_week(local: datetime) -> int:
    return local.weekday() * 1440 + local.hour * 60 + local.minute


def shows(window: Freeze, local: datetime) -> bool:
    """Whether clocks that show `local` show a time within the window: said once more, and otherwise."""

    def minutes(text: str) -> int:
        return int(text[-5:-3]) * 60 + int(text[-2:])

    start, end = minutes(window.start), minutes(window.end)
    if window.is_weekly:
        first, last = (WEEKDAYS.index(text[:3]) * 1440 for text in (window.start, window.end))
        spans = [(first + start, (last + end - first - start) % 10080)]
    else:
        length = (end - start) % 1440 or 1440
        spans = [(WEEKDAYS.index(day) * 1440 + start, length) for day in window.days or WEEKDAYS]
    return any((minute_of_week(local) - begin) % 10080 < length for begin, length in spans)


@settings(max_examples=400, deadline=None)
@given(window=repeated, now=moments)
def test_what_the_clocks_show_decides(window, now):
    """Frozen where they show a time of the window; else only within an hour that they show twice."""
    zone = ZoneInfo(window.time_zone)
    held = thawed(now, window) is not None
    if shows(window, now.astimezone(zone).replace(tzinfo=None)):
        # An hour that is left out is in no window, nor is the rest of one whose start and end lie in it.
        jumped = any(
            (now - back * 5 * MINUTE).astimezone(zone).utcoffset() != now.astimezone(zone).utcoffset()
            for back in range(300)
        )
        assert held or jumped
    elif held:
        near = [
            (now + hours * timedelta(minutes=30)).astimezone(zone).utcoffset() for hours in range(-50, 51)
        ]
        assert len(set(near)) > 1


@settings(max_examples=250, deadline=None)
@given(windows=st.lists(repeated, min_size=1, max_size=4), now=moments)
def test_a_thaw_is_exact(windows, now):
    """Until then all is frozen, a second before too, and then nothing is."""
    try:
        thaw = thaw_of(windows, now)
    except NoThaw:
        assume(False)
    if thaw is None:
        return
    assert thaw.at > now
    assert thaw_of(windows, thaw.at) is None
    for share in (1, 2, 3):
        between = now + (thaw.at - now) * share / 4
        assert thawed(between, *windows) == thaw.at
    assert thawed(thaw.at - timedelta(seconds=1), *windows) == thaw.at


@settings(max_examples=250, deadline=None)
@given(windows=st.lists(repeated, min_size=1, max_size=3), now=moments)
def test_the_next_start_is_the_first_moment_that_is_frozen(windows, now):
    assume(not problem_of(windows, now))
    assume(thaw_of(windows, now) is None)
    start = next_start(windows, now)
    if start is None:
        return
    assert thaw_of(windows, start.at) is not None
    for share in (1, 2, 3):
        assert thaw_of(windows, now + (start.at - now) * share / 4) is None
    assert thaw_of(windows, start.at - timedelta(seconds=1)) is None


@settings(max_examples=150, deadline=None)
@given(
    windows=st.lists(repeated, min_size=1, max_size=3),
    now=moments,
    later=st.integers(0, 60 * 24 * 20),
)
@example([Freeze(start="20:00", end="08:00"), Freeze(start="08:00", end="20:00")], CHANGES[0], 5)
@example(
    [Freeze(start="Mon 00:00", end="Thu 00:00"), Freeze(start="Thu 00:00", end="Mon 00:00")], CHANGES[0], 5
)
def test_what_leaves_no_time_is_known_at_any_time(windows, now, later):
    """So it is refused before a rollout waits for ever."""
    if problem_of(windows, now):
        assert problem_of(windows, now + later * MINUTE)
    else:
        thaw_of(windows, now + later * MINUTE)


BERLIN = "Europe/Berlin"


@pytest.mark.parametrize(
    ("window", "now", "thaw"),
    [
        # 02:00 to 03:00 is left out on 29 March.
        (("02:30", "03:30"), at("2026-03-29T00:59"), None),
        (("02:30", "03:30"), at("2026-03-29T01:00"), at("2026-03-29T03:30", BERLIN)),
        (("02:15", "02:45"), at("2026-03-29T01:00"), None),
        (("01:30", "02:30"), at("2026-03-29T00:45"), at("2026-03-29T01:00")),
        # 02:00 to 03:00 comes twice on 25 October.
        (("02:15", "02:45"), at("2026-10-25T00:14"), None),
        (("02:15", "02:45"), at("2026-10-25T00:15"), at("2026-10-25T01:45")),
        (("02:15", "02:45"), at("2026-10-25T01:00"), at("2026-10-25T01:45")),
        (("01:00", "02:30"), at("2026-10-25T00:45"), at("2026-10-25T01:30")),
        # A weekend is an hour shorter, or longer, and ends at the time that it says.
        (("Fri 18:00", "Mon 08:00"), at("2026-03-28T12:00"), at("2026-03-30T08:00", BERLIN)),
        (("Fri 18:00", "Mon 08:00"), at("2026-10-24T12:00"), at("2026-10-26T08:00", BERLIN)),
        (("Mon 09:00", "Mon 08:00"), at("2026-03-30T08:30", BERLIN), None),
        (("Mon 09:00", "Mon 08:00"), at("2026-03-30T09:00", BERLIN), at("2026-04-06T08:00", BERLIN)),
        # Dates.
        (("2026-12-20", "2027-01-06"), at("2026-12-19T23:59", BERLIN), None),
        (("2026-12-20", "2027-01-06"), at("2026-12-20T00:00", BERLIN), at("2027-01-07T00:00", BERLIN)),
        (("2026-12-20T18:00", "2026-12-21T06:00"), at("2026-12-20T17:59", BERLIN), None),
        (("2026-12-20T18:00", "2026-12-21T06:00"), at("2026-12-21T06:00", BERLIN), None),
        (("2026-12-24", "2026-12-24"), at("2026-12-24T23:59", BERLIN), at("2026-12-25T00:00", BERLIN)),
    ],
)  # fmt: skip
def test_windows_go_by_the_clocks_of_their_zone(window, now, thaw):
    start, end = window
    assert thawed(now, Freeze(start=start, end=end, timeZone=BERLIN)) == thaw


def test_windows_that_follow_each_other_are_one():
    weekend = Freeze(start="Fri 18:00", end="Mon 08:00", timeZone=BERLIN)
    holidays = Freeze(start="2026-12-20", end="2027-01-02", timeZone=BERLIN)
    assert thawed(at("2026-12-18T20:00", BERLIN), weekend, holidays) == at("2027-01-04T08:00", BERLIN)
    assert thawed(at("2026-12-18T20:00", BERLIN), weekend) == at("2026-12-21T08:00", BERLIN)


def test_a_long_row_of_dates_has_an_end():
    row = [Freeze(start=f"20{27 + year}-01-01", end=f"20{27 + year}-12-31") for year in range(8)]
    assert thawed(at("2027-06-01T00:00"), *row) == at("2035-01-01T00:00")
    assert problem_of(row, at("2027-06-01T00:00")) == ""


def test_what_is_no_zone_is_never_looked_up():
    for name in (
        "../../etc/passwd",
        "/etc/passwd",
        "Europe",
        "tzdata.zi",
        "posixrules",
        "Mars/Base",
        "",
        "right/UTC",
    ):
        assert not is_zone(name), name
    window = Freeze(start="18:00", end="20:00", timeZone="Mars/Base")
    with pytest.raises(
        NoThaw, match=r"^\[0\]\.timeZone 'Mars/Base' is no time zone that is known here; write an IANA"
    ):
        thaw_of([window], CHANGES[0])
    assert next_start([window], CHANGES[0]) is None


def test_a_moment_is_written_by_the_clocks_of_its_window():
    weekend = Freeze(start="Fri 18:00", end="Mon 08:00", timeZone="Asia/Kathmandu")
    assert str(thaw_of([weekend], at("2026-11-28T12:00"))) == "Mon 2026-11-30 08:00 Asia/Kathmandu"
