"""Limits on latency from buckets."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import erf, exp, inf, log, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_operator.planning.analysis.histograms import Histogram
from mooring_operator.planning.analysis.latency import Exceedance, NoResolutionError, exceedance

CLASSIC = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
FINE = tuple(0.001 * 1.3**k for k in range(30))


def log_normal(bounds: tuple[float, ...], median: float, p99: float, requests: float = 1e6) -> Histogram:
    sigma = log(p99 / median) / 2.3263478740408408
    shares = [0.5 * (1 + erf(log(bound / median) / sigma / sqrt(2))) for bound in bounds]
    return Histogram.of_buckets(
        [*((b, requests * s) for b, s in zip(bounds, shares, strict=True)), (inf, requests)]
    )


@pytest.mark.parametrize("bounds", [CLASSIC, FINE])
def test_a_candidate_that_is_as_slow_as_allowed_is_at_the_limit(bounds: tuple[float, ...]) -> None:
    stable = log_normal(bounds, 0.02, 0.2)
    decided = exceedance(stable, 0.99, 1.2)
    look = decided.look(log_normal(bounds, 0.024, 0.24), stable)
    share, allowed = look.candidate / look.candidate_of, decided.ratio * look.stable / look.stable_of
    assert share == pytest.approx(allowed, rel=0.05)


@pytest.mark.parametrize("bounds", [CLASSIC, FINE])
def test_a_slower_candidate_is_beyond_it_and_an_equal_one_within(bounds: tuple[float, ...]) -> None:
    stable = log_normal(bounds, 0.02, 0.2)
    decided = exceedance(stable, 0.99, 1.2)
    assert decided.bound >= 0.2
    allowed = decided.ratio * decided.look(stable, stable).stable
    assert decided.look(log_normal(bounds, 0.03, 0.3), stable).candidate > 1.3 * allowed
    assert decided.look(stable, stable).candidate < 0.9 * allowed
    assert decided.limit.ratio == decided.ratio


@pytest.mark.parametrize("nothing", [0.0, -1.0])
def test_a_bound_that_nothing_is_as_fast_as_tells_nothing(nothing: float) -> None:
    buckets = [(nothing, 3.0), (0.1, 50.0), (1.0, 90.0), (2.0, 99.0), (inf, 100.0)]
    stable = Histogram.of_buckets(buckets)
    assert stable == Histogram.of_buckets(buckets[1:])
    assert exceedance(stable, 0.99, 1.2).bound == 2.0


@given(st.floats(0.004, 0.5), st.floats(1.5, 12), st.sampled_from([0.5, 0.9, 0.95, 0.99]), st.floats(1.05, 3))
def test_the_ratio_is_that_of_the_interpolated_share(
    median: float, spread: float, quantile: float, slower: float
) -> None:
    stable = log_normal(FINE, median, median * spread)
    try:
        decided = exceedance(stable, quantile, slower)
    except NoResolutionError:
        return
    assert decided.bound in FINE
    assert decided.reference in FINE
    assert 0 < decided.ratio < 20
    exact = 0.5 * (
        1 - erf(log(decided.bound / slower / median) / (log(spread) / 2.3263478740408408) / sqrt(2))
    )
    if exact > 0.001:
        stable_share = stable.share_above(FINE.index(decided.reference))
        # Further up than the first bound beyond the quantile what the quantile leaves is allowed.
        first = next(
            bound for bound in FINE if stable.share_above(FINE.index(bound)) <= (1 - quantile) * 1.02
        )
        allowed = 1 - quantile if decided.bound > first else exact
        assert decided.ratio * stable_share == pytest.approx(allowed, rel=0.15)


def test_buckets_that_resolve_nothing_are_named() -> None:
    with pytest.raises(NoResolutionError, match="above the last bucket, 10 s"):
        exceedance(log_normal(CLASSIC, 8, 80), 0.99, 1.2)
    with pytest.raises(NoResolutionError, match=r"within the first bucket, 0\.005 s"):
        exceedance(Histogram(CLASSIC, (0.0,) * len(CLASSIC), 100), 0.99, 1.2)
    with pytest.raises(NoResolutionError, match="answered nothing"):
        exceedance(Histogram(CLASSIC, (0.0,) * len(CLASSIC), 0), 0.99, 1.2)
    with pytest.raises(NoResolutionError, match="2 finite buckets"):
        exceedance(Histogram((0.1, 1.0), (50.0, 1.0), 100), 0.99, 1.2)


def test_a_bound_that_went_is_named() -> None:
    stable = log_normal(CLASSIC, 0.02, 0.2)
    decided = exceedance(stable, 0.99, 1.2)
    with pytest.raises(NoResolutionError, match=r"no bucket 0\.25 s any more"):
        decided.look(log_normal(FINE, 0.02, 0.2), stable)


@pytest.mark.parametrize(
    ("buckets", "said"),
    [
        ([], r"no bucket le=\+Inf"),
        ([(0.1, 5.0)], r"no bucket le=\+Inf"),
        ([(0.1, 5.0), (inf, 4.0)], "do not ascend"),
        ([(0.1, -1.0), (inf, 4.0)], "do not ascend"),
    ],
)
def test_what_is_no_histogram_is_refused(buckets: list[tuple[float, float]], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Histogram.of_buckets(buckets)


def test_counts_above_bounds_descend() -> None:
    above = log_normal(FINE, 0.02, 0.2).above
    assert all(first >= second for first, second in pairwise(above))


RUNTIME = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


@pytest.mark.parametrize("quantile", [0.5, 0.75, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("median", [0.0006, 0.0007, 0.0009, 0.0012, 0.002, 0.004, 0.0099])
@pytest.mark.parametrize("spread", [1.01, 1.1, 1.3, 2, 6])
@pytest.mark.parametrize("slower", [1.2, 2, 3, 10])
def test_what_is_far_too_slow_is_far_beyond_the_limit(
    quantile: float, median: float, spread: float, slower: float
) -> None:
    stable = log_normal(RUNTIME, median, median * spread)
    decided = exceedance(stable, quantile, slower)
    allowed = decided.ratio * decided.look(stable, stable).stable / stable.total
    times = 8 * slower * spread
    slow = log_normal(RUNTIME, times * median, times * median * spread)
    share = decided.look(slow, stable).candidate / slow.total
    assert share > 0.8
    assert share / (1.0001 - share) > 2.9 * allowed / (1.0001 - allowed)


@pytest.mark.parametrize("quantile", [0.5, 0.75, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("median", [0.0006, 0.0007, 0.0009, 0.0012, 0.002, 0.004, 0.0099])
@pytest.mark.parametrize("spread", [1.01, 1.1, 1.3, 2, 6])
@pytest.mark.parametrize("slower", [2, 3, 10])
def test_what_is_as_slow_as_allowed_is_within_where_bounds_are_far_apart(
    quantile: float, median: float, spread: float, slower: float
) -> None:
    stable = log_normal(RUNTIME, median, median * spread)
    decided = exceedance(stable, quantile, slower)
    allowed = decided.ratio * decided.look(stable, stable).stable / stable.total
    slow = log_normal(RUNTIME, slower * median, slower * median * spread)
    share = decided.look(slow, stable).candidate / slow.total
    assert share <= allowed * 1.1 + 0.002


def log_logistic(x: float, shape: float) -> float:
    return 1 / (1 + x**shape)


def weibull(x: float, shape: float) -> float:
    return exp(-log(2) * x**shape)


def shifted(x: float, least: float) -> float:
    return 1.0 if x < least else exp(-log(2) * (x - least) / (1 - least))


LAWS = [
    *((log_logistic, shape) for shape in (1.5, 2.5, 4, 8)),
    *((weibull, shape) for shape in (0.7, 1, 1.5, 3, 6)),
    *((shifted, least) for least in (0.2, 0.5, 0.8)),
]


@pytest.mark.parametrize(("law", "shape"), LAWS)
@pytest.mark.parametrize("quantile", [0.5, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("slower", [1.1, 1.2, 1.5, 2, 3])
def test_no_law_of_latencies_makes_a_limit_that_is_too_strict(
    law: Callable[[float, float], float], shape: float, quantile: float, slower: float
) -> None:
    for median in (0.0007 * 1.17**k for k in range(30)):
        shares = [law(bound / median, shape) for bound in RUNTIME]
        stable = Histogram(RUNTIME, tuple(1e6 * share for share in shares), 1e6)
        decided = exceedance(stable, quantile, slower)
        allowed = decided.ratio * decided.look(stable, stable).stable / 1e6
        at_the_limit = law(decided.bound / slower / median, shape)
        assert at_the_limit <= max(allowed / 0.85, 1e-4)


def test_no_more_is_taken_as_known_where_there_is_no_bound_further_up() -> None:
    """All requests take between .6 s and 1 s, and 1 s is the last bound: half of the candidate's may take longer."""
    stable = Histogram((0.1, 0.5, 1.0), (1000.0, 1000.0, 0.0), 1000.0)
    decided = exceedance(stable, 0.5, 1.2)
    assert decided == Exceedance(bound=1.0, reference=0.5, ratio=1.0)
