"""Estimates MAE and RMSE without labels, from how large the loss of rows like these was: direct loss estimation (DLE).

A regression learns the loss of labelled rows, the absolute or squared error of each, from their features and the
prediction, and the mean of what it expects of rows without labels is the estimate. It is a quasi-Poisson regression
with a logarithmic link (McCullagh & Nelder 1989) on hat functions: effects of features multiply, as those on a standard
deviation mostly do, and no loss is negative. Its covariance is the sandwich with each row's leverage taken out (HC3:
MacKinnon & White 1985), since losses vary the more the larger they are.

It is right where the loss depends on features as it did (no concept drift, which no estimate without labels can see),
and where labelled rows lie where these do.

Source: NannyML's documentation, "Direct Loss Estimation", which learns by boosted trees instead and gives no interval
of what was learned.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import linalg, special

from mooring_components.intervals import Estimate, Z
from mooring_components.performance.terms import Column, Flags, Floats, Numeric, Terms, choose_terms

LEAST_ROWS = 1000
"""Labelled rows below which it cannot be learned what a loss depends on."""
MOST_OUTSIDE = 0.1
"""Share of rows like none that was learned, from which there is no estimate."""
_LEAST_EFFECTIVE = 100
_STEPS, _CONVERGED = 50, 1e-8
_PRIOR = 2.0
_GROUPS, _COMPARED = 5, 3
_IMPLAUSIBLE = 1e-4
_WORTH = 0.1
_SMALLEST = 1e-12
_FARTHEST = 30.0


@dataclass(frozen=True)
class Learned:
    """What the loss of rows depends on.

    scale: the mean loss; effects: (terms,), of the logarithm. covariances: (terms, terms), of the effects,
    by each row's own square and by squares that are smoothed; the larger one counts: where squares are skewed, most
    samples lack the rows that make them large.
    bread: (terms, terms), the inverse of the information, and reach, the greatest leverage of what was learned.
    spread: (2,), of the logarithm of the variance of a loss against that of its mean.
    """

    terms: Terms
    scale: float
    effects: Floats
    covariances: tuple[Floats, ...]
    bread: Floats
    reach: float
    spread: Floats

    def expect(self, rows: Mapping[str, Column]) -> Expected:
        """The loss that is expected of rows, columns as those that were learned."""
        design = self.terms.design(rows)
        return Expected(self, design, _mean(design, self.effects), self.terms.outside(rows))


@dataclass(frozen=True)
class Expected:
    """Losses that are expected of rows, in shares of the scale: `mean`, (rows,); `beyond`, values never seen."""

    learned: Learned
    design: Floats
    mean: Floats
    beyond: Flags

    @cached_property
    def variance(self) -> Floats:
        """Of each row's loss, (rows,)."""
        found: Floats = _variance(self.learned.spread, self.mean)
        return found

    @property
    def outside(self) -> float:
        """The share of rows like none that was learned, by a value or by how they are combined."""
        lever = _leverage(self.design, self.learned.bread, self.mean)
        return float((self.beyond | (lever > self.learned.reach)).mean())

    def gradient(self) -> Floats:
        """How the mean of the rows depends on the effects, (terms,)."""
        found: Floats = self.mean @ self.design / len(self.mean)
        return found


def learn(rows: Mapping[str, Column], loss: Floats) -> Learned:
    """Learn what the loss of rows, (rows,), of a mean above 0, depends on."""
    scale = float(loss.mean())
    shares = loss / scale
    terms = choose_terms(rows, shares)
    design = terms.design(rows)
    effects, bread = _fit(design, shares)
    mean = _mean(design, effects)
    lever = _leverage(design, bread, mean)
    off = (shares - mean) / np.maximum(1 - lever, 0.1)
    squares = np.square(off)
    spread = _learn_spread(mean, squares)
    found = (_sandwich(design, bread, each) for each in (squares, _variance(spread, mean)))
    return Learned(terms, scale, effects, tuple(found), bread, float(lever.max()), spread)


def _leverage(design: Floats, bread: Floats, mean: Floats) -> Floats:
    """How much each row, (rows,), has a say in what is expected of it."""
    found: Floats = mean * np.einsum("ij,ij->i", design @ bread, design)
    return found


def _sandwich(design: Floats, bread: Floats, variances: Floats) -> Floats:
    found: Floats = bread @ (design.T @ (design * variances[:, None])) @ bread
    return found


def estimate_loss(expected: Expected) -> Estimate:
    """Estimate the mean loss of rows without labels, with an interval of 95 %.

    The interval holds for what the labels of these rows would show. It is one of the logarithm, for losses are skewed.
    """
    value = float(expected.mean.mean())
    gradient = expected.gradient()
    learned = max(float(gradient @ each @ gradient) for each in expected.learned.covariances)
    drawn = float(expected.variance.sum()) / len(expected.mean) ** 2
    half = Z * float(np.sqrt(learned + drawn)) / value
    scale = expected.learned.scale
    return Estimate(value * scale, value * scale * float(np.exp(-half)), value * scale * float(np.exp(half)))


