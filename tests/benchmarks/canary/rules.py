"""Rules that judge canaries: ours by the shipped code, the peers' restated from their documentation.

Each gives the look (from 1) at which it rolls back, by run; infinity for never.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from mooring_operator.planning.analysis.bets import Limit, Look
from mooring_operator.planning.analysis.bursts import Bursts
from mooring_operator.planning.analysis.comparison import Comparison
from mooring_operator.planning.analysis.judgement import Errors, judge
from scipy.stats import mannwhitneyu, norm

from tests.benchmarks.canary.worlds import LOOKS, Canary, Counts

Looks = npt.NDArray[np.float64]
Rule = Callable[[Canary, Limit], Looks]

ALPHA = 0.01


def first(hits: npt.NDArray[np.bool_]) -> Looks:
    """Give the first look at which each run's row is true."""
    return np.where(hits.any(1), hits.argmax(1) + 1.0, np.inf)


# --- ours -----------------------------------------------------------------------------------------


def decide(canary: Canary, limit: Limit, verdict: str = "FAIL") -> Looks:
    """Judge as the product does, look by look."""
    fails, passes = decide_both_ways(canary, limit)
    return fails if verdict == "FAIL" else passes


def decide_both_ways(canary: Canary, limit: Limit) -> tuple[Looks, Looks]:
    """Give when each run fails, and when it passes; whichever comes first ends it."""
    ended = [_decided_at(canary, run, Comparison(limit)) for run in range(len(canary.stable))]
    fails, passes = (
        np.array([look if found == verdict else np.inf for look, found in ended])
        for verdict in ("FAIL", "PASS")
    )
    return fails, passes


class _Rare(Comparison):
    """Every rate taken for a rare one."""

    is_dense = False


def decide_as_rare(canary: Canary, limit: Limit) -> Looks:
    """Judge as the product would, did it take every rate for a rare one."""
    ended = [_decided_at(canary, run, _Rare(limit)) for run in range(len(canary.stable))]
    return np.array([look if found == "FAIL" else np.inf for look, found in ended])


def _decided_at(canary: Canary, run: int, begun: Comparison) -> tuple[float, str]:
    bursts = Bursts()
    if canary.history is not None and canary.history_of is not None:
        bursts = Bursts.of_history(canary.history[run].tolist(), canary.history_of[run].tolist())
    comparison, errors = replace(begun, bursts=bursts), Errors()
    counts = zip(
        canary.candidate[run].tolist(),
        canary.candidate_of[run].tolist(),
        canary.stable[run].tolist(),
        canary.stable_of[run].tolist(),
        strict=True,
    )
    for number, counted in enumerate(counts, 1):
        comparison = comparison.after(Look(*counted))
        found = judge({"errorRate": comparison}, {}, errors).verdict
        if found != "INSUFFICIENT":
            return float(number), found
    return np.inf, "INSUFFICIENT"


# --- Argo Rollouts and Flagger: thresholds on a window, so many failures ----------------------------


def _windowed(counts: Counts, looks: int) -> Counts:
    sums = np.cumsum(counts, 1)
    sums[:, looks:] = sums[:, looks:] - sums[:, :-looks]
    return sums


def threshold(least: float, *, every: int, window: int, failures: int) -> Rule:
    """Roll back when so many measurements of the candidate's success rate were below `least`; none is one of them."""

    def rule(canary: Canary, _: Limit) -> Looks:
        errors, requests = _windowed(canary.candidate, window), _windowed(canary.candidate_of, window)
        at = np.arange(every, LOOKS + 1, every) - 1
        with np.errstate(divide="ignore", invalid="ignore"):
            failed = ~(1 - errors[:, at] / requests[:, at] >= least)
        return first(np.cumsum(failed, 1) >= failures) * every

    return rule


def relative(canary: Canary, _: Limit) -> Looks:
    """Roll back when the candidate's rate over five minutes exceeds 1.2 times stable's, looked at every minute."""
    x, n, y, m = (
        _windowed(v, 30) for v in (canary.candidate, canary.candidate_of, canary.stable, canary.stable_of)
    )
    at = np.arange(6, LOOKS + 1, 6) - 1
    with np.errstate(divide="ignore", invalid="ignore"):
        return first(x[:, at] / n[:, at] > np.maximum(1.2 * y[:, at] / m[:, at], 1e-4)) * 6


