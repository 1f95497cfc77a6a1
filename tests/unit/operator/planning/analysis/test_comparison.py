"""One metric through a rollout: what it finds, what it does not, and that a restart changes nothing."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mooring_operator.planning.analysis.bets import Limit, Look
from mooring_operator.planning.analysis.bursts import Bursts, scale_of
from mooring_operator.planning.analysis.comparison import Comparison, smallest_excess

LOOKS = 180
some_looks = st.lists(
    st.tuples(st.integers(0, 200), st.integers(0, 200), st.integers(0, 900), st.integers(0, 900)).map(
        lambda c: Look(min(c[0], c[1]), c[1], min(c[2], c[3]), c[3])
    ),
    max_size=25,
)


def draw(rng: random.Random, p: float, n_c: int, q: float, n_s: int) -> Look:
    def count(n: int, rate: float) -> int:
        return sum(rng.random() < rate for _ in range(n))

    return Look(count(n_c, p), n_c, count(n_s, q), n_s)


def run(comparison: Comparison, looks: list[Look]) -> Comparison:
    for look in looks:
        comparison = comparison.after(look)
    return comparison


def looks_until(comparison: Comparison, looks: list[Look], done: Callable[[Comparison], bool]) -> int | None:
    for number, look in enumerate(looks, 1):
        comparison = comparison.after(look)
        if done(comparison):
            return number
    return None


def test_it_agrees_with_the_figures_of_the_published_method() -> None:
    """Evidence computed by hand-independent code: the reference implementation of the method."""
    rng = random.Random(1)
    looks = [draw(rng, 0.03, 100, 0.01, 900) for _ in range(19)]
    # It knows no bursts that outlast a look, where there was no hour before.
    seen = run(Comparison(Limit(1.0, 0.005), minute=1), looks)
    assert (seen.candidate, seen.stable) == (62, 187)
    assert seen.fail == pytest.approx(129, abs=0.5)
    assert run(Comparison(Limit(1.0, 0.0053), minute=1), looks).worse.value == pytest.approx(100, rel=0.03)


@pytest.mark.parametrize("base", [0.01, 0.3, 0.7])
def test_a_candidate_at_the_limit_is_seldom_rejected_however_often_one_looks(base: float) -> None:
    rng, rejected, runs = random.Random(7), 0, 60
    for _ in range(runs):
        looks = [draw(rng, base + 0.005, 20, base, 80) for _ in range(LOOKS)]
        rejected += run(Comparison(Limit(1.0, 0.005)), looks).fail >= 100
    assert rejected <= 3  # 1% of 60: more than 3 has a probability of .0003


def test_total_failure_is_found_at_once_and_never_in_one_look() -> None:
    looks = [Look(20, 20, 0, 80)] * 10
    found = looks_until(Comparison(Limit(1.0, 0.005)), looks, lambda c: c.worse.value >= 100)
    assert found is not None
    assert 2 <= found <= 4


class Rare(Comparison):
    """Every rate taken for a rare one, as by a Poisson law."""

    is_dense = False


@pytest.mark.parametrize(("base", "times"), [(0.3, 0.8), (0.6, 0.6)])
def test_dense_rates_are_decided_in_less_looks_by_their_own_form(base: float, times: float) -> None:
    """How many looks a fault of five points takes, and how many a PASS does: the medians of some rollouts."""
    rng, limit = random.Random(3), Limit(1.1, 0.01)
    for rate, evidence in ((1.1 * base + 0.06, "worse"), (base, "better")):
        wanted = 100 if evidence == "worse" else 20

        def done(c: Comparison, evidence: str = evidence, wanted: float = wanted) -> bool:
            return getattr(c, evidence).value >= wanted

        rollouts = [[draw(rng, rate, 40, base, 160) for _ in range(LOOKS)] for _ in range(7)]
        medians = [
            sorted(looks_until(begun, looks, done) or 10 * LOOKS for looks in rollouts)[3]
            for begun in (Rare(limit), Comparison(limit))
        ]
        assert medians[1] < times * medians[0], (evidence, medians)


def test_a_rate_counts_as_dense_once_it_is_known_to_be() -> None:
    comparison = Comparison(Limit(1.2, 0.002))
    assert not comparison.is_dense
    assert not comparison.after(Look(0, 5, 4, 5)).is_dense
    assert comparison.after(Look(0, 5, 40, 50)).is_dense
    assert not comparison.after(Look(0, 5, 40, 500)).is_dense
    assert Comparison(Limit(0.0, 0.2)).is_dense
    assert not Comparison(Limit(0.0, 0.02)).is_dense


def test_where_no_candidate_can_be_beyond_the_limit_nothing_fails_and_nothing_passes() -> None:
    """The load of both revisions rises until nine tenths of stable's requests are slow: 1.2 times that is all."""
    rng, limit = random.Random(4), Limit(1.2, 0.002)
    shares = [0.5] * 6 + [0.9] * 60
    for slow in (0.9, 1.0):
        before = run(Comparison(limit), [draw(rng, share, 40, share, 160) for share in shares[:6]])
        after = run(before, [draw(rng, slow, 40, share, 160) for share in shares[6:]])
        assert after.fail < 5
        assert after.ok == before.ok