def check(rows: Mapping[str, Column], loss: Floats) -> str:
    """Say why the loss of labelled rows, in the order of time, cannot be learned; empty where it can.

    What the first half of the rows teaches holds in the second: each fifth of the prediction, and of the two columns
    that tell most, has the loss that is expected (chi-square), or nearly, by 10 % on average.
    """
    if len(loss) < LEAST_ROWS:
        return f"{len(loss)} labelled rows cannot show what a loss depends on; {LEAST_ROWS} can"
    if not loss.any():
        return "all labelled rows were predicted without any error: there is no loss to learn from"
    effective = float(loss.sum() ** 2 / np.square(loss).sum())
    if effective < _LEAST_EFFECTIVE:
        return (
            f"a few labelled rows have nearly all of the loss, which is worth {effective:.0f} rows; "
            f"{_LEAST_EFFECTIVE} are needed"
        )
    half = len(loss) // 2
    first = {name: values[:half] for name, values in rows.items()}
    second = {name: values[half:] for name, values in rows.items()}
    if not loss[:half].any():
        return "the loss began in the later half of the labelled rows"
    moved, chance = _compare(learn(first, loss[:half]), second, loss[half:])
    if chance < _IMPLAUSIBLE and moved > _WORTH:
        return (
            f"the loss depends otherwise on features in the later half of the rows, by {moved:.0%} on average"
        )
    return ""


def _compare(learned: Learned, rows: Mapping[str, Column], loss: Floats) -> tuple[float, float]:
    """Give how far losses are from what is expected, in shares and on average, and how likely that is by chance.

    Groups are of values: those of what is expected would be chosen by the same chance that it is wrong by.
    """
    expected = learned.expect(rows)
    gap = loss / learned.scale - expected.mean
    numbers = [term for term in learned.terms.terms if isinstance(term, Numeric)][:_COMPARED]
    inside = np.concatenate([_groups(rows[term.name]) for term in numbers], axis=1)
    gaps = inside.T @ gap
    gradients = inside.T @ (expected.mean[:, None] * expected.design)
    # What was learned is uncertain, too; a row is in a group of each column.
    drawn = inside.T @ (expected.variance[:, None] * inside)
    covariance = gradients @ learned.covariances[1] @ gradients.T + drawn
    inverse, rank = linalg.pinvh(covariance, rtol=1e-9, return_rank=True)
    moved = float(np.abs(gaps).sum()) / len(numbers) / float(expected.mean.sum())
    return moved, float(special.chdtrc(rank, float(gaps @ inverse @ gaps)))


def _groups(values: Column) -> Floats:
    """Give which fifth each row is in, (rows, fifths), of 1 and 0."""
    finite = np.where(np.isfinite(values), values, 0.0)
    edges = np.unique(np.quantile(finite, np.linspace(0, 1, _GROUPS + 1)[1:-1]))
    found: Floats = np.eye(len(edges) + 1)[np.searchsorted(edges, finite, side="right")]
    return found


def _fit(design: Floats, shares: Floats) -> tuple[Floats, Floats]:
    """Fit by Newton's steps; give the effects, and the inverse of the information.

    Effects are taken for normal around 0 with a deviation of 2, but for the first: where rows are many it does not
    matter, and columns that say the same do no harm.
    """
    effects = np.zeros(design.shape[1])
    penalty = np.full(len(effects), 1 / _PRIOR**2)
    penalty[0] = _SMALLEST
    before = np.inf
    for _ in range(_STEPS):
        mean = _mean(design, effects)
        bread = linalg.inv((design * mean[:, None]).T @ design + np.diag(penalty))
        step = bread @ (design.T @ (shares - mean) - penalty * effects)
        # Far from the end a whole step may lead astray.
        effects = effects + step * min(1.0, 2.0 / max(float(np.abs(step).max()), _SMALLEST))
        moved = float(np.abs(step).max())
        if moved < _CONVERGED or (moved < 1e-4 and moved >= before):
            break
        before = moved
    return effects, bread


def _learn_spread(mean: Floats, squares: Floats) -> Floats:
    """Learn how the variance of a loss grows with its mean, as a power of it."""
    logs = np.log(mean)
    scale = max(float(squares.mean()), _SMALLEST)
    if logs.std() < 1e-6:
        return np.array([np.log(scale), 0.0])
    found, _ = _fit(np.stack([np.ones(len(logs)), logs], axis=1), squares / scale)
    return np.array([found[0] + np.log(scale), found[1]])


def _variance(spread: Floats, mean: Floats) -> Floats:
    found: Floats = np.exp(np.clip(spread[0] + spread[1] * np.log(mean), -_FARTHEST, _FARTHEST))
    return found


def _mean(design: Floats, effects: Floats) -> Floats:
    found: Floats = np.exp(np.clip(design @ effects, -_FARTHEST, _FARTHEST))
    return found
