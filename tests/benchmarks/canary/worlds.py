"""Simulated canaries: what two revisions count in each look of ten seconds, for thirty minutes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.float64]
Generator = np.random.Generator
Rates = Callable[[Counts], Counts]
Bursts = Literal["none", "own", "shared", "long"]

LOOK = 10
LOOKS = 180
HISTORY = 360
CORRELATION = 0.02
"""Intra-look correlation of bursts."""


@dataclass(frozen=True)
class World:
    """What happens besides the candidate's fault.

    bursts: whether errors jump from look to look: in each revision, in both alike, or each for a minute.
    weights: share of the candidate, over time; base: factor on the error rate, over time.
    """

    name: str
    bursts: Bursts = "none"
    weights: tuple[float, ...] = (0.2,)
    base: tuple[float, float] = (1.0, 1.0)


WORLDS = (
    World("plain"),
    World("own bursts", "own"),
    World("shared bursts", "shared"),
    World("bursts of 60 s", "long"),
    World("weights 5, 20, 50; base x3", weights=(0.05, 0.2, 0.5), base=(1.0, 3.0)),
)

LOADS = (
    *WORLDS[:4],
    World("weights 5, 20, 50; share x1.4", weights=(0.05, 0.2, 0.5), base=(1.0, 1.4)),
    World("share x.7 to x1.5: at .6 the limit ends up above 100%", base=(0.7, 1.5)),
)
"""For shares that are not small: what both revisions' load makes of them."""


@dataclass(frozen=True)
class Canary:
    """Counts by run and look: arrays (runs, LOOKS); `history` is the stable revision's hour before."""

    candidate: Counts
    candidate_of: Counts
    stable: Counts
    stable_of: Counts
    history: Counts
    history_of: Counts


def draw(rng: Generator, runs: int, world: World, rate: float, per_second: float, candidate: Rates) -> Canary:
    """Draw rollouts in which the candidate's error rate follows from the stable revision's."""
    shape = (runs, LOOKS)
    share = np.repeat(np.array(world.weights), LOOKS // len(world.weights))
    base = rate * np.linspace(*world.base, LOOKS)
    candidate_of = rng.poisson(per_second * LOOK * share, shape)
    stable_of = rng.poisson(per_second * LOOK * (1 - share), shape)
    ours, theirs = _rates(rng, shape, world.bursts, base, candidate)
    history_of = rng.poisson(per_second * LOOK, (runs, HISTORY))
    history_rate, _ = _rates(rng, (runs, HISTORY), world.bursts, np.full(HISTORY, rate), candidate)
    return Canary(
        *(
            counted.astype(float)
            for counted in (
                rng.binomial(candidate_of, theirs),
                candidate_of,
                rng.binomial(stable_of, ours),
                stable_of,
                rng.binomial(history_of, history_rate),
                history_of,
            )
        )
    )


def _rates(
    rng: Generator, shape: tuple[int, int], bursts: Bursts, base: Counts, candidate: Rates
) -> tuple[Counts, Counts]:
    """Error rates of the stable revision and of the candidate, by run and look."""

    def capped(rates: Counts) -> Counts:
        return np.clip(rates, 0, 1)

    match bursts:
        case "none":
            return np.broadcast_to(base, shape), np.broadcast_to(capped(candidate(base)), shape)
        case "own":
            return _jumps(rng, shape, base), _jumps(rng, shape, capped(candidate(base)))
        case "shared":
            both = _jumps(rng, shape, base)
            return both, capped(candidate(both))
        case "long":
            return _held(rng, shape, base), _held(rng, shape, capped(candidate(base)))


def _jumps(rng: Generator, shape: tuple[int, int], mean: Counts) -> Counts:
    scale = 1 / CORRELATION - 1
    rates = np.broadcast_to(mean, shape)
    return rng.beta(np.maximum(rates * scale, 1e-9), np.maximum((1 - rates) * scale, 1e-9))


def _held(rng: Generator, shape: tuple[int, int], mean: Counts) -> Counts:
    runs, looks = shape
    average = float(np.mean(mean))
    blocks = _jumps(rng, (runs, -(-looks // 6)), np.full(-(-looks // 6), average))
    held = np.repeat(blocks, 6, axis=1)[:, :looks]
    return np.clip(held * np.broadcast_to(mean, shape) / average, 0, 1)
