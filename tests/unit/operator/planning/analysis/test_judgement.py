"""Several metrics make one verdict, and the verdict says what decided it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_operator.planning.analysis.bets import Capital, Limit, Look
from mooring_operator.planning.analysis.comparison import Comparison
from mooring_operator.planning.analysis.judgement import Errors, judge
from mooring_operator.planning.analysis.thresholds import Allowance, Outcome, Tally

ERRORS = Errors()
BAD, GOOD, FEW = Look(30, 100, 9, 900), Look(0, 100, 27, 900), Look(0, 1, 0, 9)


def seen(*looks: Look, limit: Limit | None = None) -> Comparison:
    comparison = Comparison(limit or Limit(1.0, 0.005))
    for look in looks:
        comparison = comparison.after(look)
    return comparison


def tally(*outcomes: Outcome, **allowance: int) -> Tally:
    counted = Tally(Allowance(**allowance))
    for outcome in outcomes:
        counted = counted.after(outcome, "0.97")
    return counted


def test_few_requests_neither_pass_nor_fail() -> None:
    judgement = judge({"errorRate": seen(FEW, FEW)}, {}, ERRORS)
    assert judgement.verdict == "INSUFFICIENT"
    assert judgement.metric == "errorRate"


def test_nothing_measured_is_insufficient() -> None:
    assert judge({}, {}, ERRORS).verdict == "INSUFFICIENT"


def test_a_failure_names_both_revisions_their_counts_the_limit_and_the_evidence() -> None:
    judgement = judge({"errorRate": seen(*[BAD] * 5), "latency": seen(*[GOOD] * 5)}, {}, ERRORS)
    assert judgement.verdict == "FAIL"
    assert judgement.metric == "errorRate"
    assert judgement.message.startswith(
        "errorRate: candidate 30.00% (150 of 500), stable 1.00% (45 of 4500), limit stable + 0.5 points, "
        "exceeded by 28.5 points; evidence "
    )
    assert judgement.message.endswith(" of 100 after 5 looks")


def test_limits_are_said_as_they_were_set() -> None:
    said = [
        judge({"m": seen(FEW, limit=limit)}, {}, ERRORS).message
        for limit in (Limit(1.2, 0.002), Limit(1.5, 0.0), Limit(0.0, 0.01))
    ]
    for text, message in zip(
        ("limit 1.2 x stable + 0.2 points;", "limit 1.5 x stable;", "limit 1%;"), said, strict=True
    ):
        assert text in message


def test_a_pass_needs_every_metric() -> None:
    good = seen(*[GOOD] * 30)
    assert judge({"a": good, "b": good}, {}, ERRORS).verdict == "PASS"
    assert judge({"a": good, "b": seen(FEW)}, {}, ERRORS).metric == "b"
    assert judge({"a": good, "b": seen(FEW)}, {}, ERRORS).verdict == "INSUFFICIENT"


@given(st.lists(st.floats(0, 5000), min_size=1, max_size=6), st.floats(0.001, 0.2))
def test_more_metrics_share_one_error_rate(values: list[float], rate: float) -> None:
    """The mean of e-values decides: as many metrics as one likes keep the rollout's rate."""
    comparisons = {str(i): replace(seen(), worse=Capital(v, (0.0,) * 6)) for i, v in enumerate(values)}
    verdict = judge(comparisons, {}, Errors(false_rollback=rate)).verdict
    assert (verdict == "FAIL") == (sum(values) / len(values) >= 1 / rate)
    if any(value >= len(values) / rate for value in values):
        assert verdict == "FAIL"  # never slower than dividing the rate among them


@pytest.mark.parametrize(
    ("outcomes", "allowance", "verdict"),
    [
        (["Success"] * 5, {"count": 5}, "PASS"),
        (["Success"] * 5, {}, "INSUFFICIENT"),
        (["Failure"], {"count": 5}, "FAIL"),
        (["Failure"] * 3 + ["Success"] * 2, {"count": 5, "failure_limit": 3}, "PASS"),
        (["Failure"] * 4, {"count": 5, "failure_limit": 3}, "FAIL"),
        (["Error"] * 3 + ["Success"] * 5, {"count": 5}, "PASS"),
        (["Success"] * 5 + ["Error"] * 5, {"count": 5}, "INSUFFICIENT"),
        (["Inconclusive"] + ["Success"] * 5, {"count": 5}, "INSUFFICIENT"),
        (["Inconclusive"] + ["Success"] * 4, {"count": 5, "inconclusive_limit": 1}, "PASS"),
    ],
)
def test_plain_thresholds_count_measurements(
    outcomes: list[Outcome], allowance: dict[str, int], verdict: str
) -> None:
    assert judge({}, {"p99": tally(*outcomes, **allowance)}, ERRORS).verdict == verdict


def test_five_errors_in_a_row_are_undecided_and_four_are_not() -> None:
    assert not tally(*["Error"] * 4).is_undecided
    assert tally(*["Error"] * 5).is_undecided
    assert not tally(*["Error"] * 5, "Success").is_undecided


def test_a_failed_threshold_is_said_with_its_last_value() -> None:
    judgement = judge({"errorRate": seen(FEW)}, {"p99": tally("Success", "Failure", "Error")}, ERRORS)
    assert judgement.message == (
        "p99: 1 of 2 measurements failed (limit 0), 1 could not be made; the last: 0.97"
    )
