"""Decides whether predictions have become worse than rules allow, by the good end of each interval, or plainly.

What was measured has an interval of 95 %, and so has what it is compared with. The bound of their difference is taken
from both (MOVER: Zou & Donner 2008; for shares Newcombe 1998): the estimate less the root of the sum of the squared
distances to the ends. Where the baseline is only a figure and a number of rows, its distance is taken to be that of the
window, scaled by the roots of both numbers of rows.

A rule whose limit is just kept is broken in one window of 40 by chance, and in fewer the better the predictions are.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mooring_artifacts.drift_question import PerformanceQuestion, PerformanceRule
from mooring_artifacts.gates import Interval
from mooring_artifacts.judging import BETTER_LOW
from mooring_artifacts.run_documents import BrokenRule, MeasuredMetric


@dataclass(frozen=True)
class Figure:
    """What a metric was before: its interval where that is known, else the rows that it was measured on."""

    value: float
    interval: Interval | None = None
    rows: int = 0


DEFAULT_RULES = (PerformanceRule(metric="accuracy", margin=0.05),)


def rules_of(asked: PerformanceQuestion, metrics: Collection[str]) -> Sequence[PerformanceRule]:
    """Give the rules that are asked for; where there are none, those of what was measured."""
    return asked.rules or [rule for rule in DEFAULT_RULES if rule.metric in metrics]


def judge(
    rules: Sequence[PerformanceRule],
    metrics: Mapping[str, MeasuredMetric],
    rows: int,
    figures: Mapping[str, Figure],
    unmeasured: Mapping[str, str],
    *,
    plain: bool = False,
) -> tuple[list[BrokenRule], list[str]]:
    """Give the rules that are broken, and why others cannot be judged.

    Args:
        rules: of the monitor.
        metrics: what was measured, by name.
        rows: on how many.
        figures: the baseline's.
        unmeasured: why a metric was not measured.
        plain: whether what was measured is taken as it is.
    """
    broken, unjudged = [], []
    for rule in rules:
        found = metrics.get(rule.metric)
        if found is None:
            unjudged.append(f"{rule.metric}: {unmeasured.get(rule.metric, 'it was not measured')}")
            continue
        good = found.low if rule.metric in BETTER_LOW else found.high
        good = found.value if plain else good
        if good is None:
            unjudged.append(f"{rule.metric}: no interval is known")
            continue
        figure = figures.get(rule.metric)
        if rule.margin is not None and figure is None:
            unjudged.append(f"{rule.metric}: there is no figure of the baseline to compare with")
        if plain:
            messages = _plainly_broken(rule, found.value, figure)
        else:
            messages = _broken(rule, found.value, good, rows, figure)
        broken += [BrokenRule(metric=rule.metric, message=message) for message in messages]
    return broken, unjudged


def _broken(
    rule: PerformanceRule, value: float, good: float, rows: int, figure: Figure | None
) -> Iterator[str]:
    low_is_better = rule.metric in BETTER_LOW
    if rule.limit is not None and (good > rule.limit if low_is_better else good < rule.limit):
        words = ("at least", "at most") if low_is_better else ("at most", "at least")
        yield f"{rule.metric} is {value:.4g}, {words[0]} {good:.4g}; it must be {words[1]} {rule.limit:.6g}"
    if rule.margin is None or figure is None:
        return
    worse = least_loss(rule.metric, value, good, rows, figure)
    if worse > rule.margin:
        yield (
            f"{rule.metric} is {value:.4g} and was {figure.value:.4g}: worse by at least {worse:.4g}, and "
            f"{rule.margin:.6g} is allowed"
        )


def _plainly_broken(rule: PerformanceRule, value: float, figure: Figure | None) -> Iterator[str]:
    low_is_better = rule.metric in BETTER_LOW
    if rule.limit is not None and (value > rule.limit if low_is_better else value < rule.limit):
        yield f"{rule.metric} is {value:.4g}; it must be {'at most' if low_is_better else 'at least'} {rule.limit:.6g}"
    if rule.margin is None or figure is None:
        return
    worse = value - figure.value if low_is_better else figure.value - value
    if worse > rule.margin and not math.isclose(worse, rule.margin):  # .9 - .85 is more than .05
        yield (
            f"{rule.metric} is {value:.4g} and was {figure.value:.4g}: worse by {worse:.4g}, and {rule.margin:.6g} is "
            "allowed"
        )


def least_loss(metric: str, value: float, good: float, rows: int, figure: Figure) -> float:
    """Give how much worse a metric has become at least, with 97.5 %; negative where it may have become better.

    Args:
        metric: its name, which tells in which direction it is better.
        value: what it is now.
        good: the end of its interval on the good side.
        rows: that it was measured on.
        figure: what it was.
    """
    low_is_better = metric in BETTER_LOW
    worse = value - figure.value if low_is_better else figure.value - value
    spread = abs(value - good)
    return worse - math.hypot(spread, _spread_before(figure, spread, rows, low_is_better=low_is_better))


def _spread_before(figure: Figure, spread: float, rows: int, *, low_is_better: bool) -> float:
    """Give how much worse than its figure the baseline may be."""
    bound = None
    if figure.interval is not None:
        bound = figure.interval.high if low_is_better else figure.interval.low
    if bound is not None:
        return abs(bound - figure.value)
    return spread * math.sqrt(rows / figure.rows) if figure.rows else 0.0
