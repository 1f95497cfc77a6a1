"""No bet may grow, on average, while the candidate is on the other side of the limit: summed up exactly."""

from __future__ import annotations

from collections.abc import Iterator
from math import comb, exp, lgamma, log

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mooring_operator.planning.analysis import bets, bursts, dense
from mooring_operator.planning.analysis.bets import Capital, Limit, Look

ROUNDING = 1e-9
counts = st.integers(1, 14)
rates = st.floats(0.001, 0.999)
limits = st.builds(
    Limit,
    st.sampled_from([0.0, 0.5, 1.0, 1.2, 3.0]),
    st.sampled_from([0.002, 0.05, 0.2]),
)
lower_limits = st.builds(Limit, st.sampled_from([0.5, 1.0, 3.0]), st.sampled_from([-0.4, -0.05, 0.0]))
"""Limits below stable's rate: by how much a candidate exceeds it, at least, is found by them."""


def binomial(n: int, p: float) -> list[float]:
    return [comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)]


def looks(n_c: int, p: float, n_s: int, q: float) -> Iterator[tuple[float, Look]]:
    """All looks that can be, with how probable they are."""
    for x_c, of_c in enumerate(binomial(n_c, p)):
        for x_s, of_s in enumerate(binomial(n_s, q)):
            yield of_c * of_s, Look(x_c, n_c, x_s, n_s)


def expectations(
    payoffs: dict[str, tuple[float, ...]], n_c: int, p: float, n_s: int, q: float, limit: Limit, known: float
) -> Iterator[tuple[str, float]]:
    """What each alternative is expected to be paid, by either form of the bet."""
    for form, alternatives in payoffs.items():
        totals = [0.0] * len(alternatives)
        for probability, look in looks(n_c, p, n_s, q):
            if form == "rare":
                paid = bets.payoffs(alternatives, look, limit, 0.0, most=1e300)
            else:
                paid = dense.payoffs(alternatives, look, limit, known, most=1e300)
            totals = [total + probability * one for total, one in zip(totals, paid, strict=True)]
        yield from ((f"{form} {a}", total) for a, total in zip(alternatives, totals, strict=True))


@given(counts, counts, rates, st.floats(0, 1), limits | lower_limits, rates)
def test_evidence_for_worse_does_not_grow_while_the_candidate_is_within_its_limit(
    n_c: int, n_s: int, q: float, part: float, limit: Limit, known: float
) -> None:
    p = part * min(limit.ratio * q + limit.points, 1.0)
    if limit.ratio * q + limit.points < 0:
        return  # no candidate can be within it
    forms = {"rare": bets.WORSE, "dense": dense.WORSE}
    for name, mean in expectations(forms, n_c, p, n_s, q, limit, known):
        assert mean <= 1 + ROUNDING, name


@given(counts, counts, rates, st.floats(0, 1), limits, rates)
def test_evidence_for_better_does_not_grow_while_the_candidate_is_beyond_its_limit(
    n_c: int, n_s: int, q: float, part: float, limit: Limit, known: float
) -> None:
    least = min(limit.ratio * q + limit.points, 1.0)
    if limit.ratio * q + limit.points > 1:
        return  # no candidate can be beyond it
    p = least + part * (1 - least)
    forms = {"rare": bets.BETTER, "dense": dense.BETTER}
    for name, mean in expectations(forms, n_c, p, n_s, q, limit, known):
        assert mean <= 1 + ROUNDING, name


@pytest.mark.parametrize("form", ["rare", "dense"])
def test_evidence_grows_beyond_the_limit(form: str) -> None:
    limit = Limit(1.0, 0.05)
    alternatives = bets.WORSE if form == "rare" else dense.WORSE
    means = dict(expectations({form: alternatives}, 14, 0.5, 14, 0.1, limit, 0.1))
    assert max(means.values()) > 2


def negative_binomial(n: int, rate: float, theta: float) -> list[float]:
    """Counts of n requests whose rate follows a gamma law of scale theta."""
    shape, odds = rate / theta, n * theta / (1 + n * theta)
    return [
        exp(lgamma(k + shape) - lgamma(shape) - lgamma(k + 1) + k * log(odds) + shape * log(1 - odds))
        for k in range(400)
    ]


