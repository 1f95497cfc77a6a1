"""How often a canary is rolled back for its predictions, and how soon one is found that answers differently.

    python -m tests.benchmarks.prediction_drift [--runs 100] [--json FILE]

Each rollout takes thirty minutes at 20% of traffic, with a look every ten seconds, and is judged by the shipped code,
with a limit of 5 points and 1% false rollbacks. Prints a table in Markdown; of 100 rollouts a share of 1% has a
standard error of 1%.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import numpy as np
import numpy.typing as npt
from mooring_operator.planning.analysis.bets import Limit
from mooring_operator.planning.analysis.judgement import Errors
from mooring_operator.planning.analysis.prediction_drift import CellLook, PredictionDrift

LOOK, LOOKS, HISTORY = 10, 180, 360
LIMIT, ERRORS = Limit(1.0, 0.05), Errors()
CORRELATION = 0.02
"""Intra-look correlation of bursts."""

Shares = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Model:
    """What the stable revision predicts how often; `away` and `to` are the cells that answers move between."""

    name: str
    cells: tuple[str, ...]
    shares: tuple[float, ...]
    away: int
    to: int

    def moved(self, points: float) -> Shares:
        shares = np.array(self.shares)
        shares[self.away] -= points / 100
        shares[self.to] += points / 100
        return shares


def _scores() -> Model:
    """Probabilities by a beta law, in the runtime's cells; some of the lowest become the highest."""
    drawn = np.random.default_rng(0).beta(1.5, 4, 1_000_000)
    counts = np.histogram(drawn, np.linspace(0, 1, 21))[0] / 1_000_000
    return Model("scores", tuple(f"<={0.05 * step:.10g}" for step in range(1, 21)), tuple(counts), 2, 15)


MODELS = (
    Model("two classes, 70 and 30%", ("0", "1"), (0.7, 0.3), 0, 1),
    Model("ten classes alike", tuple(map(str, range(10))), (0.1,) * 10, 0, 1),
    Model("a class of 2%", ("0", "1"), (0.98, 0.02), 0, 1),
    _scores(),
)
WORLDS = ("plain", "own bursts", "shared bursts", "own bursts of 60 s", "weights 5, 20, 50; other callers")


@dataclass(frozen=True)
class Row:
    """Shares of rollouts that are rolled back and pass, with median seconds."""

    model: str
    per_second: int
    world: str
    points: float
    failed: float
    failed_after: float | None
    passed: float
    passed_after: float | None


def _drawn(
    rng: np.random.Generator, world: str, stable: Shares, candidate: Shares
) -> Iterator[tuple[float, Shares, Shares]]:
    """Yield for each look the candidate's weight and how often each revision predicts what."""
    size = (1 - CORRELATION) / CORRELATION
    mine, theirs = candidate, stable
    for look in range(LOOKS):
        weight = (0.05, 0.2, 0.5)[look * 3 // LOOKS] if world.startswith("weights") else 0.2
        if world == "own bursts" or (world == "own bursts of 60 s" and look % 6 == 0):
            mine, theirs = rng.dirichlet(candidate * size + 1e-9), rng.dirichlet(stable * size + 1e-9)
        elif world == "shared bursts" or world.startswith("weights"):
            # Whoever calls now, calls both: of their answers each revision has its own share that moves.
            mix = rng.dirichlet(stable * size + 1e-9)
            if world.startswith("weights"):
                part = look / LOOKS
                mix = (1 - part) * stable + part * np.roll(stable, 1)
            theirs = mix
            mine = np.clip(mix + candidate - stable, 0, None)
            mine = mine / mine.sum()
        yield weight, mine, theirs


def _history(rng: np.random.Generator, world: str, shares: Shares) -> Iterator[Shares]:
    size = (1 - CORRELATION) / CORRELATION
    now = shares
    for look in range(HISTORY):
        if "bursts" in world and (world != "own bursts of 60 s" or look % 6 == 0):
            now = rng.dirichlet(shares * size + 1e-9)
        yield now


def rollout(
    rng: np.random.Generator, model: Model, per_second: int, world: str, points: float
) -> tuple[float | None, float | None]:
    """Judge one; give the seconds after which it is rolled back, and after which it passes."""
    stable, candidate = np.array(model.shares), model.moved(points)
    asked = per_second * LOOK

    def counted(of: float, shares: Shares) -> dict[str, float]:
        counts = rng.multinomial(rng.poisson(of), shares / shares.sum())
        return {cell: float(count) for cell, count in zip(model.cells, counts, strict=True) if count}

    history = {float(at): counted(asked, shares) for at, shares in enumerate(_history(rng, world, stable))}
    drift = PredictionDrift.begin(LIMIT, history)
    passed: float | None = None
    for number, (weight, mine, theirs) in enumerate(_drawn(rng, world, stable, candidate), 1):
        look = CellLook.of(drift.sets, counted(asked * weight, mine), counted(asked * (1 - weight), theirs))
        drift = drift.after(look)
        if drift.worse.value >= 1 / ERRORS.false_rollback:
            return number * LOOK, passed
        if passed is None and drift.ok >= 1 / ERRORS.false_promotion:
            passed = number * LOOK
    return None, passed


def measure(runs: int) -> Iterator[Row]:
    """Play all cells of the table."""
    for model in MODELS:
        for per_second in (10, 100):
            for world in WORLDS:
                for points in (0.0, 5.0, 10.0) if world in ("plain", "own bursts") else (0.0, 5.0):
                    if points and "class of 2%" in model.name and "other callers" in world:
                        continue  # There is no room for the move once the classes have changed places.
                    rng = np.random.default_rng(11)
                    ends = [rollout(rng, model, per_second, world, points) for _ in range(runs)]
                    yield _row(model, per_second, world, points, ends)


def _row(
    model: Model,
    per_second: int,
    world: str,
    points: float,
    ends: Sequence[tuple[float | None, float | None]],
) -> Row:
    failed = [end for end, _ in ends if end is not None]
    passed = [end for _, end in ends if end is not None]
    return Row(
        model.name,
        per_second,
        world,
        points,
        len(failed) / len(ends),
        median(failed) if failed else None,
        len(passed) / len(ends),
        median(passed) if passed else None,
    )


def _cell(share: float, after: float | None) -> str:
    return f"{share:.0%}" + (f" / {after:.0f}" if after is not None and share > 0.5 else "")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = []
    print("| predictions | answers/s | world | moved by | rolled back | passes |\n|---|---|---|---|---|---|")
    for row in measure(arguments.runs):
        rows.append(row)
        print(
            f"| {row.model} | {row.per_second} | {row.world} | {row.points:g} points | "
            f"{_cell(row.failed, row.failed_after)} | {_cell(row.passed, row.passed_after)} |",
            flush=True,
        )
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))


if __name__ == "__main__":
    main()