def test_a_fault_is_found_once_the_load_has_fallen_again() -> None:
    rng, limit = random.Random(6), Limit(1.2, 0.002)
    high = run(Comparison(limit), [draw(rng, 1.0, 40, 0.9, 160) for _ in range(12)])
    found = looks_until(high, [draw(rng, 0.95, 40, 0.5, 160) for _ in range(60)], lambda c: c.fail >= 100)
    assert found is not None


def test_changing_weights_and_a_rising_base_are_no_evidence() -> None:
    """Pooled counts would find a difference: the candidate has most of its traffic when errors are most."""
    rng, looks = random.Random(5), []
    for weight, base in ((0.05, 0.01), (0.2, 0.03), (0.5, 0.09)):
        looks += [draw(rng, base, int(100 * weight), base, int(100 * (1 - weight))) for _ in range(60)]
    seen = run(Comparison(Limit(1.0, 0.002)), looks)
    assert seen.candidate / seen.candidate_of > 1.3 * seen.stable / seen.stable_of
    assert seen.fail < 10


def test_looks_without_traffic_are_counted_and_prove_nothing() -> None:
    comparison = Comparison(Limit(1.2, 0.002))
    seen = run(comparison, [Look(0, 0, 3, 100), Look(5, 10, 0, 0), Look(0, 0, 0, 0)])
    assert seen.looks == 3
    assert (seen.worse, seen.better) == (comparison.worse, comparison.better)


def test_a_plain_threshold_does_not_look_at_the_stable_revision() -> None:
    threshold = Comparison(Limit(0.0, 0.01))
    for stable, stable_of in ((900, 1000), (0, 0)):
        assert run(threshold, [Look(10, 100, stable, stable_of)] * 30).fail >= 100
        assert run(threshold, [Look(0, 100, stable, stable_of)] * 30).fail < 2


@settings(max_examples=60)
@given(some_looks, st.integers(0, 25), st.sampled_from([0.002, 0.3]))
def test_a_restart_at_any_look_changes_nothing(looks: list[Look], at: int, points: float) -> None:
    whole = Comparison(Limit(1.2, points), bursts=Bursts(0.003))
    half = run(whole, looks[:at])
    resumed = whole.resumed(half.to_numbers())
    assert resumed == half
    assert run(resumed, looks[at:]) == run(whole, looks)


@pytest.mark.parametrize("numbers", [[], [1.0], [float("nan")] * 46, [-1.0] * 46])
def test_evidence_that_was_damaged_is_refused(numbers: list[float]) -> None:
    with pytest.raises(ValueError, match="not that of a comparison"):
        Comparison(Limit(1.2, 0.002)).resumed(numbers)


@given(some_looks)
def test_what_was_found_stays_found(looks: list[Look]) -> None:
    seen = Comparison(Limit(1.0, 0.001))
    for look in looks:
        after = seen.after(look)
        assert after.fail >= seen.fail
        assert after.ok >= seen.ok
        seen = after


def test_bursty_traffic_has_a_larger_scale_than_quiet_traffic() -> None:
    rng = random.Random(2)
    quiet = [draw(rng, 0.01, 0, 0.02, 500).stable for _ in range(360)]
    bursty = [draw(rng, 0.01, 0, 0.2 if rng.random() < 0.1 else 0.001, 500).stable for _ in range(360)]
    requests = [500.0] * 360
    assert scale_of(quiet, requests) < 0.003
    assert scale_of(bursty, requests) > 0.03
    assert scale_of([0.0] * 360, requests) == 0
    learnt = Bursts(history=0.0)
    for events in bursty:
        learnt = learnt.after(events, 500)
    assert learnt.theta > 0.03


