"""How often good canaries are rolled back, and how soon bad ones are found: ours beside the peers' rules.

    python -m tests.benchmarks.canary_decisions [--runs 400] [--json FILE] [--figure FILE]

A canary lasts thirty minutes and is looked at every ten seconds. Ours is judged by the shipped code; the peers' rules
are restated from their documentation. A share of w runs has a standard error of at most .5/sqrt(w).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from mooring_operator.planning.analysis.bets import Limit

from tests.benchmarks.canary.figure import draw as draw_figure
from tests.benchmarks.canary.results import Cell
from tests.benchmarks.canary.rules import RULES, decide, decide_as_rare, decide_both_ways
from tests.benchmarks.canary.worlds import LOADS, LOOK, UNSEEN, WORLDS, Counts, World, draw

LIMIT = Limit(1.0, 0.005)
OF_SHARES = Limit(1.2, 0.002)
SHARES = (0.3, 0.6)
BASES = (0.001, 0.01, 0.05)
PER_SECOND = (1.0, 10.0, 100.0, 1000.0)


@dataclass(frozen=True)
class Case:
    """What is drawn for one cell of every rule."""

    table: str
    world: World
    base: float
    per_second: float
    fault: str
    runs: int


def worsen(fault: str, rates: Counts, limit: Limit = LIMIT) -> Counts:
    """Give the candidate's error rates."""
    match fault:
        case "identical":
            return rates
        case "at the limit":
            return limit.ratio * rates + limit.points
        case "5 points beyond":
            return limit.ratio * rates + limit.points + 0.05
        case "x2" | "x5":
            return float(fault[1:]) * rates
        case "+2 points":
            return rates + 0.02
        case _:
            return np.full_like(rates, 0.5)


