"""Window states add, subtract and travel, and nothing is lost on the way."""

import struct
import zlib

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from mooring_artifacts.errors import InputError
from mooring_artifacts.window_states import count, merge, parse_profile, parse_state, prepare, subtract
from mooring_artifacts.window_states.binary import LARGEST
from mooring_artifacts.window_states.cells import Cells, largest
from mooring_artifacts.window_states.dependence import LAGS
from mooring_artifacts.window_states.state import empty

NAMES = ["red", "green", "blue", "violet", "größer", "", None]


def columns(rng, rows):
    normal = rng.standard_normal(rows)
    gaps = np.where(rng.random(rows) < 0.1, np.nan, rng.lognormal(0, 2, rows))
    return {
        "normal": normal,
        "gaps": gaps.astype(np.float32),
        "few": rng.integers(0, 5, rows) * 1.0,
        "text": np.array([NAMES[place] for place in rng.integers(0, len(NAMES), rows)], object),
        "code": rng.integers(100, 120, rows),
    }


PROFILE = prepare(columns(np.random.default_rng(0), 5000))
LARGE = prepare({"x": np.random.default_rng(0).standard_normal(100_000)})


def state(seed, rows=300):
    return count(PROFILE, columns(np.random.default_rng(seed), rows))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 400)), min_size=1, max_size=5), st.randoms())
def test_states_merge_in_any_order_to_the_same_bytes(stretches, random):
    states = [state(seed, rows) for seed, rows in stretches]
    merged = empty(PROFILE)
    for each in states:
        merged = merge(merged, each)
    random.shuffle(states)
    other = states[0]
    for each in states[1:]:
        other = merge(other, each)
    assert merged.to_bytes() == other.to_bytes()
    assert merged.rows == sum(rows for _, rows in stretches)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1000), st.integers(0, 300))
def test_merged_rows_are_those_of_all_rows_counted_together(seed, cut):
    whole = columns(np.random.default_rng(seed), 300)
    parts = [
        {name: column[part] for name, column in whole.items()} for part in (slice(cut), slice(cut, None))
    ]
    merged, together = merge(*(count(PROFILE, part) for part in parts)), count(PROFILE, whole)
    for one, other in zip(merged.features, together.features, strict=True):
        np.testing.assert_array_equal(one.rows, other.rows)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1000), st.integers(1001, 2000), st.integers(0, 300))
def test_what_was_added_can_be_taken_away(seed, other, rows):
    first, second = state(seed, rows), state(other)
    assert subtract(merge(first, second), second).to_bytes() == first.to_bytes()
    with pytest.raises(InputError, match="taken away"):
        subtract(first, merge(first, second))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1000), st.integers(0, 300))
def test_states_and_profiles_come_back_as_they_were_written(seed, rows):
    written = state(seed, rows).to_bytes()
    assert parse_state(written, PROFILE).to_bytes() == written
    assert parse_profile(PROFILE.content).content == PROFILE.content


def test_rows_of_every_feature_add_up_to_those_of_the_window():
    for feature in state(1).features:
        assert feature.rows.sum() == 300


def _damaged(content, data):
    damaged = bytearray(content)
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=4)):
        damaged[place] ^= data.draw(st.integers(1, 255))
    damaged = damaged[: data.draw(st.integers(0, len(damaged)))] if data.draw(st.booleans()) else damaged
    if data.draw(st.booleans()) and len(damaged) > 4:
        # A checksum that fits: whoever can write a file can do that, too.
        damaged[-4:] = struct.pack("<I", zlib.crc32(damaged[:-4]))
    return bytes(damaged)


def _parsed(parse, *arguments):
    try:
        return parse(*arguments), ""
    except InputError as error:
        return None, str(error)


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_damaged_states_are_refused_or_add_up(data):
    content = _damaged(state(7).to_bytes(), data)
    found, refusal = _parsed(parse_state, content, PROFILE)
    if found is None:
        assert refusal.startswith("not a window state: ")
        assert len(refusal) < 400
    else:
        assert all(feature.rows.sum() == found.rows for feature in found.features)
        assert found.to_bytes() == content


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_damaged_profiles_are_refused_or_can_be_counted_in(data):
    content = _damaged(PROFILE.content, data)
    found, refusal = _parsed(parse_profile, content)
    if found is None:
        assert refusal.startswith("not a baseline profile: ")
        assert len(refusal) < 5000
    else:
        assert found.content == content
        if {feature.name for feature in found.features} == {feature.name for feature in PROFILE.features}:
            count(found, columns(np.random.default_rng(1), 50))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300), st.booleans())
def test_other_bytes_are_refused(content, as_state):
    with pytest.raises(InputError):
        parse_state(b"MOORSTAT" + content, PROFILE) if as_state else parse_profile(b"MOORPROF" + content)


