"""Rules are broken by the good end of the interval, and rarely by chance."""

import numpy as np
import pytest
from mooring_artifacts.drift_question import PerformanceRule
from mooring_artifacts.gates import Interval
from mooring_artifacts.run_documents import MeasuredMetric
from mooring_components.intervals import mean, share
from mooring_components.performance.rules import Figure, judge, least_loss


def metric(name, value, low, high):
    return {name: MeasuredMetric(metric=name, value=value, low=low, high=high)}


def broken(rule, found, figures=(), rows=500, **how):
    failed, unjudged = judge([PerformanceRule.model_validate(rule)], found, rows, dict(figures), {}, **how)
    return [each.message for each in failed], unjudged


@pytest.mark.parametrize(
    ("rule", "found", "expected"),
    [
        ({"metric": "accuracy", "limit": 0.9}, metric("accuracy", 0.85, 0.82, 0.89), True),
        ({"metric": "accuracy", "limit": 0.9}, metric("accuracy", 0.85, 0.79, 0.91), False),
        ({"metric": "mae", "limit": 2}, metric("mae", 2.5, 2.1, 2.9), True),
        ({"metric": "mae", "limit": 2}, metric("mae", 2.5, 1.9, 3.1), False),
        # A small error and a high accuracy break nothing.
        ({"metric": "mae", "limit": 2}, metric("mae", 0.5, 0.4, 0.6), False),
        ({"metric": "accuracy", "limit": 0.9}, metric("accuracy", 0.99, 0.98, 0.995), False),
    ],
)
def test_a_limit_is_broken_where_the_whole_interval_is_beyond(rule, found, expected):
    messages, unjudged = broken(rule, found)
    assert (bool(messages), unjudged) == (expected, [])


@pytest.mark.parametrize(("name", "sign"), [("accuracy", -1), ("rmse", 1)])
def test_a_margin_counts_the_errors_of_both_sides(name, sign):
    # Worse by .10, each side known to .03: at least by .10 - .042.
    found = metric(name, 0.8 + sign * 0.1, 0.77 + sign * 0.1, 0.83 + sign * 0.1)
    before = {name: Figure(0.8, Interval(low=0.77, high=0.83))}
    assert broken({"metric": name, "margin": 0.05}, found, before)[0]
    assert not broken({"metric": name, "margin": 0.06}, found, before)[0]
    # The same from a number of rows: as many as the window has.
    by_rows = {name: Figure(0.8, rows=500)}
    assert broken({"metric": name, "margin": 0.05}, found, by_rows)[0]
    assert not broken({"metric": name, "margin": 0.06}, found, by_rows)[0]
    # Better is never worse.
    assert not broken({"metric": name, "margin": 0}, metric(name, 0.8 - sign * 0.1, 0.6, 0.95), before)[0]


@pytest.mark.parametrize(
    ("rule", "value", "expected"),
    [
        ({"metric": "accuracy", "margin": 0.05}, 0.849, "worse by 0.051, and 0.05 is allowed"),
        ({"metric": "accuracy", "margin": 0.05}, 0.85, None),
        ({"metric": "accuracy", "margin": 0.05}, 0.95, None),
        ({"metric": "mae", "margin": 0.05}, 0.96, "worse by 0.06, and 0.05 is allowed"),
        ({"metric": "mae", "margin": 0.05}, 0.849, None),
        ({"metric": "accuracy", "limit": 0.9}, 0.89, "accuracy is 0.89; it must be at least 0.9"),
        ({"metric": "accuracy", "limit": 0.9}, 0.9, None),
        ({"metric": "mae", "limit": 0.9}, 0.91, "mae is 0.91; it must be at most 0.9"),
    ],
)
@pytest.mark.parametrize("known", [True, False])
def test_a_plain_rule_takes_what_was_measured_as_it_is(rule, value, expected, known):
    ends = (value - 0.2, value + 0.2) if known else (None, None)
    name = rule["metric"]
    messages, unjudged = broken(
        rule, metric(name, value, *ends), {name: Figure(0.9, rows=50)}, rows=50, plain=True
    )
    assert (bool(messages), unjudged) == (expected is not None, [])
    assert all(expected in message for message in messages)


def test_without_an_interval_nothing_is_decided():
    messages, unjudged = broken({"metric": "f1", "limit": 0.9}, metric("f1", 0.1, None, None))
    assert (messages, unjudged) == ([], ["f1: no interval is known"])


def rate(draw, figure_of, name, margin, rounds=4000):
    """How often a rule is broken: in windows and baselines drawn anew."""
    random, alarms = np.random.default_rng(0), 0
    for _ in range(rounds):
        value, good, rows = draw(random)
        alarms += least_loss(name, value, good, rows, figure_of(random)) > margin
    return alarms / rounds


def of_accuracy(chance, rows):
    def draw(random):
        found = share(int(random.binomial(rows, chance)), rows)
        return found.value, found.high, rows

    return draw


@pytest.mark.parametrize("interval", [True, False])
@pytest.mark.parametrize(("window", "before"), [(200, 200), (200, 5000), (2000, 500)])
def test_a_window_breaks_a_rule_by_chance_once_in_forty_at_most(window, before, interval):
    def figure(random):
        found = share(int(random.binomial(before, 0.9)), before)
        return Figure(found.value, Interval(low=found.low, high=found.high) if interval else None, before)

    # At the limit itself; at most 2.5 % and what 4000 rounds leave open.
    assert rate(of_accuracy(0.85, window), figure, "accuracy", 0.05) <= 0.034
    # Unchanged predictions are far from it.
    assert rate(of_accuracy(0.9, window), figure, "accuracy", 0.05) <= 0.002


def test_errors_of_amounts_break_a_rule_by_chance_as_rarely():
    def draw(random):
        found = mean(random.exponential(1.3, 500))
        return found.value, found.low, 500

    def figure(random):
        return Figure(float(random.exponential(1.0, 500).mean()), rows=500)

    # Errors of amounts are skewed, and the central limit theorem holds at this many rows, about.
    assert rate(draw, figure, "mae", 0.3) <= 0.035


def test_a_real_drop_is_seen():
    def figure(random):
        return Figure(float(random.binomial(2000, 0.9)) / 2000, rows=2000)

    assert rate(of_accuracy(0.75, 500), figure, "accuracy", 0.05) >= 0.99
