"""How long a quiet tenant waits beside tenants that ask for much, or for what never ends.

    python -m tests.benchmarks.fairness [--json FILE] [--edits 40] [--first-come-edits 3]

The operator is a process of its own before an API emulator in this one. A flood is 2000 ModelDeployments in 1, 10 or
100 namespaces, each edited again as soon as its status is written, so that all of them are always due. The quiet
tenant edits one ModelDeployment; measured is the time from the edit to the status that is about it. The same is
measured beside 500 DriftMonitors whose evaluations never end. Every row is measured with the queue as it is and with
the one that it replaced, first come first served. A reaction that takes longer than `--patience` is given up.
Measuring begins when the operator has looked at every deployment once: a start is not what is measured.
"""

import argparse
import asyncio
import json
import os
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from mooring_operator.adapters.cluster import Ref
from mooring_operator.reconcile.kinds import DRIFT_MONITOR, MODEL_DEPLOYMENT

from tests.operator.emulator import Emulator
from tests.operator.objects import merge
from tests.operator.processes import Operator, operator, until
from tests.operator.world import World

FLOOD = 2000
MONITORS = 500
PAUSE = 0.5
"""Seconds between two edits of the quiet tenant."""
QUIET = Ref(MODEL_DEPLOYMENT, "quiet", "digits")
SPEC = {"model": {"uri": "s3://m/gone", "format": "onnx"}}
ROWS = {"nobody": 0, "1 namespace": 1, "10 namespaces": 10, "100 namespaces": 100}
STALLED = "500 monitors that stall"
QUEUES = {"fair": "tests.operator.scripted_operator", "first come": "tests.benchmarks.first_come"}


@dataclass
class Reactions:
    """Seconds from edits to the statuses that are about them; and how often the liveness probe failed."""

    seconds: list[float] = field(default_factory=list)
    given_up: int = 0
    patience: float = 0.0
    probes: list[float] = field(default_factory=list)
    unanswered: int = 0

    def quantile(self, share: float) -> float | None:
        """Give a quantile; None where it was given up."""
        ordered = sorted(self.seconds)
        place = round(share * (len(ordered) + self.given_up - 1))
        return ordered[place] if place < len(ordered) else None

    def as_json(self) -> dict[str, Any]:
        """Give the figures, in milliseconds."""
        quantiles = {"p50": self.quantile(0.5), "p99": self.quantile(0.99)}
        return {
            **{name: None if value is None else round(value * 1000, 1) for name, value in quantiles.items()},
            "edits": len(self.seconds) + self.given_up,
            "given_up_after_s": self.patience if self.given_up else None,
            "slowest_probe": round(max(self.probes, default=0.0) * 1000, 1),
            "failed_probes": self.unanswered,
        }


class Tenants:
    """Everybody who writes: the quiet one, those who flood, and those whose monitors stall."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.objects = world.objects
        self.flooded: list[Ref] = []

    def apply(self, ref: Ref, spec: dict[str, Any]) -> None:
        self.objects.apply(ref, {"metadata": {"name": ref.name}, "spec": spec}, "user")

    def make_flood(self, namespaces: int) -> None:
        for number in range(FLOOD if namespaces else 0):
            self.flooded.append(Ref(MODEL_DEPLOYMENT, f"flood{number % namespaces}", f"m{number}"))
            self.apply(self.flooded[-1], SPEC)

    def make_monitors(self) -> None:
        spec = {
            "target": {"name": "digits"},
            "baseline": {"uri": "s3://d/baseline"},
            "window": {"uri": "s3://d/window"},
        }
        for number in range(10):
            self.apply(Ref(MODEL_DEPLOYMENT, f"ns{number}", "digits"), SPEC)
        for number in range(MONITORS):
            self.apply(Ref(DRIFT_MONITOR, f"ns{number % 10}", f"d{number}"), spec)

    async def keep_flooding(self) -> None:
        """Edit each deployment of the flood whenever its status is about it."""
        seen = 0
        while True:
            changed = self.objects.changed
            news = self.objects.changes[seen:]
            seen += len(news)
            for change in news:
                if change.ref.namespace.startswith("flood") and self.up_to_date(change.ref):
                    self.edit(change.ref)
            await changed.wait()

    def edit(self, ref: Ref) -> None:
        limit = self.objects.peek(ref)["spec"].get("historyLimit", 10)
        self.objects.change(ref, lambda before: merge(before, {"spec": {"historyLimit": 21 - limit}}))

    def up_to_date(self, ref: Ref) -> bool:
        found = self.objects.peek(ref)
        return (
            bool(found)
            and found.get("status", {}).get("observedGeneration") == found["metadata"]["generation"]
        )

    async def react(self, patience: float) -> float | None:
        """Edit the quiet tenant's deployment; give the seconds until its status is about it."""
        began = time.perf_counter()
        self.edit(QUIET)
        try:
            async with asyncio.timeout(patience):
                while not self.up_to_date(QUIET):
                    await self.objects.changed.wait()
        except TimeoutError:
            return None
        return time.perf_counter() - began


