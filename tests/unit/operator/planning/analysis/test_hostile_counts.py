"""Whatever pods count, evidence about it is finite, is kept, and fails nobody by an error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import inf, isfinite
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from mooring_operator.api.analysis import LONGEST_EVIDENCE, Analysis, MetricLimit
from mooring_operator.planning.analysis.answers import LEAST_COUNTED, MOST_COUNTED
from mooring_operator.planning.analysis.bursts import scale_of
from mooring_operator.planning.analysis.counting import Answer, Counted, Request
from mooring_operator.planning.analysis.evidence import Evidence
from mooring_operator.planning.analysis.histograms import Histogram
from mooring_operator.planning.analysis.measuring import limits_of

CANDIDATE, STABLE = "c0ffee0001", "beef000002"
NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
TIMES = [NOW.timestamp() - 30 * number for number in range(4)]

COUNT = (0.0, LEAST_COUNTED, 0.5, 1.0, 2.0, 3.0, 100.0, 1e9, MOST_COUNTED)
BOUND = (-1.0, 0.0, 5e-324, 1e-9, 0.005, 0.1, 1.0, 10.0, 1e9, 1e300)
CELL = ("1", "2", "nan", "other", "<=1", "<=0", "<=-1", "<=1.2.3", "<=.", ">5", "", "x; y")
LIMIT = st.one_of(
    st.builds(
        lambda ratio, points: MetricLimit(metric="errorRate", ratio=ratio, points=points),
        st.sampled_from([1e-300, 1, 1000]),
        st.sampled_from([0, 1e-300, 99.9999]),
    ),
    st.builds(
        lambda quantile, slower: MetricLimit(metric="latency", quantile=quantile, slower=slower),
        st.sampled_from([1e-9, 1, 50, 99, 100 - 1e-12]),
        st.sampled_from([1e-12, 20, 1000]),
    ),
    st.builds(
        lambda points: MetricLimit(metric="predictionDrift", points=points),
        st.sampled_from([1e-300, 5, 99.999]),
    ),
)


def both(make: Callable[[], Any]) -> dict[str, dict[float, Any]]:
    return {name: {at: make() for at in TIMES} for name in (CANDIDATE, STABLE)}


def counted(limit: MetricLimit, dice: Random) -> Counted:
    match limit.metric:
        case "latency":
            bounds = [*sorted(dice.sample(BOUND, dice.randint(0, 6))), inf]

            def histogram() -> Histogram:
                return Histogram.of_buckets(
                    list(zip(bounds, sorted(dice.choice(COUNT) for _ in bounds), strict=True))
                )

            return Counted(histograms=both(histogram))
        case "predictionDrift":

            def cells() -> dict[str, float]:
                return {cell: dice.choice(COUNT) for cell in dice.sample(CELL, dice.randint(0, 5))}

            return Counted(predicted=both(cells))
    return Counted(both(lambda: dice.choice(COUNT)), both(lambda: dice.choice(COUNT)))


@settings(max_examples=200)
@given(LIMIT, st.integers(0, 10**6))
def test_evidence_of_whatever_was_counted_is_finite_and_is_kept(limit: MetricLimit, seed: int) -> None:
    dice, analysis, name = Random(seed), Analysis(metrics=[limit]), limit.metric
    request = Request("ns", "iris", CANDIDATE, STABLE, (name,), (name,), NOW, timedelta(seconds=30), NOW)
    found = replace(counted(limit, dice), before=counted(limit, dice))
    evidence = Evidence.from_text("", limits_of(analysis), watched=False)
    evidence = evidence.after(Answer(request, {name: found}), analysis.risk)
    assert evidence.judge(analysis.risk).message
    kept = Evidence.from_text(evidence.to_text(), limits_of(analysis), watched=False)
    assert set(kept.metrics) == set(evidence.metrics)
    assert len(evidence.to_text()) <= LONGEST_EVIDENCE
    assert all(isfinite(metric.comparison.worse.value) for metric in evidence.metrics.values())


def test_what_subtractions_leave_of_counters_that_are_no_whole_numbers_is_no_burst() -> None:
    assert scale_of([0.0, 5e-324, 0.0], [5e-324, 5e-324, 1e-300]) == 0
    assert scale_of([5e-324] * 10, [100.0] * 10) == 0
