"""Rows that were kept twice are found, and no others."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from mooring_components.drift.duplicates import mark_repeated

ROW = st.tuples(
    st.sampled_from([0, 1, 1_772_366_400_000_000, 2**62]),
    st.sampled_from([0, 1, 4096]),
    st.sampled_from(["a", "b", None]),
)


@given(st.lists(ROW, max_size=40))
def test_the_first_of_each_stays(rows):
    times, numbers = (np.array([row[place] for row in rows], np.int64) for place in (0, 1))
    ids = pa.chunked_array(
        [pa.array([row[2] for row in rows[:7]], pa.string()), [row[2] for row in rows[7:]]], pa.string()
    )
    found = mark_repeated(times, numbers, lambda: ids)
    expected = [row in rows[:place] for place, row in enumerate(rows)]
    assert (found.tolist() if found is not None else [False] * len(rows)) == expected


def test_ids_are_not_read_where_no_two_rows_have_one_time():
    def ids():
        raise AssertionError("read")

    assert mark_repeated(np.arange(10), np.zeros(10, np.int64), ids) is None
