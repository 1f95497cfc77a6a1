"""Windows that overlap, and windows of a number of rows: each is evaluated once, whatever comes between."""

import itertools
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mooring_artifacts.drift_question import parse_question
from mooring_operator.api import DriftMonitorStatus
from mooring_operator.api.drift_arrivals import Arrivals
from mooring_operator.planning.drift.evaluations import NoFindings
from mooring_operator.planning.drift.sources import MOST_FAILURES
from mooring_operator.planning.drift.windows import MOST_BEHIND
from mooring_operator.planning.status import conditions
from mooring_operator.reconcile.drift_runs import ask

from tests.unit.operator.planning.drift.test_sources import BROKEN, KEPT, MINUTE, NOON, QUIET, Monitor, found

STEP = timedelta(minutes=10)
HOUR = timedelta(hours=1)
GATHERING = NoFindings("GatheringWindow", "the window has 300 of the 5000 rows", quiet=True)
EMPTY = NoFindings("WindowEmpty", "the window has none of the 5000 rows", quiet=True)
MOVES = st.lists(
    st.sampled_from(["look", "crash", "ends", "waits", "quiet", "edit", "breaks", "few", "few"]), max_size=60
)


def sliding(**fields):
    return Monitor(window={"capture": {"length": "1h"}}, **fields)


def by_rows(**fields):
    return Monitor(window={"capture": {"rows": 5000}}, **fields)


def play(monitor, moves, data):
    """Play what may happen; give the windows that were settled, in their order."""
    settled, failures = [], 0
    results = {"ends": found(), "quiet": QUIET, "breaks": BROKEN, "few": GATHERING}
    for move in moves:
        if move == "waits":
            monitor.now += timedelta(seconds=data.draw(st.integers(1, 900)))
        elif move == "edit":
            monitor.generation += 1
        elif move == "crash":
            monitor.status = DriftMonitorStatus.model_validate_json(monitor.status.model_dump_json())
        else:
            before, result = monitor.status.run, results.get(move)
            if result is GATHERING and (before is None or before.window.rows is None):
                result = None
            monitor.look(result)
            if before is None or result is None or before.generation != monitor.generation:
                continue
            failures = failures + 1 if result is BROKEN else 0
            if result is GATHERING or (result is BROKEN and failures < MOST_FAILURES):
                continue
            settled.append((before.window.since, before.window.until))
            failures = 0
    return settled


# --- windows that overlap -----------------------------------------------------------------------


def test_a_window_of_a_length_ends_with_each_stretch_of_the_interval():
    monitor = sliding().pass_time(timedelta(minutes=35))
    assert [f"{since:%H:%M}-{until:%H:%M}" for since, until in monitor.windows] == [
        "10:50-11:50",
        "11:00-12:00",
        "11:10-12:10",
        "11:20-12:20",
        "11:30-12:30",
    ]
    assert len(set(monitor.ids)) == 5
    assert monitor.status.captured_until == NOON + timedelta(minutes=30)


def test_a_window_of_a_length_is_of_the_time_that_a_revision_serves_throughout():
    monitor = sliding().pass_time(timedelta(minutes=15))
    monitor.promote("rev3")  # at 12:15
    monitor.windows.clear()
    monitor.pass_time(timedelta(minutes=90))
    assert monitor.starts == ["12:20", "12:30", "12:40"]
    assert monitor.windows[0][1] - monitor.windows[0][0] == HOUR


@settings(max_examples=100)
@given(MOVES, st.data())
def test_no_window_of_a_length_is_evaluated_twice_and_none_is_left_out(moves, data):
    settled = play(sliding(), [move for move in moves if move != "few"], data)
    assert all(until - since == HOUR for since, until in settled)
    assert all(later[1] - earlier[1] == STEP for earlier, later in itertools.pairwise(settled))


def test_rows_that_a_later_window_takes_in_are_not_late():
    monitor = sliding()
    monitor.pass_time(timedelta(minutes=2))
    last = Arrivals(revision="rev2", until=NOON - STEP, newest=5.0)
    monitor.now = NOON + timedelta(minutes=3)
    monitor.look()
    question = parse_question(ask(monitor.spec, monitor.status.run, last=last))
    # From 11:00 on they are in this window; before it, in none.
    assert question.last.until == NOON - HOUR


# --- windows of a number of rows ----------------------------------------------------------------


def test_a_window_goes_on_until_it_has_its_rows():
    monitor = by_rows()
    monitor.pass_time(timedelta(minutes=25), GATHERING)
    since = NOON - 2 * STEP
    assert monitor.windows == [
        (since, NOON - STEP),
        (since, NOON),
        (since, NOON + STEP),
        (since, NOON + 2 * STEP),
    ]
    assert (monitor.status.phase, monitor.status.reason) == ("Watching", "GatheringWindow")
    monitor.pass_time(timedelta(minutes=10))
    assert monitor.windows[-1] == (since, NOON + 3 * STEP)
    monitor.pass_time(timedelta(minutes=10), GATHERING)
    assert monitor.windows[-1] == (NOON + 3 * STEP, NOON + 4 * STEP)
    assert len(set(monitor.ids)) == len(monitor.ids)


def test_the_run_is_asked_whether_there_are_so_many_rows():
    monitor = by_rows()
    monitor.look()
    question = parse_question(ask(monitor.spec, monitor.status.run))
    assert (question.window.rows, question.min_rows) == (5000, 100)


@settings(max_examples=100)
@given(MOVES, st.data())
def test_every_row_is_in_one_window_of_a_number_of_rows(moves, data):
    settled = play(by_rows(), moves, data)
    assert all(since < until for since, until in settled)
    assert all(earlier[1] == later[0] for earlier, later in itertools.pairwise(settled))


def test_what_the_last_window_said_stays_said_while_the_next_one_gathers():
    monitor = by_rows().pass_time(timedelta(minutes=2), found(drifted=True))
    assert monitor.status.phase == "Drifted"
    monitor.told.clear()
    monitor.pass_time(timedelta(minutes=30), GATHERING)
    assert (monitor.status.phase, monitor.status.reason, monitor.told) == ("Drifted", "DriftDetected", [])
    assert monitor.status.gathering.message == GATHERING.message


@pytest.mark.parametrize(("result", "fresh"), [(GATHERING, "True"), (EMPTY, "False")])
def test_rows_come_while_a_window_gathers_them(result, fresh):
    monitor = by_rows().pass_time(timedelta(minutes=2), result)
    condition = conditions.find(monitor.status.conditions, "DataFresh")
    assert condition.status == fresh


def test_a_window_that_never_has_its_rows_ends_with_what_is_kept():
    kept = replace(KEPT, retention=timedelta(hours=2))
    monitor = by_rows(kept=kept)
    monitor.pass_time(timedelta(hours=3), GATHERING)
    asked = [until - since for since, until in monitor.windows]
    assert max(asked) == timedelta(hours=2)
    last = monitor.windows[asked.index(max(asked))]
    assert monitor.windows[asked.index(max(asked)) + 1][0] == last[1]


def test_after_a_long_pause_a_window_of_rows_begins_with_the_last_ones():
    monitor = by_rows().pass_time(timedelta(minutes=5), GATHERING)
    monitor.now += timedelta(days=7)
    before = len(monitor.windows)
    monitor.pass_time(2 * MINUTE, GATHERING)
    since, until = monitor.windows[before]
    assert until - since == STEP
    assert monitor.now - until <= (MOST_BEHIND + 1) * STEP
    assert monitor.told.count("WindowsSkipped") == 1