def cases(runs: int) -> Iterator[Case]:
    """Give all cases of the tables."""
    for fault in ("identical", "at the limit"):
        for world in WORLDS:
            for base in BASES:
                for rate in (10.0, 100.0):
                    yield Case("false", world, base, rate, fault, runs)
    yield from cases_of_shares(runs)
    yield from cases_of_bursts(runs)
    for rate in PER_SECOND:
        for fault in ("x2", "x5", "+2 points", "half fail"):
            yield Case("found", WORLDS[0], 0.01, rate, fault, max(runs // 4, 50))
    for rate in PER_SECOND:
        for base in BASES:
            yield Case("promoted", WORLDS[0], base, rate, "identical", max(runs // 4, 50))


def cases_of_shares(runs: int) -> Iterator[Case]:
    """Give those in which events are not rare."""
    for base in SHARES:
        for rate in (10.0, 100.0):
            for world in LOADS:
                yield Case("shares", world, base, rate, "at the limit", runs)
                yield Case("shares", world, base, rate, "5 points beyond", max(runs // 4, 50))


def cases_of_bursts(runs: int) -> Iterator[Case]:
    """Give those about bursts that history shows, and such as it does not."""
    for world in UNSEEN:
        yield Case("bursts", world, 0.01, 100.0, "at the limit", runs)
        yield Case("bursts", world, 0.01, 100.0, "identical", max(runs // 4, 50))
        yield Case("bursts", world, 0.01, 100.0, "x5", max(runs // 4, 50))


def measure(case: Case) -> list[Cell]:
    """Draw the runs of a case, and let every rule judge them."""
    rng = np.random.default_rng([20261126, int(case.base * 1e4), int(case.per_second), case.runs])
    limit = OF_SHARES if case.table == "shares" else LIMIT
    canary = draw(
        rng, case.runs, case.world, case.base, case.per_second, lambda rates: worsen(case.fault, rates, limit)
    )
    if case.table == "shares":
        cells = [_cell(case, "Mooring", decide(canary, limit))]
        if case.fault != "at the limit":
            cells.append(_cell(case, "as if rare", decide_as_rare(canary, limit)))
        return cells
    if case.table == "bursts":
        fails, passes = decide_both_ways(canary, limit)
        return [_cell(case, "Mooring", fails), _cell(case, "passes", passes)]
    if case.table == "promoted":
        return [_cell(case, "Mooring", decide(canary, Limit(1.2, 0.002), "PASS"))]
    return [_cell(case, name, rule(canary, LIMIT)) for name, rule in RULES.items()]


def _cell(case: Case, rule: str, looks: Counts) -> Cell:
    median = float(np.median(looks)) * LOOK
    return Cell(
        case.table,
        case.world.name,
        case.base,
        case.per_second,
        case.fault,
        rule,
        float(np.isfinite(looks).mean()),
        median if np.isfinite(median) else None,
    )


def tables(cells: list[Cell]) -> Iterator[str]:
    """Write the results as Markdown."""
    yield "Rolled back though within the limit (worst of .1/1/5% errors and 10/100 requests/s):\n"
    yield from _header(["candidate", "world"])
    for fault in ("identical", "at the limit"):
        for world in WORLDS:
            row = [c for c in cells if c.table == "false" and (c.fault, c.world) == (fault, world.name)]
            shares = (max((c.share for c in row if c.rule == rule), default=0.0) for rule in RULES)
            yield f"| {fault} | {world.name} | " + " | ".join(f"{share:.1%}" for share in shares) + " |"
    yield "\nFound, share and median seconds (1% errors, 20% of traffic):\n"
    yield from _header(["requests/s", "fault"])
    for rate in PER_SECOND:
        for fault in ("x2", "x5", "+2 points", "half fail"):
            row = [c for c in cells if c.table == "found" and (c.per_second, c.fault) == (rate, fault)]
            by_rule = {c.rule: c for c in row}
            yield f"| {rate:g} | {fault} | " + " | ".join(_found(by_rule.get(rule)) for rule in RULES) + " |"
    yield from table_of_shares(cells)
    yield from table_of_bursts(cells)
    yield "\nPromoted early (identical candidate; limit 1.2 x stable + .2 points; wrongly at most 5%):\n"
    yield "| errors | " + " | ".join(f"{rate:g}/s" for rate in PER_SECOND) + " |"
    yield "|---" * (len(PER_SECOND) + 1) + "|"
    for base in BASES:
        row = [c for c in cells if c.table == "promoted" and c.base == base]
        by_rate = {c.per_second: c for c in row}
        yield f"| {base:.1%} | " + " | ".join(_found(by_rate.get(rate)) for rate in PER_SECOND) + " |"


def table_of_shares(cells: list[Cell]) -> Iterator[str]:
    """Write what is found of shares that are not small."""
    yield "\nShares that are not small (limit 1.2 x stable + .2 points; 20% of traffic):\n"
    yield "| stable | requests/s | world | rolled back at the limit | 5 points beyond it | the same, as if rare |"
    yield "|---|---|---|---|---|---|"
    for base in SHARES:
        for rate in (10.0, 100.0):
            for world in LOADS:
                row = [c for c in cells if (c.table, c.base, c.per_second) == ("shares", base, rate)]
                row = [c for c in row if c.world == world.name]
                by_rule = {(c.fault, c.rule): c for c in row}
                at_limit = by_rule.get(("at the limit", "Mooring"))
                false = f"{at_limit.share:.1%}" if at_limit else ""
                found = (by_rule.get(("5 points beyond", rule)) for rule in ("Mooring", "as if rare"))
                yield (
                    f"| {base:.0%} | {rate:g} | {world.name} | {false} | "
                    + " | ".join(map(_found, found))
                    + " |"
                )


def table_of_bursts(cells: list[Cell]) -> Iterator[str]:
    """Write what bursts do that history shows, and such as it does not."""
    yield "\nBursts (1% errors, 100 requests/s, limit stable + .5 points, 20% of traffic):\n"
    yield "| world | at the limit: rolled back | passes | identical: rolled back | passes | x5: rolled back |"
    yield "|---|---|---|---|---|---|"
    for world in UNSEEN:
        row = [c for c in cells if (c.table, c.world) == ("bursts", world.name)]
        by_rule = {(c.fault, c.rule): c for c in row}
        at_limit = [by_rule.get(("at the limit", rule)) for rule in ("Mooring", "passes")]
        said = [f"{cell.share:.1%}" if cell else "" for cell in at_limit]
        others = (("identical", "Mooring"), ("identical", "passes"), ("x5", "Mooring"))
        said += [_found(by_rule.get(key)) for key in others]
        yield f"| {world.name} | " + " | ".join(said) + " |"


def _header(columns: list[str]) -> Iterator[str]:
    names = [*columns, *RULES]
    yield "| " + " | ".join(names) + " |"
    yield "|---" * len(names) + "|"


def _found(cell: Cell | None) -> str:
    if cell is None:
        return ""
    return f"{cell.share:.0%}" + (f" / {cell.median_s:.0f}" if cell.median_s is not None else "")


def main() -> None:
    """Measure every case and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--figure", type=Path, help="draw the first two tables; the suffix says the format")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--shares", action="store_true", help="only the table of shares that are not small")
    only.add_argument("--bursts", action="store_true", help="only the table of bursts")
    options = parser.parse_args()
    if options.figure and (options.shares or options.bursts):
        parser.error("--figure is of the first two tables, which --shares and --bursts leave out")
    began, cells = time.monotonic(), []
    todo_of, table_of = cases, tables
    if options.shares:
        todo_of, table_of = cases_of_shares, table_of_shares
    if options.bursts:
        todo_of, table_of = cases_of_bursts, table_of_bursts
    todo = list(todo_of(options.runs))
    with ProcessPoolExecutor(options.processes) as pool:
        for number, found in enumerate(pool.map(measure, todo), 1):
            cells += found
            print(f"\r{number} of {len(todo)} cases", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    print("\n".join(table_of(cells)))
    print(f"\n{time.monotonic() - began:.0f} s")
    if options.json:
        options.json.write_text(json.dumps([asdict(each) for each in cells], indent=2) + "\n")
    if options.figure:
        draw_figure(cells, options.figure)


if __name__ == "__main__":
    main()