# --- Kayenta: Mann-Whitney over minutes -------------------------------------------------------------


def kayenta(canary: Canary, _: Limit) -> Looks:
    """Roll back when the minutes' rates differ (98%, one side) beyond the tolerance of .25, from the fourth on."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ours, theirs = (
            _minutes(x) / _minutes(n)
            for x, n in ((canary.candidate, canary.candidate_of), (canary.stable, canary.stable_of))
        )
    return np.array([_kayenta_at(a, b) for a, b in zip(ours, theirs, strict=True)])


def _minutes(counts: Counts) -> Counts:
    return counts.reshape(len(counts), LOOKS // 6, 6).sum(2)


def _kayenta_at(candidate: Counts, stable: Counts) -> float:
    for minute in range(4, LOOKS // 6 + 1):
        a, b = candidate[:minute], stable[:minute]
        a, b = a[~np.isnan(a)], b[~np.isnan(b)]
        if not len(a) or not len(b) or np.ptp(np.concatenate([a, b])) == 0 or a.mean() < b.mean():
            continue
        shift = 0.25 * abs(float(np.median(a[:, None] - b[None, :])))
        found: Any = mannwhitneyu(a - shift, b, alternative="greater", method="asymptotic")
        if found.pvalue < ALPHA:
            return minute * 6.0
    return np.inf


# --- sequential tests on pooled counts --------------------------------------------------------------


def _pooled(canary: Canary, limit: Limit) -> tuple[Counts, Counts]:
    """The difference from the limit so far, and its variance."""
    x, n, y, m = (
        np.cumsum(v, 1) for v in (canary.candidate, canary.candidate_of, canary.stable, canary.stable_of)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        p, q = x / n, y / m
        return p - limit.ratio * q - limit.points, p * (1 - p) / n + limit.ratio**2 * q * (1 - q) / m


def msprt(canary: Canary, limit: Limit, tau: float = 0.01) -> Looks:
    """Normal mixture SPRT (Johari, Pekelis and Walsh), on one side."""
    d, v = _pooled(canary, limit)
    with np.errstate(divide="ignore", invalid="ignore"):
        evidence = 0.5 * np.log(v / (v + tau**2)) + d * d * tau**2 / (2 * v * (v + tau**2))
        return first((d > 0) & (v > 0) & (evidence >= np.log(1 / (2 * ALPHA))))


def pocock(canary: Canary, limit: Limit) -> Looks:
    """Group-sequential test that spends as Pocock's does, at every look."""
    d, v = _pooled(canary, limit)
    with np.errstate(invalid="ignore"):
        return first((v > 0) & (d > _boundary() * np.sqrt(v)))


@cache
def _boundary() -> Counts:
    """Lan and DeMets' boundary in standard deviations, by integrating the score process from look to look."""
    share = np.arange(1, LOOKS + 1) / LOOKS
    spent = ALPHA * np.log(1 + (np.e - 1) * share)
    grid = np.linspace(-8, 8, 3201)
    step, width = 1 / np.sqrt(LOOKS), grid[1] - grid[0]
    half = int(np.ceil(6 * step / width))
    kernel = norm.pdf(np.arange(-half, half + 1) * width, 0, step) * width
    density, boundary = norm.pdf(grid, 0, step), np.empty(LOOKS)
    for look in range(LOOKS):
        if look:
            density = np.convolve(density, kernel, "same")
        tail = np.cumsum(density[::-1])[::-1] * width
        spend = max(spent[look] - (spent[look - 1] if look else 0.0), 1e-13)
        cut = min(int(np.searchsorted(-tail, -spend)), len(grid) - 1)
        boundary[look] = grid[cut] / np.sqrt(share[look])
        density = np.where(np.arange(len(grid)) < cut, density, 0)
    return boundary


RULES: dict[str, Rule] = {
    "Mooring": decide,
    "Argo Rollouts >= .95, 60 s": threshold(0.95, every=6, window=1, failures=4),
    "Argo Rollouts <= .01, 10 s": threshold(0.99, every=1, window=30, failures=4),
    "> 1.2 x stable, 60 s": relative,
    "Flagger >= 99, 60 s, 10": threshold(0.99, every=6, window=6, failures=10),
    "Kayenta every 60 s": kayenta,
    "mSPRT": msprt,
    "Pocock": pocock,
}