@pytest.mark.parametrize("theta", [0.001, 0.01, 0.05])
@pytest.mark.parametrize("alternatives", [bets.WORSE, bets.BETTER])
def test_bursts_of_the_stated_scale_are_no_evidence(theta: float, alternatives: tuple[float, ...]) -> None:
    limit, n_c, n_s, q = Limit(1.5, 0.01), 40, 200, 0.03
    p = limit.ratio * q + limit.points
    totals = [0.0] * len(alternatives)
    of_s = [(x, w) for x, w in enumerate(negative_binomial(n_s, q, theta)) if w > 1e-13 and x <= n_s]
    for x_c, of_c in enumerate(negative_binomial(n_c, p, theta)[: n_c + 1]):
        for x_s, weight in of_s:
            paid = bets.payoffs(alternatives, Look(x_c, n_c, x_s, n_s), limit, theta, most=1e300)
            totals = [total + of_c * weight * one for total, one in zip(totals, paid, strict=True)]
    assert all(total <= 1 + 1e-6 for total in totals), totals


def beta_binomial(n: int, p: float, theta: float) -> list[float]:
    """Counts of n requests that succeed or fail, whose rate follows a beta law of that scale."""
    a, b = p / theta, (1 - p) / theta
    constant = lgamma(a) + lgamma(b) - lgamma(a + b)
    return [
        comb(n, k) * exp(lgamma(k + a) + lgamma(n - k + b) - lgamma(n + a + b) - constant)
        for k in range(n + 1)
    ]


@settings(max_examples=60)
@given(
    st.integers(1, 40),
    st.integers(1, 120),
    st.floats(bursts.DENSE, 0.99),
    st.sampled_from([Limit(1.0, 0.01), Limit(1.2, 0.002), Limit(0.5, 0.1), Limit(1.0, 0.2), Limit(2.0, 0.0)]),
    st.floats(0.0003, 0.25),
    st.floats(bursts.DENSE, 0.99),
)
def test_bursts_of_one_revision_are_no_evidence_where_events_are_not_rare(
    n_c: int, n_s: int, q: float, limit: Limit, theta: float, known: float
) -> None:
    p = limit.ratio * q + limit.points
    if p >= 1:
        return  # no candidate can be beyond it
    of_c, of_s = beta_binomial(n_c, p, theta), beta_binomial(n_s, q, theta)
    for alternatives in (dense.WORSE, dense.BETTER):
        for alternative in alternatives:
            # What is paid is a product of what each revision's events pay: so is what is expected.
            expected = _expected(alternative, limit, known, theta, of_c, of_s)
            assert expected <= 1 + 1e-6, alternative


def _expected(
    alternative: float, limit: Limit, known: float, theta: float, of_c: list[float], of_s: list[float]
) -> float:
    n_c, n_s = len(of_c) - 1, len(of_s) - 1

    def paid(x_c: int, x_s: int) -> float:
        look = dense.thinned(Look(x_c, n_c, x_s, n_s), theta)
        return exp(dense.log_payoff(alternative, look, limit, known))

    nothing = paid(0, 0)
    candidate = sum(weight * paid(x, 0) for x, weight in enumerate(of_c))
    return candidate * sum(weight * paid(0, x) for x, weight in enumerate(of_s)) / nothing


@given(st.floats(0, 1), st.integers(1, 500))
def test_no_look_multiplies_a_bet_by_more_than_the_cap(share: float, requests: int) -> None:
    look = Look(round(share * requests), requests, 0, requests)
    assert max(bets.payoffs(bets.WORSE, look, Limit(1.0, 0.0), 0.0)) <= bets.CAP * (1 + ROUNDING)
    assert max(dense.payoffs(dense.WORSE, look, Limit(1.0, 0.0), 0.01)) <= bets.CAP * (1 + ROUNDING)


def test_a_capital_begins_with_one_and_holds_some_back() -> None:
    capital = Capital.begin(bets.WORSE)
    assert capital.value == pytest.approx(1)
    lost = capital.after((0.0,) * len(bets.WORSE))
    assert lost.value == pytest.approx(capital.held * 0.99)


@pytest.mark.parametrize(
    ("ratio", "points", "named"),
    [
        (-1, 0.1, "ratio"),
        (float("nan"), 0.1, "ratio"),
        (1, 1.0, "points"),
        (1, -0.1, "points"),
        (0, 0, "both 0"),
    ],
)
def test_a_limit_that_means_nothing_is_refused(ratio: float, points: float, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Limit.of(ratio, points)


@pytest.mark.parametrize("counted", [(2, 1, 0, 1), (0, 1, 2, 1), (-1, 1, 0, 1), (0, float("inf"), 0, 1)])
def test_counts_that_cannot_be_are_refused(counted: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValueError, match="is not a count of events among requests"):
        Look(*counted)
