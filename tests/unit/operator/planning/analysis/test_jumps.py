"""Bursts that the candidate alone has are learnt from its own looks; a fault that begins once is none."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mooring_operator.planning.analysis.bets import Limit, Look
from mooring_operator.planning.analysis.bursts import LARGEST
from mooring_operator.planning.analysis.comparison import Comparison
from mooring_operator.planning.analysis.jumps import Jumps

OF = 1000
THETA = 0.02


def counted(rng, rate, of=OF):
    return float(sum(rng.random() < rate for _ in range(of)))


def shown(rates, of=OF, seed=1):
    rng, jumps = random.Random(seed), Jumps()
    for rate in rates:
        jumps = jumps.after(counted(rng, rate, of), of)
    return jumps


def bursts(rng, mean, hold, looks):
    """Rates that follow a beta law of correlation 0.02, each for so many looks."""
    size = 1 / THETA - 1
    return [
        rate
        for _ in range(looks // hold)
        for rate in [rng.betavariate(mean * size, (1 - mean) * size)] * hold
    ]


@pytest.mark.parametrize(("hold", "least"), [(1, 0.5), (3, 1.2), (6, 2.0)])
def test_bursts_of_up_to_a_minute_are_shown(hold, least):
    found = shown(bursts(random.Random(5), 0.05, hold, 120))
    assert least * THETA < found.theta < 4 * hold * THETA


def test_steady_rates_show_next_to_nothing_and_a_pass_doubts_more():
    found = shown([0.05] * 120)
    assert found.theta <= found.theta_of_pass < THETA / 10


def test_a_fault_that_begins_once_is_no_burst():
    """The mean of all looks would take it for one that lasts for half of the time."""
    steady = shown([0.01] * 60 + [0.05] * 60)
    assert steady.theta < THETA / 2
    assert shown(([0.01] * 3 + [0.05] * 3) * 20).theta > 3 * steady.theta


def test_few_looks_hide_bursts_before_a_pass():
    few = shown(bursts(random.Random(2), 0.05, 1, 6))
    assert few.theta_of_pass > 1.4 * few.theta > 0


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=40))
@settings(max_examples=200, deadline=None)
def test_whatever_is_counted_the_scale_is_in_bounds_and_kept(looks):
    jumps = Jumps()
    for events, more in looks:
        jumps = jumps.after(events, events + more)
        assert 0 <= jumps.theta <= LARGEST
        assert jumps.theta <= jumps.theta_of_pass <= LARGEST
        assert min(jumps.to_numbers()) >= 0
    again = Jumps.from_numbers(jumps.to_numbers())
    assert again == jumps


def test_numbers_of_something_else_are_refused():
    with pytest.raises(ValueError, match="want 25 numbers, got 3"):
        Jumps.from_numbers([1.0, 2.0, 3.0])


def ends(candidate, looks, stable=0.05, seed=3):
    """Give how many of some rollouts fail and pass, whose candidate alone bursts."""
    rng, failed, passed = random.Random(seed), 0, 0
    for _ in range(20):
        comparison = Comparison(Limit(1.0, 0.005))
        for rate in candidate(rng, looks):
            comparison = comparison.after(Look(counted(rng, rate, 200), 200, counted(rng, stable, 800), 800))
            if comparison.fail >= 100 or comparison.ok >= 20:
                break
        failed, passed = failed + (comparison.fail >= 100), passed + (comparison.ok >= 20)
    return failed, passed


def test_a_candidate_that_bursts_alone_at_its_limit_is_neither_failed_nor_passed():
    """Its counts jump by five times what chance makes of them; known by stable's alone, two of three were decided."""
    failed, passed = ends(lambda rng, looks: bursts(rng, 0.055, 1, looks), 60)
    assert failed + passed <= 1


def test_no_minute_of_good_looks_makes_a_pass():
    comparison = Comparison(Limit(1.0, 0.005))
    for _ in range(18):
        comparison = comparison.after(Look(0, 100_000, 1000, 100_000))
        assert comparison.ok < 20
    for _ in range(6):
        comparison = comparison.after(Look(0, 100_000, 1000, 100_000))
    assert comparison.ok >= 20
