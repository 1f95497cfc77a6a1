"""Schedules: the rule of the CRD and the operator's model agree, and the first range that goes backwards is named."""

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mooring_operator.api import schedules
from mooring_operator.api.types import Schedule
from mooring_operator.cli.validation.rules import broken_rules
from pydantic import TypeAdapter, ValidationError

MODEL = TypeAdapter(Schedule)
SCHEMA = MODEL.json_schema()

fields = st.text("0123456789*?/,-", min_size=1, max_size=6) | st.sampled_from(
    ["*", "*/5", "1-5", "5-1", "MON-fri", "FRI-1", "jan-DEC/2", "DEC-JAN", "0", "07-08", "1,3-2"]
)


def readable(text):
    try:
        MODEL.validate_python(text)
    except ValidationError:
        return False
    return True


@given(st.lists(fields, min_size=4, max_size=6).map(" ".join) | st.text("@every 1hms.0", max_size=12))
@example("* * * JAN-1 SAT-6")
@example("* * * 2-JAN *")
@example("@daily")
@settings(max_examples=300, deadline=None)
def test_the_rule_and_the_model_agree(text):
    told = list(broken_rules(text, SCHEMA)) == []
    # No rule of a schema counts through steps: the operator says so of the resource.
    assert readable(text) == (told and not (told and schedules.never_comes(text)))


@pytest.mark.parametrize(
    ("schedule", "found"),
    [
        ("0 5-1 * * *", "5-1"),
        ("0 1-5,9-8/2 * * *", "9-8"),
        ("0 3 * dec-JAN *", "dec-JAN"),
        ("0 3 * * FRI-1", "FRI-1"),
        ("0 3 1-31 JAN-12 SUN-6", None),
        ("0 3 * * 5-FRI", None),
        ("@hourly", None),
    ],
)
def test_the_first_range_backwards(schedule, found):
    assert schedules.backward_range(schedule) == found


@pytest.mark.parametrize(
    ("schedule", "never"),
    [
        ("0 0 31 9-11/2 *", True),
        ("0 0 31 */2 *", False),
        ("0 0 31 2-6/2 ?", True),
        ("0 0 31 4/2,9 *", False),
        ("0 0 31 4/5 *", True),
        ("0 0 30/1 2/12 *", True),
        ("0 0 28/2 FEB *", False),
        ("0 0 29/2 FEB *", False),
        ("0 0 30,31 feb-FEB/3 *", True),
        ("0 0 31 9-11/2 MON", False),
        ("0 0 31 9-11/2 *,MON", False),
        ("0 0 31 9-11 *", False),
        ("*/15 * * * *", False),
        ("@monthly", False),
    ],
)
def test_a_date_that_no_year_has_by_steps(schedule, never):
    assert readable(schedule) is not never


def test_the_model_says_which_range_and_what_is_allowed():
    with pytest.raises(
        ValidationError, match=r"the range 5-1 is not upwards; must be a schedule: write minute"
    ):
        MODEL.validate_python("0 5-1 * * *")


@pytest.mark.parametrize(
    "text", ["0" * 100_000, "0-" * 50_000, "*," * 50_000, " " * 100_000, "@every " + "1" * 100_000]
)
def test_a_long_text_is_judged_at_once(text):
    started = time.process_time()
    assert not readable(text)
    assert time.process_time() - started < 1
