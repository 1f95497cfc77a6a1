"""The same values, stored in two types, never drift: both sides are rounded to what both types can hold."""

from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from itertools import combinations_with_replacement

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mooring_components.drift.comparison import Detectors
from mooring_components.drift.evaluation import evaluate
from mooring_components.drift.precision import common_precision, numbers
from mooring_components.drift.report import make_report
from sklearn.datasets import load_iris

FLOATS = [pa.float16(), pa.float32(), pa.float64()]
INTEGERS = [pa.int8(), pa.uint8(), pa.int16(), pa.int32(), pa.uint32(), pa.int64(), pa.uint64()]
DECIMALS = [pa.decimal128(9, 2), pa.decimal128(25, 4), pa.decimal256(50, 1), pa.decimal128(9, 0)]
TIMES = [pa.timestamp(unit, zone) for unit in ("ns", "us", "ms", "s") for zone in (None, "Asia/Tokyo")]
DAYS = [pa.date32(), pa.date64(), pa.timestamp("us"), pa.timestamp("s", "UTC")]

finite = st.floats(allow_nan=False, allow_infinity=False)
wide = st.one_of(finite, st.floats(allow_nan=False, width=32), st.integers(-(2**62), 2**62).map(float))
cents = st.integers(-(10**6), 10**6).map(lambda count: Decimal(count).scaleb(-2))
small = st.integers(0, 127)
instants = st.datetimes(datetime(1930, 1, 1), datetime(2200, 1, 1)).map(lambda at: at.replace(tzinfo=UTC))


def stored(values, kind):
    """Values as a program writes them that has them in this type."""
    if pa.types.is_floating(kind):
        with np.errstate(over="ignore"):
            return pa.array(np.array([float(v) for v in values]).astype(kind.to_pandas_dtype()))
    if pa.types.is_decimal(kind):
        step = Decimal(1).scaleb(-kind.scale)
        return pa.array([Decimal(v).quantize(step, ROUND_HALF_UP) for v in values], kind)
    return pa.array(values, kind)


