"""Condition BaselineValid: a small baseline, compared with again and again, is said."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.unit.operator.planning.drift.test_plan import NOW, NoFindings, evaluated, found, spec


def baseline(decision):
    known = [each for each in decision.status.conditions if each.type == "BaselineValid"]
    return (known[0].status, known[0].reason) if known else None


@pytest.mark.parametrize(
    ("rows", "sensitivity", "expected"),
    [
        (8000, None, ("True", "BaselineSufficient")),
        (7999, None, ("False", "BaselineSmall")),
        (400, None, ("False", "BaselineSmall")),
        # A margin is taken there: no wrong alarms come of it.
        (400, "normal", ("True", "BaselineSmall")),
    ],
)
def test_a_baseline_has_twenty_times_the_windows_rows_or_it_is_said(rows, sensitivity, expected):
    fields = {"sensitivity": sensitivity} if sensitivity else {}
    decision = evaluated(spec(**fields), None, replace(found(), baseline_rows=rows))
    assert baseline(decision) == expected
    [condition] = [each for each in decision.status.conditions if each.type == "BaselineValid"]
    assert ("take a baseline of 8000 rows" in condition.message) == (rows < 8000)


def test_a_baseline_that_cannot_be_read_is_not_valid_and_one_that_is_mended_is():
    broken = evaluated(spec(), None, NoFindings("BaselineUnreadable", "is gone"))
    assert baseline(broken) == ("False", "BaselineUnreadable")
    mended = evaluated(
        spec(), broken.status, replace(found(), baseline_rows=8000), now=NOW + timedelta(minutes=1)
    )
    assert baseline(mended) == ("True", "BaselineSufficient")


def test_nothing_is_said_before_anything_was_compared():
    assert baseline(evaluated(spec(), None, NoFindings("InsufficientData", "3 rows", quiet=True))) is None


def test_it_stays_said_since_when_while_windows_go_on():
    first = evaluated(spec(), None, found())
    later = evaluated(spec(), first.status, found(), now=NOW + timedelta(minutes=1))
    [one, other] = [
        next(each for each in decision.status.conditions if each.type == "BaselineValid")
        for decision in (first, later)
    ]
    assert one.last_transition_time == other.last_transition_time == NOW
