"""Both distributions are drawn whatever the column holds, and within the picture."""

import numpy as np
import pyarrow as pa
import pytest
from mooring_components.drift.pictures import HEIGHT, WIDTH, draw

RNG = np.random.default_rng(0)
NUMBERS = {
    "normal": (RNG.standard_normal(500), RNG.standard_normal(300) + 1),
    "the largest": (np.array([1e308, -1e308] * 50), np.array([1e308] * 50)),
    "the smallest": (np.array([5e-324, 0.0]), np.array([1e-320])),
    "constants": (np.ones(9), np.full(9, 2.0)),
    "one constant": (np.ones(9), np.ones(9)),
    "infinities": (np.array([np.inf, 1.0, 2.0]), np.array([-np.inf, 1.0])),
    "nothing now": (np.ones(9), np.full(9, np.nan)),
    "integers": (np.arange(9), np.arange(3)),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_are_bars_within_the_picture(name):
    before, now = (pa.chunked_array([side]) for side in NUMBERS[name])
    picture = draw(before, now, "number")
    assert sum(bar.before for bar in picture.bars) > 0
    for bar in picture.bars:
        assert 0 <= bar.left <= bar.left + bar.width <= WIDTH + 0.1
        assert 0 <= bar.before <= HEIGHT
        assert 0 <= bar.now <= HEIGHT


def test_the_largest_numbers_keep_their_places_and_labels():
    before, now = (pa.chunked_array([side]) for side in NUMBERS["the largest"])
    picture = draw(before, now, "number")
    assert [bar.before > 0 for bar in (picture.bars[0], picture.bars[-1])] == [True, True]
    assert [text for _, text, _ in picture.labels] == ["-1e+308", "1e+308"]


def test_nothing_is_no_picture():
    nothing = pa.chunked_array([np.full(3, np.nan)])
    assert draw(nothing, nothing, "number") is None
    assert (
        draw(pa.chunked_array([[None]], pa.string()), pa.chunked_array([[None]], pa.string()), "category")
        is None
    )


def test_the_most_frequent_categories_have_bars_and_the_others_one():
    before = pa.chunked_array([[f"c{place}" for place in range(30)] * 4 + ["often"] * 50])
    now = pa.chunked_array([["often"] * 5 + ["new"] * 20])
    picture = draw(before, now, "category")
    assert [text for _, text, _ in picture.labels][:2] == ["new", "often"]
    assert picture.bars[-1].title.startswith("24 others: ")
