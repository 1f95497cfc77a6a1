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
    assert readable(text) == (list(broken_rules(text, SCHEMA)) == [])


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