def test_sizes_are_refused_before_anything_is_allocated():
    content = b"MOORPROF" + struct.pack("<HIQHsBI", 1, 1, 10, 1, b"x", 8, 4_000_000_000)
    with pytest.raises(InputError, match="4000000000 edges; 4000 are allowed"):
        parse_profile(content + struct.pack("<I", zlib.crc32(content)))
    with pytest.raises(InputError, match="bytes; 67108864 are allowed"):
        parse_profile(b"MOORPROF" + bytes(LARGEST))


def test_states_of_another_profile_are_refused_by_name():
    other = count(LARGE, {"x": np.zeros(5)})
    with pytest.raises(InputError, match="two profiles"):
        merge(other, state(1))
    with pytest.raises(InputError, match="baseline profile sha256"):
        parse_state(other.to_bytes(), PROFILE)


@settings(max_examples=200, deadline=None)
@given(
    arrays.arrays(np.float64, st.integers(1, 60), elements=st.floats(allow_nan=False), unique=True),
    arrays.arrays(np.float64, 100, elements=st.floats(allow_nan=False)),
    st.sampled_from([np.float32, np.float64]),
)
def test_slots_are_those_of_a_search_wherever_the_edges_lie(edges, values, kind):
    with np.errstate(over="ignore"):
        edges, values = np.unique(edges.astype(kind)), np.append(values.astype(kind), edges.astype(kind))
    assume(np.isfinite(edges).all())
    expected = np.searchsorted(edges, np.clip(values, -largest(kind), largest(kind)), "left")
    np.testing.assert_array_equal(Cells(edges).find(values), expected)


@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e300])
def test_slots_are_those_of_a_search_for_many_values(scale):
    rng = np.random.default_rng(3)
    for draw in (
        rng.standard_normal,
        rng.standard_cauchy,
        lambda n: rng.choice([-1e6, 1e6], n) + rng.random(n),
    ):
        baseline, values = draw(20_000) * scale, draw(50_000) * scale
        cells = prepare({"x": baseline}).features[0].cells
        np.testing.assert_array_equal(cells.find(values), np.searchsorted(cells.edges, values, "left"))


def test_a_value_that_fills_a_cell_has_it_alone():
    rng = np.random.default_rng(4)
    baseline = np.where(rng.random(50_000) < 0.3, 0.0, rng.lognormal(0, 3, 50_000))
    feature = prepare({"x": baseline}).features[0]
    zeros = feature.rows[np.searchsorted(feature.edges, 0.0)]
    assert zeros == np.count_nonzero(baseline == 0)
    assert np.delete(feature.rows, np.searchsorted(feature.edges, 0.0)).max() < 50_000 / 200


def test_a_state_takes_four_kilobytes_a_feature_at_most():
    rng = np.random.default_rng(5)
    names = [f"f{place:02}" for place in range(20)]
    profile = prepare({name: np.round(rng.standard_normal(20_000), 3) for name in names})
    window = count(profile, {name: rng.standard_normal(200_000) for name in names})
    assert len(window.to_bytes()) / len(names) < 4096
    assert len(count(profile, {name: rng.standard_normal(1000) for name in names}).to_bytes()) / 20 < 2048


def test_values_beyond_the_baseline_and_unseen_ones_are_told_apart():
    profile = prepare({"x": np.array([1.0, 2.0, 3.0]), "c": np.array(["a", "b", None], object)})
    found = count(
        profile,
        {
            "x": np.array([0.5, 1.0, 3.0, 3.5, np.inf, -np.inf, np.nan]),
            "c": np.array(["a", "b", "b", "c", "d", None, None], object),
        },
    )
    rows = found.features[0].rows
    assert (rows[0], rows[-2], rows[-1]) == (2, 2, 1)
    assert found.features[1].rows.tolist() == [1, 2, 2, 2]


def test_pairs_of_a_lag_are_counted():
    profile = prepare({"c": np.array(["a", "b"], object)})
    found = count(profile, {"c": np.array(["a", "b", "a", None, "a"], object)}).features[0]
    assert found.lags.pairs[:4].tolist() == [3, 2, 1, 0]
    assert found.lags.level[:4].tolist() == [1, 1, 1, 0]
    assert len(found.lags.gaps) == LAGS


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (np.zeros(3, np.float32), "coarser than its baseline profile's float64"),
        (np.array(["a"], object), "numbers are allowed"),
        (np.zeros((3, 1)), "one dimension"),
    ],
)
def test_columns_that_do_not_fit_are_named(column, message):
    with pytest.raises(InputError, match=f"'x'.*{message}"):
        count(LARGE, {"x": column})


def test_a_missing_column_is_named():
    with pytest.raises(InputError, match="column 'x' is missing"):
        count(LARGE, {"y": np.zeros(3)})


def test_baselines_without_values_are_refused():
    for column in (np.full(3, np.nan), np.array([None, None], object)):
        with pytest.raises(InputError, match="'x' has no value"):
            prepare({"x": column})