async def measure(queue: str, row: str, edits: int, patience: float) -> Reactions:
    """Start an operator beside the tenants of a row, and time the quiet one's edits."""
    async with Emulator() as emulator:
        with tempfile.TemporaryDirectory() as folder:
            world = World(emulator, Path(folder))
            tenants = Tenants(world)
            tenants.make_flood(ROWS.get(row, 0))
            if row == STALLED:
                tenants.make_monitors()
            fault = {"fault": "stall"} if row == STALLED else {}
            async with operator(world, program=QUEUES[queue], **fault) as process:
                return await _time(tenants, process, edits, patience)


async def _time(tenants: Tenants, process: Operator, edits: int, patience: float) -> Reactions:
    reactions = Reactions(patience=patience)
    tasks = [
        asyncio.create_task(tenants.keep_flooding()),
        asyncio.create_task(_probe(process, reactions)),
    ]
    tenants.apply(QUIET, SPEC)
    await until(lambda: _is_busy(tenants, process), "the operator has much to do", 900)
    await tenants.react(patience)
    for _ in range(edits):
        await asyncio.sleep(PAUSE)
        seconds = await tenants.react(patience)
        if seconds is None:
            reactions.given_up += 1
        else:
            reactions.seconds.append(seconds)
    for task in tasks:
        task.cancel()
    return reactions


async def _is_busy(tenants: Tenants, process: Operator) -> bool:
    """Whether all of the flood was looked at, or all workers of the monitors stall."""
    if tenants.flooded:
        return all("status" in tenants.objects.peek(ref) for ref in tenants.flooded)
    if not tenants.objects.list(DRIFT_MONITOR):
        return True
    lines = (await process.ask("metrics")).text.splitlines()
    return 'mooring_workers_busy{kind="DriftMonitor"} 8.0' in lines


async def _probe(process: Operator, reactions: Reactions) -> None:
    """Ask for signs of life twice a second, as patiently as the kubelet does."""
    while True:
        began = time.perf_counter()
        try:
            answer = await process.ask("healthz", seconds=5)
            reactions.unanswered += answer.status_code != 200
            reactions.probes.append(time.perf_counter() - began)
        except httpx.HTTPError:
            reactions.unanswered += 1
        await asyncio.sleep(0.5)


def table(results: dict[str, dict[str, Reactions]]) -> str:
    """Give the results as Markdown."""
    lines = [
        "| beside | first come p50 / p99 (ms) | fair p50 / p99 (ms) | ratio of p50 | slowest probe (ms), failed |",
        "|---|---|---|---|---|",
    ]
    for row, found in results.items():
        old, new = found.get("first come"), found["fair"]
        lines.append(
            f"| {row} | {_pair(old)} | {_pair(new)} | {_ratio(old, new)} | "
            f"{max(new.probes, default=0) * 1000:.0f}, {new.unanswered} |"
        )
    return "\n".join(lines)


def _pair(reactions: Reactions | None) -> str:
    if reactions is None:
        return "-"
    return " / ".join(_shown(reactions, share) for share in (0.5, 0.99))


def _shown(reactions: Reactions, share: float) -> str:
    value = reactions.quantile(share)
    return f"> {reactions.patience * 1000:,.0f}" if value is None else f"{value * 1000:,.0f}"


def _ratio(old: Reactions | None, new: Reactions) -> str:
    if old is None:
        return "-"
    before, after = old.quantile(0.5), new.quantile(0.5)
    if after is None:
        return "-"
    return f"> {old.patience / after:,.0f}" if before is None else f"{before / after:,.1f}"


async def run(arguments: argparse.Namespace) -> dict[str, dict[str, Reactions]]:
    """Measure every row with both queues, one after the other."""
    results: dict[str, dict[str, Reactions]] = {}
    for row in (*ROWS, STALLED):
        results[row] = {}
        for queue in QUEUES:
            slow = queue == "first come" and row != "nobody"
            edits = arguments.first_come_edits if slow else arguments.edits
            if edits:
                results[row][queue] = await measure(queue, row, edits, arguments.patience)
                print(row, queue, results[row][queue].as_json(), flush=True)
    return results


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--edits", type=int, default=40)
    parser.add_argument("--first-come-edits", type=int, default=3)
    parser.add_argument("--patience", type=float, default=90)
    arguments = parser.parse_args()
    results = asyncio.run(run(arguments))
    print(f"\n{table(results)}")
    if arguments.json:
        figures = {
            row: {queue: one.as_json() for queue, one in found.items()} for row, found in results.items()
        }
        arguments.json.write_text(json.dumps({"cores": os.cpu_count(), "rows": figures}, indent=2) + "\n")


if __name__ == "__main__":
    main()
