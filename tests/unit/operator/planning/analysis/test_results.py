"""What a container writes about a revision: JSON, bounded, of which every number is a double."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_operator.planning.analysis.results import DEEPEST, LARGEST, Result, read_number, read_result

numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | st.text("abc; :{}[]", max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=3), inner, max_size=3),
    max_leaves=12,
)


@given(values)
def test_any_json_is_a_result_whose_numbers_are_doubles(value):
    text = json.dumps(value)
    found = read_result(text)
    if found.problem:
        assert sum(text.count(mark) for mark in "[{") > DEEPEST or len(text) > LARGEST
    else:
        assert found.value == value
        assert not _whole_numbers(found.value)


def _whole_numbers(value):
    if isinstance(value, dict | list):
        return any(map(_whole_numbers, value.values() if isinstance(value, dict) else value))
    return isinstance(value, int) and not isinstance(value, bool)


@given(st.text(max_size=60) | st.text('[]{}",:0123456789.eE-NaInfty', max_size=60))
def test_no_text_breaks_the_reader(text):
    found = read_result(text)
    assert isinstance(found.problem, str)
    json.dumps(found.value, allow_nan=False)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it has ended and wrote no result: write JSON to /dev/termination-log"),
        (" \n", "it has ended and wrote no result"),
        ("ok", "its result is no JSON"),
        ('{"a": 1', "its result is no JSON, or longer than 4096 bytes"),
        ('{"a": NaN}', "its result has NaN, which is no number to judge by"),
        ("-Infinity", "its result has -Infinity"),
        ("1e999", "its result has 1e999"),
        ("9" * 400, "its result has 99999999999999999999"),
        ("[" * 9 + "]" * 9, "its result has more than 8 brackets in one another"),
        ("[" * 4000, "its result has more than 8 brackets in one another"),
        ('"' + "ä" * 2048 + '"', "its result is larger than 4096 bytes"),
    ],
)
def test_what_is_none_says_what_to_write(text, said):
    found = read_result(text)
    assert found.problem.startswith(said)
    assert found.value is None


def test_a_number_of_a_program_of_ours():
    assert read_number('{"value": 3}') == Result(3.0)
    assert math.isclose(read_number('{"value": 0.25}').value, 0.25)
    for text in ('{"value": "3"}', '{"value": true}', "3", "[]", '{"values": 3}'):
        assert read_number(text).problem == "it gave no number"
