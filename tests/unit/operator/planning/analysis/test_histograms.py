"""Native histograms: what of them is known at which bounds, and limits on latency by them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import erf, inf, log, nan, sqrt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_inference.observability.native_histograms import NativeHistogram
from mooring_operator.planning.analysis.answers import Times, finest, read_buckets, read_natives
from mooring_operator.planning.analysis.histograms import Histogram, NotAtOneTimeError, added_up
from mooring_operator.planning.analysis.latency import NoResolutionError, exceedance
from mooring_operator.planning.analysis.queries import AnswerUnusableError

TIMES = Times(10.0, 30.0, 10.0)
DURATIONS = st.floats(1e-4, 30.0)


def native(durations: Sequence[float]) -> Histogram:
    """What the runtime makes of them."""
    counted = NativeHistogram()
    for duration in durations:
        counted.observe(duration)
    buckets = [
        (2.0 ** ((number - 1) / 8), 2.0 ** (number / 8), float(count))
        for number, count in counted.buckets.items()
    ]
    return Histogram.of_native(buckets, float(counted.count))


def log_normal(median: float, p99: float, requests: float = 1e6) -> Histogram:
    sigma = log(p99 / median) / 2.3263478740408408
    bounds = [2.0 ** (number / 8) for number in range(-90, 40)]
    shares = [0.5 * (1 + erf(log(bound / median) / sigma / sqrt(2))) for bound in bounds]
    counts = [round(requests * (after - before)) for before, after in pairwise(shares)]
    buckets = [(a, b, float(n)) for a, b, n in zip(bounds, bounds[1:], counts, strict=False) if n]
    return Histogram.of_native(buckets, float(sum(counts)))


@given(st.lists(DURATIONS, min_size=1, max_size=40), st.integers(-120, 60))
def test_any_bound_of_the_grid_is_known_whatever_was_counted(durations: list[float], number: int) -> None:
    bound = 2.0 ** (number / 8)
    # On a bound itself floating point decides.
    durations = [d for d in durations if abs(d / bound - 1) > 1e-9]
    assert native(durations).count_above(bound) == sum(duration > bound for duration in durations)


@given(st.lists(st.lists(DURATIONS, max_size=20), min_size=1, max_size=6))
def test_histograms_add_up_to_that_of_all(parts: list[list[float]]) -> None:
    whole, sum_of_parts = native([d for part in parts for d in part]), added_up([native(p) for p in parts])
    assert sum_of_parts.total == whole.total
    assert (
        dict(zip(whole.bounds, whole.above, strict=True)).items()
        <= dict(zip(sum_of_parts.bounds, sum_of_parts.above, strict=True)).items()
    )


def test_a_coarser_histogram_leaves_the_bounds_that_both_know() -> None:
    fine = Histogram.of_native([(1.0, 2.0**0.5, 3.0), (2.0**0.5, 2.0, 5.0)], 8.0)
    coarse = Histogram.of_native([(1.0, 2.0, 7.0)], 7.0)
    assert coarse.count_above(2.0**0.5) is None
    assert added_up([fine, coarse]) == Histogram((1.0, 2.0), (15.0, 0.0), 15.0, is_native=True)


def test_of_both_kinds_the_newest_counts() -> None:
    classic = Histogram.of_buckets([(1.0, 1.0), (inf, 3.0)])
    fine = Histogram.of_native([(1.0, 2.0, 7.0)], 7.0)
    assert added_up([classic, fine]).total == 7
    assert added_up([fine, classic]).total == 3
    assert added_up([classic, Histogram.of_native([], 0.0)]).total == 3


def test_chosen_bounds_as_of_converted_histograms_end_where_nobody_knows_more() -> None:
    chosen = Histogram.of_native([(-inf, 0.1, 2.0), (0.1, 0.5, 3.0), (0.5, inf, 1.0)], 6.0)
    assert (chosen.bounds, chosen.above) == ((0.1, 0.5), (4.0, 1.0))
    assert chosen.count_above(0.05) is None
    assert chosen.count_above(0.7) is None
    assert chosen.up_to(10.0) == chosen


def test_what_takes_no_time_is_below_every_bound() -> None:
    zero = 2.0**-128
    found = Histogram.of_native([(-zero, zero, 2.0), (1.0, 2.0, 3.0)], 5.0)
    assert found.count_above(0.001) == 3


@pytest.mark.parametrize("slower", [1.1, 1.2, 1.35])
def test_a_candidate_as_slow_as_allowed_is_at_the_limit_and_an_equal_one_within(slower: float) -> None:
    stable = log_normal(0.02, 0.2)
    decided = exceedance(stable, 0.99, slower)
    look = decided.look(log_normal(0.02 * slower, 0.2 * slower), stable)
    assert look.candidate / look.candidate_of == pytest.approx(
        decided.ratio * look.stable / look.stable_of, rel=0.05
    )
    assert decided.look(stable, stable).candidate < decided.ratio * decided.look(stable, stable).stable
    # A bucket is 9% wide: no bound is further from the p99.
    assert 0.198 < decided.bound < 0.2 * 1.1


def test_where_all_take_the_same_a_slower_candidate_is_seen() -> None:
    stable = native([0.0101] * 1000)
    decided = exceedance(stable, 0.99, 1.2)
    look = decided.look(native([0.02] * 100), stable)
    assert look.candidate == 100
    assert decided.look(stable, stable).candidate == 0


def test_a_bound_within_a_bucket_is_no_longer_known() -> None:
    stable = log_normal(0.02, 0.2)
    decided = exceedance(stable, 0.99, 1.2)
    coarse = Histogram.of_native([(2.0**-10, 4.0, 50.0)], 50.0)
    with pytest.raises(NoResolutionError, match=r"no bucket 0\.210224 s any more; it has 0\.000976562, 4"):
        decided.look(coarse, stable)


# --- answers ------------------------------------------------------------------------------------


def answer(*histograms: Any, revision: str = "a") -> dict[str, Any]:
    series = {"metric": {"revision": revision}, "histograms": list(histograms)}
    return {"status": "success", "data": {"resultType": "matrix", "result": [series]}}


def test_native_histograms_are_read_by_revision_and_look() -> None:
    found = read_natives(
        answer(
            [10, {"count": "8", "sum": "9", "buckets": [[0, "1", "2", "5"], [0, "2", "4", "3"]]}],
            [20, {"count": "0", "sum": "0"}],
        ),
        "revision",
        TIMES,
        0.001,
    )
    assert found["a"][10.0] == Histogram((0.001, 0.002, 0.004), (8.0, 3.0, 0.0), 8.0, is_native=True)
    assert found["a"][20.0].total == 0


def test_who_does_not_know_native_histograms_has_none() -> None:
    refused = {"status": "error", "error": 'unknown function "histogram_count"'}
    assert read_natives(refused, "revision", TIMES) == {}
    assert (
        read_natives(answer()["data"] | {"status": "success", "data": {"resultType": "matrix"}}, "x", TIMES)
        == {}
    )


@pytest.mark.parametrize(
    ("histogram", "said"),
    [
        ({"count": "many", "buckets": []}, "is no count"),
        ({"count": "nan", "buckets": []}, "is no count"),
        ({"count": "1e300", "buckets": []}, "is no count"),
        ({"buckets": []}, "does not write time series"),
        ({"count": "1", "buckets": [[0, "1", "2"]]}, "does not write time series"),
        ({"count": "1", "buckets": [[0, "x", "2", "1"]]}, "does not write time series"),
        ({"count": "1", "buckets": [[0, "1", "2", "NaN"]]}, "is no count"),
        ({"count": "1", "buckets": [[0, "NaN", "2", "1"]]}, "has a bound that is no number"),
        ({"count": "1", "buckets": [[0, "1", "2", "-1"]]}, "has less than nothing"),
        ([], "does not write time series"),
        (None, "does not write time series"),
    ],
)
def test_native_histograms_that_are_none_are_said(histogram: Any, said: str) -> None:
    with pytest.raises(AnswerUnusableError, match=said):
        read_natives(answer([10, histogram]), "revision", TIMES)


def test_a_look_in_which_a_server_began_anew_is_left_out_and_the_others_stay() -> None:
    """It soon had more requests than before, and of some buckets less."""
    torn, whole = [[0, "1", "2", "-3"], [0, "2", "4", "8"]], [[0, "1", "2", "1"]]
    natives = answer([10, {"count": "5", "buckets": torn}], [20, {"count": "1", "buckets": whole}])
    assert list(read_natives(natives, "revision", TIMES)["a"]) == [20.0]
    rows = {"0.1": [[10, "49"], [20, "1"]], "+Inf": [[10, "10"], [20, "2"]]}
    result = [{"metric": {"revision": "a", "le": le}, "values": values} for le, values in rows.items()]
    classic = {"status": "success", "data": {"resultType": "matrix", "result": result}}
    assert list(read_buckets(classic, "revision", TIMES)["a"]) == [20.0]


def test_native_histograms_are_taken_where_both_revisions_have_them() -> None:
    one = {10.0: Histogram.of_native([(1.0, 2.0, 7.0)], 7.0)}
    other = {10.0: Histogram.of_buckets([(1.0, 1.0), (inf, 3.0)])}
    assert finest({"a": other, "b": other}, {"a": one, "b": one}) == {"a": one, "b": one}
    assert finest({"a": other, "b": other}, {"a": one}) == {"a": other, "b": other}
    assert finest({}, {"a": one}) == {"a": one}
    assert finest({"a": other}, {}) == {"a": other}
    assert finest({}, {}) == {}


def test_bounds_that_are_no_numbers_and_counts_below_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="no number"):
        Histogram.of_native([(nan, 1.0, 1.0)], 1.0)
    with pytest.raises(NotAtOneTimeError):
        Histogram.of_native([(0.5, 1.0, -1.0)], 1.0)
