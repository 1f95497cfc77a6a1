"""Both distributions are drawn whatever the column holds, and within the picture."""

import numpy as np
import pyarrow as pa
import pytest
from mooring_artifacts.window_states import count, prepare
from mooring_components.drift.pictures import HEIGHT, WIDTH, draw, draw_counted

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
    fits(draw(before, now, "number"))
    if name != "nothing now":
        fits(counted(*NUMBERS[name]))


def counted(before, now):
    profile = prepare({"x": before})
    return draw_counted(profile.features[0], count(profile, {"x": now}).features[0].rows)


def fits(picture):
    assert sum(bar.before for bar in picture.bars) > 0
    assert sum(bar.now for bar in picture.bars) > 0 or all(bar.now == 0 for bar in picture.bars)
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


def test_categories_of_a_dictionary_are_counted_without_being_written_out():
    long = pa.array(["x" * 1_000_000, "y"])
    side = pa.chunked_array([pa.DictionaryArray.from_arrays(pa.array([0, 1] * 500), long)] * 2)
    pool = pa.default_memory_pool()
    # One that counts from here on: others of this process may have taken more before.
    counted = pa.proxy_memory_pool(pool)
    pa.set_memory_pool(counted)
    try:
        picture = draw(side, side, "category")
    finally:
        pa.set_memory_pool(pool)
    assert [round(bar.before) for bar in picture.bars] == [HEIGHT, HEIGHT]
    # Written out they are a gigabyte.
    assert 0 < counted.max_memory() < 100_000_000


def test_what_was_counted_is_drawn_as_its_rows_are():
    rng = np.random.default_rng(3)
    before, now = rng.normal(size=50_000), rng.normal(0.5, size=20_000)
    picture = counted(before, now)
    low, high = (float(text) for _, text, _ in picture.labels)
    assert low == pytest.approx(np.quantile(before, 0.005), abs=0.1)
    assert high == pytest.approx(np.quantile(now, 0.995), abs=0.4)
    ends = np.linspace(low, high, len(picture.bars) + 1)[1:-1]
    for side, rows in (("before", before), ("now", now)):
        drawn = np.cumsum([getattr(bar, side) for bar in picture.bars])
        exact = np.searchsorted(np.sort(rows), ends) / len(rows)
        assert np.abs(drawn[:-1] / drawn[-1] - exact).max() < 0.01


def test_categories_that_training_did_not_have_are_one_bar():
    profile = prepare({"x": np.array(["a", "b"] * 50, dtype=object)})
    rows = count(profile, {"x": np.array(["a"] * 10 + ["new", "newer"] * 20, dtype=object)}).features[0].rows
    picture = draw_counted(profile.features[0], rows)
    assert [text for _, text, _ in picture.labels] == ["not in t…", "a", "b"]
    assert picture.bars[0].title == "not in the baseline: 0.0% before, 80.0% now"
    assert draw_counted(profile.features[0], np.zeros(4, np.int64)) is None
