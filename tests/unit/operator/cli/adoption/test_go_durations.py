"""Durations as Go writes them."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_operator.api.types import parse_duration
from mooring_operator.cli.adoption.durations import duration_text, seconds_of


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *(
            ("1m", 60),
            ("1h30m", 5400),
            ("1.5h", 5400),
            (".5s", 1),
            ("500ms", 1),
            ("1m0.1s", 61),
            ("90", 90),
            (90, 90),
        ),
        *(("0.1h", 360), ("1h1h", 7200), ("100us", 1), ("0s", 0), ("99999999h", 99_999 * 3600)),
    ],
)
def test_what_go_takes(text, seconds):
    assert seconds_of(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text", ["", "soon", "-1s", "1d", "1h 2m", "h", "1e3s", "\u0663s", None, True, 1.5, []]
)
def test_what_go_refuses(text):
    assert seconds_of(text) is None


@given(st.timedeltas(timedelta(), timedelta(days=99_999)))
def test_what_is_written_is_a_duration_of_a_spec(duration):
    assert parse_duration(duration_text(duration))