@pytest.mark.parametrize("mean", [0.02, 0.5])
def test_own_bursts_are_no_evidence_once_the_history_has_shown_them(mean: float) -> None:
    rng, rejected, runs = random.Random(11), 0, 40

    def bursty(n: int) -> float:
        rate = rng.betavariate(mean * 49, (1 - mean) * 49)
        return float(sum(rng.random() < rate for _ in range(n)))

    history = scale_of([bursty(400) for _ in range(360)], [400.0] * 360)
    assert 0.01 < history < 0.06
    for _ in range(runs):
        looks = [Look(bursty(20), 20, bursty(80), 80) for _ in range(LOOKS)]
        start = replace(Comparison(Limit(1.0, 0.002)), bursts=Bursts(history))
        rejected += run(start, looks).fail >= 100
    assert rejected <= 2


def test_bursts_of_a_minute_that_no_hour_could_show_are_seldom_evidence() -> None:
    rng, rejected, runs = np.random.default_rng(5), 0, 100
    for _ in range(runs):
        rates = np.repeat(rng.beta(0.5, 49.5, (2, LOOKS // 6 + 1)), 6, axis=1)[:, rng.integers(6) :]
        counts = rng.binomial([[200], [800]], rates).astype(float).T[:LOOKS]
        looks = [Look(candidate, 200, stable, 800) for candidate, stable in counts.tolist()]
        rejected += run(Comparison(Limit(1.0, 0.005)), looks).fail >= 100
    assert rejected <= 4


def test_what_no_burst_could_be_is_found_at_once_without_an_hour_before() -> None:
    rng = random.Random(6)
    looks = [draw(rng, 0.5, 200, 0.01, 800) for _ in range(10)]
    assert looks_until(Comparison(Limit(1.0, 0.005)), looks, lambda seen: seen.fail >= 100) <= 4


def test_a_few_minutes_before_are_unlearnt_like_any_looks() -> None:
    few = Bursts.of_history([3.0] * 20, [300.0] * 20)
    assert (few.history, few.looks) == (None, 20)
    assert few.unseen(6) == Bursts(looks=20).unseen(6) > 10 * Bursts(looks=120).unseen(6) > 0
    hour = Bursts.of_history([3.0] * 360, [300.0] * 360)
    assert (hour.history, hour.looks, hour.unseen(6)) == (scale_of([3.0] * 360, [300.0] * 360), 0, 0)


@pytest.mark.parametrize(("hold", "covered"), [(1, 0.9), (6, 0.4)], ids=["a look", "a minute"])
def test_an_hour_shows_how_large_bursts_may_be_whenever_they_begin(hold, covered):
    rng, rate, theta, hours = np.random.default_rng(1), 0.05, 0.02, 100
    least = []
    for _ in range(hours):
        jumps = np.repeat(rng.gamma(rate / theta, theta, 362), hold)
        begun = rng.integers(hold)
        counts = rng.poisson(1000 * jumps[begun : begun + 360]).astype(float)
        least.append(scale_of(counts.tolist(), [1000.0] * 360))
    # Sums of looks vary as if each look had so many times the scale.
    assert np.mean(np.array(least) >= hold * theta) >= covered


def test_bursts_show_where_half_of_all_requests_are_events() -> None:
    """Such counts vary half as much as rare ones would: bursts of that size would not show by a Poisson law."""
    rng = random.Random(12)

    def count(theta: float) -> float:
        rate = rng.betavariate(0.5 / theta, 0.5 / theta) if theta else 0.5
        return float(sum(rng.random() < rate for _ in range(200)))

    for theta, least, most in ((0.0, 0.0, 0.003), (0.005, 0.004, 0.02)):
        counts = [count(theta) for _ in range(360)]
        assert least <= scale_of(counts, [200.0] * 360) <= most
        learnt = Bursts(history=0.0)
        for events in counts:
            learnt = learnt.after(events, 200)
        assert least * 0.5 <= learnt.theta <= most


@settings(max_examples=40)
@given(some_looks)
def test_the_smallest_excess_is_what_the_evidence_just_suffices_for(looks: list[Look]) -> None:
    excess = smallest_excess(looks, 1.0)
    assert -1 <= excess <= 1
    if -1 < excess < 0.99:
        assert run(Comparison(Limit(1.0, excess)), looks).worse.value >= 100
