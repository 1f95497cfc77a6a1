"""When windows end: at multiples of an interval, or by a schedule, as Kubernetes reads one."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mooring_operator.api import DriftMonitorSpec
from mooring_operator.api.schedules import in_numbers
from mooring_operator.planning.drift.pace import count_between, delay_of, first_from, pace_of, steps_back

from tests.unit.operator.planning.drift.test_sources import OWNER, Monitor, found

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)  # a Sunday
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)
MOMENTS = st.datetimes(datetime(2024, 1, 1), datetime(2032, 1, 1), timezones=st.just(UTC))
SCHEDULES = st.sampled_from(
    [
        "*/15 * * * *",
        "0 3 * * *",
        "30 2 * * MON-FRI",
        "0 0 1 * *",
        "7,37 8-18/2 * * *",
        "0 12 29 2 ?",
        "@weekly",
    ]
)


def spec(**fields):
    return DriftMonitorSpec.model_validate({"target": {"name": "digits"}, **fields})


def times(schedule, count, moment=NOON):
    found = []
    pace = pace_of(spec(schedule=schedule))
    for _ in range(count):
        moment = pace.after(moment)
        found.append(f"{moment:%a %m-%d %H:%M}")
    return found


@pytest.mark.parametrize(
    ("schedule", "follow"),
    [
        ("*/20 * * * *", ["Sun 03-01 12:20", "Sun 03-01 12:40", "Sun 03-01 13:00"]),
        ("0 3 * * *", ["Mon 03-02 03:00", "Tue 03-03 03:00", "Wed 03-04 03:00"]),
        ("@daily", ["Mon 03-02 00:00", "Tue 03-03 00:00", "Wed 03-04 00:00"]),
        ("0 6 * * fri,MON", ["Mon 03-02 06:00", "Fri 03-06 06:00", "Mon 03-09 06:00"]),
        # Kubernetes: either of them, where neither is a star ...
        ("0 0 10 * WED", ["Wed 03-04 00:00", "Tue 03-10 00:00", "Wed 03-11 00:00"]),
        ("0 0 5 * 0-6", ["Mon 03-02 00:00", "Tue 03-03 00:00", "Wed 03-04 00:00"]),
        # ... and both, where one is.
        ("0 0 */10 * WED", ["Wed 03-11 00:00", "Wed 04-01 00:00", "Wed 07-01 00:00"]),
        ("0 0 5 * ?", ["Thu 03-05 00:00", "Sun 04-05 00:00", "Tue 05-05 00:00"]),
        # A step goes on to the last weekday, and not around it.
        ("0 0 ? * 3/2", ["Wed 03-04 00:00", "Fri 03-06 00:00", "Wed 03-11 00:00"]),
        ("0 0 1-1/2 * ?", ["Wed 04-01 00:00", "Fri 05-01 00:00", "Mon 06-01 00:00"]),
    ],
)
def test_a_schedule_means_what_it_means_to_a_cron_job(schedule, follow):
    assert times(schedule, 3) == follow


def test_a_schedule_in_numbers_has_no_names():
    assert in_numbers("5 0 ? JAN,mar MON-WED") == f"5 0 */1,{','.join(map(str, range(1, 32)))} 1,3 1,2,3"


@settings(max_examples=200, deadline=None)
@given(SCHEDULES | st.just(None), MOMENTS)
def test_times_follow_each_other_in_both_directions(schedule, moment):
    pace = pace_of(spec(interval="7m") if schedule is None else spec(schedule=schedule))
    last, after = pace.last(moment), pace.after(moment)
    assert last <= moment < after
    assert pace.last(after) == after
    assert pace.after(last) == after
    assert pace.before(after) == last
    assert first_from(pace, last) == last
    assert first_from(pace, last + SECOND) == after
    assert steps_back(pace, after, 1) == last
    assert count_between(pace, last, after, 10) == 1


# --- what a schedule makes of a monitor ---------------------------------------------------------


def test_windows_end_by_the_schedule():
    monitor = Monitor(schedule="0 3 * * *", jitter="1s").pass_time(2 * DAY, step=timedelta(minutes=20))
    at_three = datetime(2026, 2, 28, 3, tzinfo=UTC)
    assert monitor.windows == [(at_three + day * DAY, at_three + (day + 1) * DAY) for day in range(3)]
    assert len(set(monitor.ids)) == 3


def test_the_last_hour_before_three_each_night():
    monitor = Monitor(schedule="0 3 * * *", window={"capture": {"length": "1h"}})
    monitor.look()
    assert monitor.windows == [(datetime(2026, 3, 1, 2, tzinfo=UTC), datetime(2026, 3, 1, 3, tzinfo=UTC))]


def test_files_are_read_by_the_schedule():
    monitor = Monitor(schedule="0 3 * * *", window={"uri": "s3://b/window"}, jitter="2m")
    monitor.pass_time(timedelta(minutes=2))
    delay = delay_of(monitor.spec, OWNER.uid)
    at = datetime(2026, 3, 2, 3, tzinfo=UTC) + delay
    assert monitor.status.next_evaluation == at
    ids = len(monitor.ids)
    monitor.pass_time(at - monitor.now, step=timedelta(minutes=30))
    assert len(monitor.ids) == ids
    monitor.now = at
    monitor.look()
    assert len(monitor.ids) == ids + 1


# --- not all at once ----------------------------------------------------------------------------


def test_monitors_begin_at_their_own_times_and_each_always_at_the_same():
    asked = spec(interval="10m")
    delays = [delay_of(asked, f"uid-{number}") for number in range(600)]
    assert min(delays) >= timedelta(0)
    assert max(delays) < timedelta(minutes=1)
    a_second = [sum(second <= one.total_seconds() < second + 1 for one in delays) for second in range(60)]
    assert max(a_second) < 30
    assert delays == [delay_of(asked, f"uid-{number}") for number in range(600)]


@pytest.mark.parametrize(
    ("fields", "most"),
    [({}, 6), ({"interval": "24h"}, 60), ({"schedule": "@daily"}, 60), ({"jitter": "1h"}, 3600)],
)
def test_how_much_later_an_evaluation_begins_has_an_end(fields, most):
    delays = [delay_of(spec(**fields), f"uid-{number}").total_seconds() for number in range(200)]
    assert most * 0.8 < max(delays) < most


def test_a_window_is_looked_at_after_the_monitors_own_delay():
    monitor = Monitor(jitter="5m")
    monitor.look()
    monitor.look(found())
    delay = delay_of(monitor.spec, OWNER.uid)
    monitor.look()
    assert monitor.status.next_evaluation == NOON + timedelta(minutes=2) + delay
