"""Categories are counted by what they are, whatever a file's dictionaries hold twice or not at all."""

from collections import Counter

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from mooring_components.drift.columns import category_codes

texts = st.none() | st.sampled_from(["", "a", "b", "é", "x" * 100])


@st.composite
def chunks(draw):
    """Text as it is, or a dictionary in which values come twice, or null, or unused."""
    values = draw(st.lists(texts, max_size=12))
    if draw(st.booleans()):
        return values, pa.array(values, draw(st.sampled_from([pa.string(), pa.large_string()])))
    dictionary = draw(st.permutations([*{*values}, *draw(st.lists(texts, max_size=3))]))
    codes = [None if value is None and draw(st.booleans()) else dictionary.index(value) for value in values]
    return values, pa.DictionaryArray.from_arrays(
        pa.array(codes, pa.int8()), pa.array(dictionary, pa.string())
    )


sides = st.lists(chunks(), min_size=1, max_size=4)


@given(sides, sides)
def test_counts_are_those_of_the_values(before, now):
    counted = [
        Counter(value for values, _ in side for value in values if value is not None)
        for side in (before, now)
    ]
    # One type in a column, as it is in a file.
    codes = category_codes(*(as_column(side) for side in (before, now)))
    for side, found in zip((before, now), codes, strict=True):
        assert [code < 0 for code in found] == [value is None for values, _ in side for value in values]
    size = max([0, *(code + 1 for found in codes for code in found)])
    found = [np.bincount(side[side >= 0], minlength=size) for side in codes]
    assert sum(counted[0].values()) == found[0].sum()
    assert sum(counted[1].values()) == found[1].sum()
    pairs = Counter((counted[0][value], counted[1][value]) for value in counted[0].keys() | counted[1].keys())
    assert Counter((int(a), int(b)) for a, b in zip(*found, strict=True) if a or b) == pairs


class Column:
    """Chunks of several types, of which a real column has one."""

    def __init__(self, chunks):
        self.chunks = chunks


def as_column(side):
    return Column([chunk for _, chunk in side])
