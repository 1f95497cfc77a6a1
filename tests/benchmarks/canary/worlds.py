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

    bursts: whether errors jump from look to look: in each revision, in both alike, or each for `hold` looks, from any
    look on. alone: whether only the candidate has them. before: whether the hour before has shown them.
    weights: share of the candidate, over time; base: factor on the error rate, over time.
    """

    name: str
    bursts: Bursts = "none"
    weights: tuple[float, ...] = (0.2,)
    base: tuple[float, float] = (1.0, 1.0)
    hold: int = 6
    alone: bool = False
    before: Literal["alike", "calm", "unknown"] = "alike"


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

UNSEEN = (
    *WORLDS[:4],
    World("bursts, without an hour before", "own", before="unknown"),
    World("bursts of 60 s, without an hour before", "long", before="unknown"),
    World("bursts of 60 s, that the hour before had not", "long", before="calm"),
    World("bursts of the candidate alone", "own", alone=True),
    World("bursts of 60 s, of the candidate alone", "long", alone=True),
    World("bursts of 300 s", "long", hold=30),
)
"""Bursts that history shows, and such as it does not."""


@dataclass(frozen=True)
class Canary:
    """Counts by run and look: arrays (runs, LOOKS); `history` is the stable revision's hour before, None: unknown."""

    candidate: Counts
    candidate_of: Counts
    stable: Counts
    stable_of: Counts
    history: Counts | None
    history_of: Counts | None


def draw(rng: Generator, runs: int, world: World, rate: float, per_second: float, candidate: Rates) -> Canary:
    """Draw rollouts in which the candidate's error rate follows from the stable revision's."""
    shape = (runs, LOOKS)
    share = np.repeat(np.array(world.weights), LOOKS // len(world.weights))
    base = rate * np.linspace(*world.base, LOOKS)
    candidate_of = rng.poisson(per_second * LOOK * share, shape)
    stable_of = rng.poisson(per_second * LOOK * (1 - share), shape)
    ours, theirs = _rates(rng, shape, world, base, candidate)
    if world.alone:
        ours = np.broadcast_to(base, shape)
    counted = (rng.binomial(candidate_of, theirs), candidate_of, rng.binomial(stable_of, ours), stable_of)
    return Canary(*(each.astype(float) for each in counted), *_before(rng, runs, world, rate, per_second))


def _before(
    rng: Generator, runs: int, world: World, rate: float, per_second: float
) -> tuple[Counts, Counts] | tuple[None, None]:
    """Draw the stable revision's hour before."""
    if world.before == "unknown":
        return None, None
    shape, mean = (runs, HISTORY), np.full(HISTORY, rate)
    of = rng.poisson(per_second * LOOK, shape)
    is_calm = world.alone or world.before == "calm"
    rates = mean if is_calm else _rates(rng, shape, world, mean, lambda rates: rates)[0]
    return rng.binomial(of, rates).astype(float), of.astype(float)


def _rates(
    rng: Generator, shape: tuple[int, int], world: World, base: Counts, candidate: Rates
) -> tuple[Counts, Counts]:
    """Error rates of the stable revision and of the candidate, by run and look."""

    def capped(rates: Counts) -> Counts:
        return np.clip(rates, 0, 1)

    match world.bursts:
        case "none":
            return np.broadcast_to(base, shape), np.broadcast_to(capped(candidate(base)), shape)
        case "own":
            return _jumps(rng, shape, base), _jumps(rng, shape, capped(candidate(base)))
        case "shared":
            both = _jumps(rng, shape, base)
            return both, capped(candidate(both))
        case "long":
            theirs = _held(rng, shape, capped(candidate(base)), world.hold)
            return _held(rng, shape, base, world.hold), theirs


def _jumps(rng: Generator, shape: tuple[int, int], mean: Counts) -> Counts:
    scale = 1 / CORRELATION - 1
    rates = np.broadcast_to(mean, shape)
    return rng.beta(np.maximum(rates * scale, 1e-9), np.maximum((1 - rates) * scale, 1e-9))


def _held(rng: Generator, shape: tuple[int, int], mean: Counts, hold: int) -> Counts:
    runs, looks = shape
    average = float(np.mean(mean))
    parts = -(-looks // hold) + 1
    blocks = np.repeat(_jumps(rng, (runs, parts), np.full(parts, average)), hold, axis=1)
    begun = rng.integers(0, hold, runs)
    held = np.take_along_axis(blocks, begun[:, None] + np.arange(looks), axis=1)
    return np.clip(held * np.broadcast_to(mean, shape) / average, 0, 1)
