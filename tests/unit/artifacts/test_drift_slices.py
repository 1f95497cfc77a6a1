"""Slices of a monitor are written in one way, and have each a name of its own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_artifacts.drift_slices import LONGEST, MOST_SLICES, MOST_VALUES, parse_slices, title_of
from mooring_artifacts.errors import InputError

WORDS = st.text(st.characters(exclude_characters=",=", exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(WORDS, st.lists(WORDS, min_size=1, max_size=5))
def test_a_slice_is_a_column_and_its_values(column, values):
    text = f"{column}={','.join(values)}"
    [found] = parse_slices([text])
    assert (found.name, found.column, found.values) == (text, column, values)


def test_a_value_may_hold_what_parts_it_from_its_column():
    assert parse_slices(["a=b=c"])[0].values == ["b=c"]


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["country"], "'country' is not allowed: write COLUMN=VALUE"),
        (["=DE"], "'=DE' is not allowed"),
        (["country="], "'country=' is not allowed"),
        (["country=DE,"], "'country=DE,' is not allowed"),
        (["a=1", "b=1", "a=1"], r"slices\[2\].name: 'a=1' is the name of slices\[0\], too"),
        ([f"a={n}" for n in range(MOST_SLICES + 1)], "11 slices; 10 are allowed"),
        (["a=" + ",".join(map(str, range(MOST_VALUES + 1)))], "at most 20 values"),
        (["a=" + "x" * LONGEST], "and 253 characters in all"),
    ],
)
def test_what_is_no_slice_is_said(texts, said):
    with pytest.raises(InputError, match=said):
        parse_slices(texts)


def test_a_feature_of_all_rows_is_called_as_its_column():
    assert (title_of("age", ""), title_of("age", "dach")) == ("age", "age in slice dach")
