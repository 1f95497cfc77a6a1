"""Predictions of two revisions on the same traffic: what moves beyond the limit is found, and nothing else."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mooring_operator.api.analysis import EVIDENCE, LONGEST_EVIDENCE, MetricLimit
from mooring_operator.planning.analysis.bets import Limit
from mooring_operator.planning.analysis.counting import Answer, Counted, Request
from mooring_operator.planning.analysis.evidence import Evidence, Metric
from mooring_operator.planning.analysis.judgement import Errors, judge
from mooring_operator.planning.analysis.latency import NoResolutionError
from mooring_operator.planning.analysis.prediction_drift import (
    LEAST,
    MOST_SETS,
    CellLook,
    Move,
    PredictionDrift,
)

LIMIT = Limit(1.0, 0.05)
BEGAN = datetime(2026, 11, 1, tzinfo=UTC)
DRIFT = MetricLimit.model_validate({"metric": "predictionDrift"})
SHARES = {"0": 0.4, "1": 0.3, "2": 0.2, "3": 0.1}
VALUES = {"<=0.1": 0.3, "<=0.3": 0.3, "<=0.5": 0.2, "<=0.9": 0.2}


def drawn(shares, of, dice):
    return dict(zip(shares, map(float, dice.multinomial(of, list(shares.values()))), strict=True))


def begun(shares=SHARES, seed=0):
    dice = np.random.default_rng(seed)
    return PredictionDrift.begin(LIMIT, {float(at): drawn(shares, 300, dice) for at in range(60)})


def played(candidate, stable=SHARES, *, looks=40, seed=1):
    drift, dice = begun(stable), np.random.default_rng(seed)
    for _ in range(looks):
        look = CellLook.of(drift.sets, drawn(candidate, 100, dice), drawn(stable, 300, dice))
        drift = drift.after(look)
    return drift


def judged(drift):
    return judge({"predictionDrift": drift}, {}, Errors())


def test_the_same_answers_pass():
    judgement = judged(played(SHARES))
    assert judgement.verdict == "PASS"
    assert re.match(
        r"predictionDrift: (class \d|all other classes): candidate \S+% \(\d+ of 4000\), stable \S+% \(\d+ of 12000\), "
        r"limit stable ± 5 points; evidence \S+ of 20 after 40 looks$",
        judgement.message,
    )


@pytest.mark.parametrize(
    ("candidate", "stable", "says"),
    [
        ({**SHARES, "0": 0.3, "3": 0.2}, SHARES, "class 3: candidate 2|class 0: candidate 2"),
        ({**SHARES, "3": 0.0, "0": 0.5}, SHARES, "class 3: candidate 0.00%|class 0: candidate 5"),
        ({**SHARES, "0": 0.28, "7": 0.12}, SHARES, "all other classes: candidate 1|class 0: candidate 2"),
        ({"<=0.1": 0.1, "<=0.3": 0.3, "<=0.5": 0.2, "<=0.9": 0.4}, VALUES, "values <=0.[15]: candidate"),
        (
            {"nan": 0.2, **{cell: share * 0.8 for cell, share in VALUES.items()}},
            VALUES,
            "values <=0.[135]: candidate",
        ),
    ],
    ids=["a class is more frequent", "a class is gone", "a class is new", "values grow", "numbers are none"],
)
def test_other_answers_fail_and_the_message_says_which(candidate, stable, says):
    judgement = judged(played(candidate, stable))
    assert judgement.verdict == "FAIL"
    assert re.match(f"predictionDrift: ({says})", judgement.message)
    assert re.search(
        r"limit stable ± 5 points, exceeded by \S+ points; evidence \S+ of 100 after", judgement.message
    )


def test_many_rollouts_of_the_same_model_are_left_alone():
    assert not [seed for seed in range(60) if judged(played(SHARES, looks=60, seed=seed)).verdict == "FAIL"]


def test_a_pass_takes_every_share_and_stays_when_found():
    moved = played({**SHARES, "2": 0.13, "3": 0.17}, looks=15)
    assert max(moved.best) > 4 > 3 > min(moved.best)
    assert judged(moved).verdict == "INSUFFICIENT"
    passed = played(SHARES)
    assert judged(passed).verdict == "PASS"
    less = passed.after(CellLook.of(passed.sets, {"0": 10.0, "1": 90.0}, {"0": 160.0, "1": 140.0}))
    assert min(less.better) < min(passed.better)
    assert less.ok >= passed.ok


def test_bursts_of_the_stable_revision_slow_the_evidence_down():
    """Both were as steady before; the one that bursts now is found out by what it shows."""
    steady, bursty = begun(), begun()
    for look in range(20):
        some = {"0": 90.0, "1": 120.0} if look % 2 else {"0": 150.0, "1": 60.0}
        rest = {"2": 60.0, "3": 30.0}
        steady = steady.after(CellLook.of(steady.sets, {}, {"0": 120.0, "1": 90.0, **rest}))
        bursty = bursty.after(CellLook.of(bursty.sets, {}, {**some, **rest}))
    assert bursty.bursts.theta > 5 * steady.bursts.theta
    other = {"0": 50.0, "1": 20.0, "2": 20.0, "3": 10.0}
    told = [
        one.after(CellLook.of(one.sets, other, {"0": 120.0, "1": 90.0, **rest})) for one in (steady, bursty)
    ]
    assert max(told[0].worse.bets) > max(told[1].worse.bets)


def test_a_revision_without_traffic_is_no_evidence():
    drift = begun()
    seen = drift.after(CellLook.of(drift.sets, {}, {"0": 100.0}))
    assert (seen.looks, seen.stable_of, seen.worse, seen.ok) == (1, 100, drift.worse, 1.0)
    assert "no requests" in judged(seen).message


@given(
    share=st.sampled_from([0.01, 0.05, 0.1, 0.3, 0.5, 0.7, 0.9]),
    points=st.sampled_from([0.02, 0.05, 0.2]),
    sizes=st.sampled_from([(5, 20), (20, 5), (12, 12)]),
    up=st.booleans(),
    worse=st.booleans(),
    believed=st.sampled_from([0.05, 0.1, 0.3, 0.6, 0.95]),
)
@settings(max_examples=150)
def test_no_bet_is_expected_to_gain_at_the_limit(share, points, sizes, up, worse, believed):
    """Summed up over all counts that there may be, whatever the looks before made probable."""
    low, high = share, share + points
    if high > 1:
        return
    n_c, n_s = sizes
    p_c, p_s = (high, low) if up else (low, high)
    known = PredictionDrift(
        Limit(1.0, points),
        ("0", "rest"),
        candidate_of=100.0,
        stable_of=100.0,
        candidates=(100.0 * believed, 0.0),
        stables=(50.0, 0.0),
    )
    bet = known._bet(Move(0, up), 0.0)
    expected = 0.0
    for x_c in range(n_c + 1):
        for x_s in range(n_s + 1):
            look = CellLook((x_c, n_c - x_c), n_c, (x_s, n_s - x_s), n_s)
            paid = sum(pays := bet.payoffs(look, Limit(1.0, points), worse=worse)) / len(pays)
            expected += paid * binomial(x_c, n_c, p_c) * binomial(x_s, n_s, p_s)
    assert expected <= 1 + 1e-9


def binomial(x, n, p):
    return comb(n, x) * p**x * (1 - p) ** (n - x)


# --- what is compared ---------------------------------------------------------------------------


def test_the_most_frequent_classes_and_the_rest_are_compared():
    cells = {str(number): 1.0 + number for number in range(20)}
    drift = PredictionDrift.begin(LIMIT, {1.0: cells, 2.0: cells})
    assert set(drift.sets) == {"", *(str(number) for number in range(13, 20))}
    assert len(drift.sets) == MOST_SETS


def test_values_are_compared_at_bounds_near_the_eighths():
    drift = begun(VALUES)
    assert set(drift.sets) == {"<=0.1", "<=0.3", "<=0.5"}


def test_values_in_one_range_tell_nothing():
    with pytest.raises(NoResolutionError, match=r"99.9% of stable's predictions are in one range, <=0.5"):
        PredictionDrift.begin(LIMIT, {1.0: {"<=0.5": 999.0, "<=1": 1.0}})


@given(
    st.dictionaries(
        st.one_of(
            st.sampled_from(["0", "19", "-1", "other", "nan", "text 7", "<=0.5", "<=-5000000", ">5000000"]),
            st.sampled_from(["<=nan", "<=1.2.3", "<=", ">", "", "a\nb", "x" * 5000, "<=1e999"]),
            st.text(max_size=20),
        ),
        st.integers(1, 1000).map(float),
        min_size=1,
        max_size=30,
    )
)
def test_whatever_pods_show_is_counted_and_no_name_of_theirs_is_kept(cells):
    try:
        drift = PredictionDrift.begin(LIMIT, {1.0: cells, 2.0: cells})
    except NoResolutionError:
        return
    seen = drift.after(CellLook.of(drift.sets, cells, cells))
    assert seen.stable_of == sum(cells.values())
    assert all(count <= seen.stable_of for count in seen.stables)
    text = Evidence((DRIFT,), {"predictionDrift": Metric((1.0, 0.05), seen)}).to_text()
    kept = Evidence.from_text(text, [DRIFT], watched=False).metrics["predictionDrift"].comparison
    assert kept == seen
    assert len(text) < 800
    assert len(judged(seen).message) < 250


# --- as part of an analysis ---------------------------------------------------------------------


def answer(looks, *, first=0, before=None):
    """looks: what candidate and stable predicted, one after the other."""
    every = timedelta(seconds=10)
    until = BEGAN + (first + len(looks)) * every
    request = Request(
        "ns",
        "iris",
        "c",
        "s",
        ("predictionDrift",),
        ("predictionDrift",),
        BEGAN + first * every,
        every,
        until,
    )
    times = [(BEGAN + (first + number) * every).timestamp() for number in range(1, len(looks) + 1)]
    predicted = {
        arm: {at: look[index] for at, look in zip(times, looks, strict=True)}
        for index, arm in enumerate(("c", "s"))
    }
    history = None if before is None else Counted(predicted={"s": before})
    return Answer(request, {"predictionDrift": Counted(predicted=predicted, before=history)})


def some_looks(count, seed=3):
    dice = np.random.default_rng(seed)
    return [(drawn(SHARES, 50, dice), drawn(SHARES, 200, dice)) for _ in range(count)]


HISTORY = {float(at): {"0": 40.0, "1": 30.0, "2": 20.0 + at % 3, "3": 10.0} for at in range(20)}


@given(cuts=st.lists(st.integers(1, 19), max_size=4, unique=True))
@settings(max_examples=20)
def test_a_restart_between_looks_changes_nothing(cuts):
    looks = some_looks(20)
    whole = Evidence.from_text("", [DRIFT], watched=False).after(answer(looks, before=HISTORY), 0.01)
    parts, edges = Evidence.from_text("", [DRIFT], watched=False), [0, *sorted(cuts), 20]
    for begin, end in pairwise(edges):
        parts = Evidence.from_text(parts.to_text(), [DRIFT], watched=False)
        parts = parts.after(answer(looks[begin:end], first=begin, before=None if begin else HISTORY), 0.01)
    assert parts.to_text() == whole.to_text()
    assert re.fullmatch(EVIDENCE.strip("^$"), whole.to_text())


def test_the_most_sets_fit_into_a_status():
    cells = {f"text {number}": 10.0 for number in range(20)}
    text = (
        Evidence((DRIFT,), {})
        .after(answer([(cells, cells)], before={1.0: cells, 2.0: cells}), 0.01)
        .to_text()
    )
    # Two rates of templates beside it take up to 1930 characters, six queries up to 450.
    assert len(text) < LONGEST_EVIDENCE - 2380


@pytest.mark.parametrize(
    "text", ["predictionDrift:", "predictionDrift:AAAA", "predictionDrift:AgAwMTAx", "predictionDrift:x"]
)
def test_evidence_that_is_none_begins_anew(text):
    assert not Evidence.from_text(text, [DRIFT], watched=False).metrics


def test_another_limit_begins_anew():
    seen = Evidence.from_text("", [DRIFT], watched=False).after(answer(some_looks(3), before=HISTORY), 0.01)
    other = MetricLimit.model_validate({"metric": "predictionDrift", "points": 4})
    assert Evidence.from_text(seen.to_text(), [DRIFT], watched=False).metrics
    assert not Evidence.from_text(seen.to_text(), [other], watched=False).metrics


@pytest.mark.parametrize(
    ("before", "says"),
    [
        ({}, "0 predictions of the stable revision .* Does the runtime of the stable revision count them"),
        ({1.0: {"0": LEAST - 1.0}}, f"{LEAST - 1} predictions of the stable revision .*; it takes {LEAST}"),
    ],
)
def test_it_waits_for_enough_of_the_stable_revision(before, says):
    seen = Evidence((DRIFT,)).after(answer(some_looks(1), before=before), 0.01)
    judgement = seen.judge(0.01)
    assert judgement.verdict == "INSUFFICIENT"
    assert re.search(says, judgement.message)


def test_a_new_step_needs_its_own_evidence_and_a_promoted_revision_has_nothing_beside_it():
    seen = Evidence((DRIFT,)).after(answer(some_looks(60), before=HISTORY), 0.01)
    assert seen.judge(0.01).verdict == "PASS"
    assert seen.of_a_new_step().judge(0.01).verdict == "INSUFFICIENT"
    assert not seen.alone().metrics
