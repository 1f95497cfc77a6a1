"""Condition DataFresh: whether rows come, and what to do where they do not."""

from dataclasses import replace
from datetime import timedelta

from tests.unit.operator.planning.drift.test_sources import BROKEN, KEPT, MINUTE, QUIET, Monitor

DOWN = ("False", "CollectorUnavailable", "revision rev2: Deployment x-collect has no pod: see its events")
STARTS = ("Unknown", "CaptureUnconfirmed", "revision rev2: the collector starts")


def fresh(monitor):
    found = [one for one in monitor.status.conditions if one.type == "DataFresh"]
    return (found[0].status, found[0].reason) if found else None


def say(monitor, capturing):
    kept = replace(monitor.target.kept, capturing=capturing)
    monitor.target = replace(monitor.target, kept=kept)


def test_rows_come():
    monitor = Monitor()
    monitor.look()
    assert fresh(monitor) == ("Unknown", "AwaitingWindow")
    monitor.pass_time(timedelta(minutes=15))
    assert fresh(monitor) == ("True", "RequestsKept")
    assert "DataFresh" not in monitor.told


def test_a_collector_that_does_not_run_is_said_at_once_and_told_once():
    monitor = Monitor().pass_time(timedelta(minutes=15))
    say(monitor, DOWN)
    monitor.pass_time(3 * MINUTE)
    assert fresh(monitor) == DOWN[:2]
    [condition] = [one for one in monitor.status.conditions if one.type == "DataFresh"]
    assert condition.message == DOWN[2]
    monitor.pass_time(timedelta(minutes=30), QUIET)
    assert fresh(monitor) == DOWN[:2]
    assert monitor.told.count("CollectorUnavailable") == 1
    [condition] = [one for one in monitor.status.conditions if one.type == "DataFresh"]
    assert monitor.now - condition.last_transition_time > timedelta(minutes=30)
    say(monitor, ("True", "RequestsKept", "kept"))
    monitor.pass_time(timedelta(minutes=15))
    assert fresh(monitor) == ("True", "RequestsKept")


def test_a_collector_that_starts_is_waited_for_until_its_rows_come():
    monitor = Monitor(kept=replace(KEPT, capturing=STARTS))
    monitor.look()
    assert fresh(monitor) == STARTS[:2]
    monitor.pass_time(timedelta(minutes=15))
    assert fresh(monitor) == ("True", "RequestsKept")


def test_a_window_without_rows_is_not_fresh_and_one_that_is_damaged_neither():
    for result, reason in ((QUIET, "InsufficientData"), (BROKEN, "WindowUnreadable")):
        monitor = Monitor().pass_time(timedelta(minutes=15), result)
        assert fresh(monitor) == ("False", reason)
        assert monitor.told.count(reason) == 1


def test_an_empty_window_of_a_server_that_may_keep_nothing_says_so():
    """With routers KServe and Knative nobody knows which server runs."""
    monitor = Monitor(kept=replace(KEPT, capturing=STARTS)).pass_time(timedelta(minutes=15), QUIET)
    [condition] = [one for one in monitor.status.conditions if one.type == "DataFresh"]
    assert (condition.status, condition.reason) == ("False", "InsufficientData")
    assert condition.message == f"{QUIET.message}; {STARTS[2]}"


def test_another_revision_has_to_show_rows_of_its_own():
    monitor = Monitor().pass_time(timedelta(minutes=15))
    monitor.promote("rev3")
    monitor.look()
    assert fresh(monitor) == ("Unknown", "AwaitingWindow")


def test_nothing_is_said_of_files_that_the_spec_names():
    monitor = Monitor(window={"uri": "s3://b/window"}).pass_time(timedelta(minutes=15))
    assert fresh(monitor) is None
    monitor = Monitor().pass_time(timedelta(minutes=15))
    monitor.spec = Monitor(window={"uri": "s3://b/window"}).spec
    monitor.pass_time(timedelta(minutes=15))
    assert fresh(monitor) is None