def at_unit(instants, kind):
    """Instants as a program writes them that counts in this type's unit: downwards."""
    since = [(at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) for at in instants]
    if pa.types.is_date(kind):
        days = pa.array([one // 86_400_000_000 for one in since], pa.int32()).cast(pa.date32())
        return days.cast(kind)
    ticks = {"ns": lambda us: us * 1000, "us": lambda us: us, "ms": lambda us: us // 10**3}
    count = ticks.get(kind.unit, lambda us: us // 10**6)
    return pa.array([count(one) for one in since], pa.int64()).cast(kind)


def compared(first, second):
    precision = common_precision(first.type, second.type)
    return [numbers(pa.chunked_array([side]), precision) for side in (first, second)]


def assert_the_same(first, second):
    for sides in ((first, second), (second, first)):
        before, now = compared(*sides)
        np.testing.assert_array_equal(before, now)


@pytest.mark.parametrize("kinds", [*combinations_with_replacement(FLOATS, 2)], ids=str)
@given(values=st.lists(wide, min_size=1))
@settings(max_examples=30)
def test_floats_of_all_widths(kinds, values):
    assert_the_same(*(stored(values, kind) for kind in kinds))


@pytest.mark.parametrize("floats", FLOATS, ids=str)
@pytest.mark.parametrize("integers", [pa.bool_(), *INTEGERS], ids=str)
@given(values=st.lists(small, min_size=1))
@settings(max_examples=10)
def test_integers_beside_floats(floats, integers, values):
    values = [bool(v) for v in values] if pa.types.is_boolean(integers) else values
    assert_the_same(stored(values, floats), stored(values, integers))


@pytest.mark.parametrize("kind", FLOATS[1:], ids=str)
@given(values=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1))
def test_integers_that_a_float_cannot_hold(kind, values):
    assert_the_same(pa.array(np.array(values).astype(kind.to_pandas_dtype())), pa.array(values, pa.int64()))


@pytest.mark.parametrize("kinds", [*combinations_with_replacement(INTEGERS, 2)], ids=str)
@given(values=st.lists(small, min_size=1))
@settings(max_examples=5)
def test_integers_of_all_widths(kinds, values):
    assert_the_same(*(stored(values, kind) for kind in kinds))


@pytest.mark.parametrize("kinds", [*combinations_with_replacement(DECIMALS, 2)], ids=str)
@given(values=st.lists(cents, min_size=1))
@settings(max_examples=15)
def test_decimals_of_all_scales(kinds, values):
    coarse = min(kind.scale for kind in kinds)
    step = Decimal(1).scaleb(-max(coarse, 1))
    values = [value.quantize(step, ROUND_HALF_UP) for value in values]
    assert_the_same(*(stored(values, kind) for kind in kinds))


@pytest.mark.parametrize("floats", FLOATS[1:], ids=str)
@pytest.mark.parametrize("decimals", DECIMALS[:2], ids=str)
@given(values=st.lists(cents, min_size=1))
@settings(max_examples=20)
def test_decimals_beside_floats(floats, decimals, values):
    assert_the_same(stored(values, floats), stored(values, decimals))


@given(values=st.lists(st.integers(-(10**6), 10**6), min_size=1))
def test_decimals_beside_integers(values):
    assert_the_same(stored(values, pa.decimal128(25, 4)), stored(values, pa.int64()))


@pytest.mark.parametrize(
    "kinds", [*combinations_with_replacement(TIMES, 2), *combinations_with_replacement(DAYS, 2)], ids=str
)
@given(values=st.lists(instants, min_size=1))
@settings(max_examples=5)
def test_times_of_all_units_and_zones(kinds, values):
    assert_the_same(*(at_unit(values, kind) for kind in kinds))


def test_what_a_type_rounds_is_not_hidden_beyond_its_precision():
    before, now = compared(pa.array([1.0, 2.0]), pa.array([1.001, 2.0], pa.float32()))
    assert before[0] != now[0]
    before, now = compared(pa.array([1, 2]), pa.array([1.25, 2.0]))
    assert before[0] != now[0]


def question(baseline, window):
    detectors = {"ks": {"alpha": 0.01}, "psi": {"threshold": 0.2, "bins": 10}}
    return {
        "baseline": {"uri": f"file://{baseline}"},
        "window": {"uri": f"file://{window}"},
        "minRows": 100,
        **detectors,
    }


def test_training_rows_as_doubles_are_like_the_same_rows_captured_as_single_floats(tmp_path):
    rows = load_iris().data
    columns = {f"f{place}": rows[:, place] for place in range(4)}
    pq.write_table(pa.table(columns), tmp_path / "baseline.parquet")
    window = tmp_path / "window"
    window.mkdir()
    # Half of it was captured by a server that had doubles.
    half = {name: values[:75].astype(np.float32) for name, values in columns.items()}
    pq.write_table(pa.table(half), window / "a.parquet")
    pq.write_table(pa.table({name: values[75:] for name, values in columns.items()}), window / "b.parquet")
    pq.write_table(
        pa.table({n: v.astype(np.float32) for n, v in columns.items()}), tmp_path / "single.parquet"
    )
    for captured in (tmp_path / "single.parquet", window):
        found = make_report(question(tmp_path / "baseline.parquet", captured), "run")
        assert found.drifted_features == []
        assert [(f.ks.statistic, f.psi.statistic) for f in found.features] == [(0.0, 0.0)] * 4


@pytest.mark.parametrize(
    ("coarse", "fine"),
    [
        (pa.float16(), pa.float32()),
        (pa.float32(), pa.decimal128(12, 2)),
        (pa.decimal128(12, 1), pa.float64()),
        (pa.decimal128(12, 1), pa.decimal128(25, 4)),
        (pa.float32(), pa.int64()),
    ],
    ids=str,
)
def test_files_of_a_window_may_differ_in_precision(tmp_path, coarse, fine):
    count = 2**40 if pa.types.is_integer(fine) else 1
    values = [Decimal(count * (place % 7) + 1) for place in range(400)]
    if not pa.types.is_integer(fine):
        values = [value / 10 for value in values]
    pq.write_table(pa.table({"x": stored(values, fine)}), tmp_path / "baseline.parquet")
    window = tmp_path / "window"
    window.mkdir()
    pq.write_table(pa.table({"x": stored(values[:200], fine)}), window / "a.parquet")
    pq.write_table(pa.table({"x": stored(values[200:], coarse)}), window / "b.parquet")
    found = make_report(question(tmp_path / "baseline.parquet", window), "run")
    assert found.schema_changes == []
    assert found.features[0].ks.statistic == pytest.approx(0, abs=0.01)


def test_times_of_another_unit_and_zone_are_the_same_times():
    at = np.arange(400) * 86_400_000_123_456
    before = pa.table({"at": pa.array(at, pa.timestamp("ns"))})
    now = pa.table({"at": pa.array(at // 10**9, pa.timestamp("s", "Asia/Tokyo"))})
    [feature] = evaluate(before, now, ["at"], 100, Detectors()).features
    assert feature.ks == (0.0, 1.0)
